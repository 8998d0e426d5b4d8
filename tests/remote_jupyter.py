"""Real servers of Jupyter for tests, and a proxy before them whose connections can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx

TOKEN = "token-of-the-remote"
_START_DEADLINE = 30.0
_STOP_DEADLINE = 20.0

SERVER = ("jupyter_server", "--ServerApp.ip=127.0.0.1", "--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}",
          "--ServerApp.root_dir={directory}", "--ServerApp.open_browser=False", "--ServerApp.allow_root=True")  # fmt: skip
GATEWAY = ("kernel_gateway", "--KernelGatewayApp.ip=127.0.0.1", "--KernelGatewayApp.port={port}",
           f"--KernelGatewayApp.auth_token={TOKEN}", "--JupyterWebsocketPersonality.list_kernels=True")  # fmt: skip
LEGACY = "--ZMQChannelsWebsocketConnection.kernel_ws_protocol="
"""Option of both: they speak JSON on their websockets, and not the newer protocol."""


class RemoteJupyter:
    """A server of Jupyter as a process on a port of 127.0.0.1."""

    def __init__(self, command: tuple[str, ...], directory: Path, *options: str) -> None:
        self.directory = directory
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        values = {"port": self.port, "directory": directory}
        self._command = [sys.executable, "-m", *(part.format(**values) for part in (*command, *options))]
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with (self.directory / "log.txt").open("ab") as log:
            process = subprocess.Popen(self._command, cwd=self.directory, stdout=log, stderr=log)
        end = time.monotonic() + _START_DEADLINE
        while True:
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"{self.url}/api", headers=self.headers, trust_env=False)
                return process
            assert process.poll() is None, (self.directory / "log.txt").read_text()
            assert time.monotonic() < end, "the server does not start"
            time.sleep(0.05)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {TOKEN}"}

    def kernels(self) -> list[str]:
        """Ids of the kernels that it has."""
        models = httpx.get(f"{self.url}/api/kernels", headers=self.headers, trust_env=False).json()
        return [model["id"] for model in models]

    def delete(self, kernel_id: str) -> None:
        httpx.delete(f"{self.url}/api/kernels/{kernel_id}", headers=self.headers, trust_env=False, timeout=30)

    def restart(self, kernel_id: str) -> None:
        url = f"{self.url}/api/kernels/{kernel_id}/restart"
        httpx.post(url, headers=self.headers, trust_env=False, timeout=30).raise_for_status()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()


@contextlib.contextmanager
def remote_jupyter(command: tuple[str, ...], directory: Path, *options: str) -> Iterator[RemoteJupyter]:
    server = RemoteJupyter(command, directory, *options)
    try:
        yield server
    finally:
        server.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Proxy:
    """Passes on what comes, until `cut` ends its websockets without a word. `refuses`: new ones are ended at once."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._websockets: set[asyncio.StreamWriter] = set()
        self.refuses = False
        self.url = ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.read(65536)
            is_websocket = b"/channels" in head.partition(b"\r\n")[0]
            if is_websocket and self.refuses:
                writer.transport.abort()
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            both = {writer, far_writer}
            if is_websocket:
                self._websockets |= both
            try:
                far_writer.write(head)
                await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
            finally:
                self._websockets -= both
                for each in both:
                    each.transport.abort()

    def cut(self) -> None:
        for writer in self._websockets:
            writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    raise ConnectionError


@contextlib.asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
