"""Connection files: where a kernel listens, as Jupyter writes it down."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import Any

_PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


def connection_info(directory: Path, *, tcp: bool = False) -> dict[str, Any]:
    """Connection info (jupyter_client docs, "Connection files"): ipc sockets in `directory`, or ports of 127.0.0.1."""
    ports = _free_ports(len(_PORTS)) if tcp else range(1, len(_PORTS) + 1)
    return {
        "transport": "tcp" if tcp else "ipc",
        "ip": "127.0.0.1" if tcp else str(directory / "k"),
        **dict(zip(_PORTS, ports, strict=True)),
        "key": os.urandom(16).hex(),
        "signature_scheme": "hmac-sha256",
        "kernel_name": "",
    }


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at the moment; the kernel binds them later, as Jupyter has it."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def write_connection_file(path: Path, info: dict[str, Any]) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(info, file)
