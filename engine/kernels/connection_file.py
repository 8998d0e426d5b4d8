"""Connection files: where a kernel listens, as Jupyter writes it down."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.resources import data_dir

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


def relayed_info(directory: Path, info: dict[str, Any]) -> dict[str, Any]:
    """How we reach a kernel that listens on ports of a network of its own: by sockets in `directory`."""
    ports = dict(zip(_PORTS, range(1, len(_PORTS) + 1), strict=True))
    return {**info, **ports, "transport": "ipc", "ip": str(directory / "k")}


def relay_command(directory: Path, info: dict[str, Any], command: Sequence[str]) -> list[str]:
    """The command with a relay from these sockets to the kernel's ports (runtimes/python/relay.py)."""
    relay = str(data_dir() / "runtimes" / "python" / "relay.py")
    ports = [str(info[name]) for name in _PORTS]
    return [sys.executable, "-I", "-S", relay, str(directory / "k"), *ports, "--", *command]


def write_connection_file(path: Path, info: dict[str, Any], *, uid: int | None = None) -> None:
    """`uid`: who reads it, if not we."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(info, file)
        if uid is not None:
            os.fchown(fd, uid, uid)
