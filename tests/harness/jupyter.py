"""Real servers of Jupyter for tests, and what is asked of an engine on one of them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.core import Engine
from engine.settings import Settings
from tests.harness.waiting import wait_until

TOKEN = "token-of-the-remote"
_START_DEADLINE = 60.0
_STOP_DEADLINE = 60.0

SERVER = ("jupyter_server", "--ServerApp.ip=127.0.0.1", "--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}",
          "--ServerApp.root_dir={directory}", "--ServerApp.open_browser=False", "--ServerApp.allow_root=True")  # fmt: skip
GATEWAY = ("kernel_gateway", "--KernelGatewayApp.ip=127.0.0.1", "--KernelGatewayApp.port={port}",
           f"--KernelGatewayApp.auth_token={TOKEN}", "--JupyterWebsocketPersonality.list_kernels=True")  # fmt: skip
ENTERPRISE = ("enterprise_gateway", "--EnterpriseGatewayApp.ip=127.0.0.1", "--EnterpriseGatewayApp.port={port}",
              f"--EnterpriseGatewayApp.auth_token={TOKEN}", "--EnterpriseGatewayApp.list_kernels=True")  # fmt: skip
LEGACY = "--ZMQChannelsWebsocketConnection.kernel_ws_protocol="
"""Option of the first two: they speak JSON on their websockets, and not the newer protocol."""
CHANNELS = b"/channels"
"""What is in the requests for websockets of a server of Jupyter, and in no others."""
KERNELS: dict[str, dict[str, Any]] = {
    "python3": {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "language": "python"},
    "bash": {"argv": [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"], "language": "bash"},
}
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "polyrepl-tests"


def enterprise_gateway() -> Path:
    """A Python that has Enterprise Gateway, which needs older packages than the rest. Skips the test where it cannot be had."""
    return python_with("enterprise-gateway", "jupyter_enterprise_gateway>=3.2")


def python_with(name: str, requirement: str) -> Path:
    """A Python in a venv of its own, made once, that has this package. Skips the test where it cannot be had."""
    venv = _CACHE / f"{name}-{sys.version_info[0]}.{sys.version_info[1]}"
    python = venv / "bin" / "python"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / f"{venv.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (venv / "complete").exists():
            try:
                _uv("venv", "--clear", "--python", sys.executable, str(venv))
                _uv("pip", "install", "--only-binary", ":all:", "--python", str(python), requirement)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"{requirement} cannot be installed: {error.stderr[-300:]}")
            except subprocess.TimeoutExpired:
                pytest.skip(f"{requirement} takes too long to install")
            (venv / "complete").touch()
    return python


def _uv(*arguments: str) -> None:
    command = [sys.executable, "-m", "uv", "--quiet", *arguments]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)


class RemoteJupyter:
    """A server of Jupyter as a process on a port of 127.0.0.1, with the kernels of KERNELS; `python` is the Python that has it."""

    def __init__(
        self, command: tuple[str, ...], directory: Path, *options: str, python: str | Path = sys.executable
    ) -> None:
        for name, spec in KERNELS.items():
            (directory / "kernels" / name).mkdir(parents=True)
            (directory / "kernels" / name / "kernel.json").write_text(json.dumps({"display_name": name, **spec}))
        self.directory = directory
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        values = {"port": self.port, "directory": directory}
        python = enterprise_gateway() if command is ENTERPRISE else python
        self._command = [python, "-m", *(part.format(**values) for part in (*command, *options))]
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with (self.directory / "log.txt").open("ab") as log:
            # Enterprise Gateway starts no kernels for root unless it is told that somebody else is meant.
            env = {**os.environ, "JUPYTER_PATH": str(self.directory), "EG_UNAUTHORIZED_USERS": "nobody"}
            process = subprocess.Popen(self._command, cwd=self.directory, env=env, stdout=log, stderr=log)
        try:
            wait_until(
                lambda: process.poll() is not None or self._answers(), deadline=_START_DEADLINE, what="an answer"
            )
            assert process.poll() is None
        except BaseException as error:
            process.kill()
            process.wait()
            error.add_note((self.directory / "log.txt").read_text())
            raise
        return process

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(f"{self.url}/api", headers=self.headers, trust_env=False)
            return True
        return False

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {TOKEN}"}

    def kernels(self) -> list[str]:
        """Ids of the kernels that it has."""
        models = httpx.get(f"{self.url}/api/kernels", headers=self.headers, trust_env=False, timeout=30).json()
        return [model["id"] for model in models]

    def delete(self, kernel_id: str) -> None:
        httpx.delete(f"{self.url}/api/kernels/{kernel_id}", headers=self.headers, trust_env=False, timeout=30)

    def restart(self, kernel_id: str) -> None:
        url = f"{self.url}/api/kernels/{kernel_id}/restart"
        httpx.post(url, headers=self.headers, trust_env=False, timeout=30).raise_for_status()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def start_again(self) -> None:
        """After `kill`, at the same address."""
        self._process = self._start()

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()


@contextlib.contextmanager
def remote_jupyter(
    command: tuple[str, ...], directory: Path, *options: str, python: str | Path = sys.executable
) -> Iterator[RemoteJupyter]:
    server = RemoteJupyter(command, directory, *options, python=python)
    try:
        yield server
    finally:
        server.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextlib.asynccontextmanager
async def engine_on(url: str, tmp_path: Path, **settings: Any) -> AsyncIterator[Engine]:
    values = {"backend": "jupyter", "jupyter_url": url, "jupyter_token": TOKEN, "pool_max": 0, **settings}
    async with Engine(
        Settings(run_dir=tmp_path / "run", default_timeout=20.0, interrupt_grace=0.5, **values)
    ) as engine:
        yield engine


@contextlib.contextmanager
def jupyter_server(gateway: str, token: str, directory: Path) -> Iterator[str]:
    """Jupyter's own server, whose kernels run on a gateway; its URL."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "KG_"))}
    env |= {
        "JUPYTER_CONFIG_DIR": str(directory / "config"),
        "JUPYTER_RUNTIME_DIR": str(directory / "run"),
        "HOME": str(directory),
    }
    command = [
        sys.executable, "-m", "jupyter_server", "--no-browser", "--port=0", "--ip=127.0.0.1", "--allow-root",
        "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={directory}",
        f"--gateway-url={gateway}", f"--GatewayClient.auth_token={token}",
    ]  # fmt: skip
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                reader = threading.Thread(target=process.stderr.read, daemon=True)
                reader.start()
                yield f"http://127.0.0.1:{found[1]}"
                process.terminate()
                reader.join(20)
                return
        raise AssertionError("jupyter_server did not start")
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stderr.close()
