"""Jupyter Server and Kernel Gateway, and what polyrepl has of their API: kernels over REST, executions over a websocket."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from .channels import Channels
from .client import HttpClient
from .peer import Answer, Context, Guest, Peer
from .procs import PeerError, Server, free_port

_TOKEN = uuid.uuid4().hex
_HEADERS = {"Authorization": f"token {_TOKEN}"}


class JupyterContext(Context):
    """A kernel with one websocket to its channels: a new one, or the one of `kernel_id`."""

    def __init__(
        self,
        port: int,
        headers: dict[str, str],
        kernel_id: str | None = None,
        *,
        is_v1: bool = False,
        quickack: bool = False,
    ) -> None:
        self._port, self._headers, self._is_v1, self._quickack = port, headers, is_v1, quickack
        self._http = HttpClient(port, headers)
        self._session = uuid.uuid4().hex
        self._id = kernel_id or self._http.json("POST", "/api/kernels", {"name": "python3"})["id"]
        self._channels = self._connect()

    def execute(self, code: str, *, limit: float | None = None, patience: float = 60.0) -> Answer:
        self._drain()
        answer = Answer(time.perf_counter())
        try:
            self._run(answer, code, limit, answer.started + patience)
        except BaseException:
            self._channels.close()
            raise
        answer.ended = time.perf_counter()
        return answer

    def stream(self, code: str, marker: str) -> Answer:
        answer = self.execute(code)
        if marker not in answer.stdout:
            answer.first = None
        return answer

    def interrupt(self, code: str, delay: float) -> Answer:
        return self.execute(code, limit=delay, patience=delay + 10.0)

    def close(self) -> None:
        self._channels.close()
        self._http.json("DELETE", f"/api/kernels/{self._id}", timeout=30.0)
        self._http.close()

    def disconnect(self) -> None:
        """Leave the kernel alive."""
        self._channels.close()
        self._http.close()

    def _connect(self) -> Channels:
        return Channels(self._port, self._id, self._session, self._headers, is_v1=self._is_v1, quickack=self._quickack)

    def _drain(self) -> None:
        """Read what came while idle (status messages, pings); connect again if the server closed the socket."""
        try:
            while self._channels.has_input():
                self._channels.receive(time.perf_counter() + 1.0)
        except (PeerError, OSError, ValueError):
            self._channels.close()
            self._channels = self._connect()

    def _run(self, answer: Answer, code: str, limit: float | None, deadline: float) -> None:
        parent = self._channels.request(code)
        interrupt_at = None if limit is None else answer.started + limit
        replied = idle = False
        while not (replied and idle):
            if interrupt_at is not None and not self._has_input_before(interrupt_at):
                answer.interrupted, interrupt_at = time.perf_counter(), None
                self._http.json("POST", f"/api/kernels/{self._id}/interrupt")
                answer.status = "interrupted by the client"
            message = self._channels.receive(deadline)
            kind, content = message.kind, message.content
            if kind == "status" and content["execution_state"] in ("restarting", "dead"):
                answer.error = f"kernel {content['execution_state']}"
                return
            if message.parent != parent:
                continue
            if kind == "status":
                idle = idle or content["execution_state"] == "idle"
            elif kind == "execute_reply":
                replied = True
                _reply(answer, content)
            else:
                _add(answer, kind, content)

    def _has_input_before(self, moment: float) -> bool:
        while not self._channels.has_input():
            if time.perf_counter() >= moment:
                return False
            time.sleep(0.002)
        return True


def _reply(answer: Answer, content: dict[str, Any]) -> None:
    if content["status"] != "ok":
        answer.status = answer.status or content["status"]
        told = f"{content['ename']}: {content['evalue']}" if "ename" in content else "the cell did not run"
        answer.error = answer.error or told


def _add(answer: Answer, kind: str, content: dict[str, Any]) -> None:
    if kind == "stream":
        answer.first = answer.first or time.perf_counter()
        (answer.out if content["name"] == "stdout" else answer.err).append(content["text"])
    elif kind == "execute_result":
        answer.text = content["data"].get("text/plain")
    elif kind == "display_data":
        answer.displays.append(content["data"].get("text/plain", ""))
        answer.png = content["data"].get("image/png", answer.png)
    elif kind == "error":
        answer.error = f"{content['ename']}: {content['evalue']}"


class ChannelsPeer(Peer):
    """Kernels over REST and one websocket for each, on whatever server."""

    is_v1 = False
    quickack = False

    def open(self, code: str = "1+1") -> tuple[Context, Answer]:
        started = time.perf_counter()
        context = JupyterContext(self.port, _HEADERS, is_v1=self.is_v1, quickack=self.quickack)
        answer = context.execute(code)
        answer.started = started
        return context, answer


class JupyterServer(ChannelsPeer):
    """jupyter_server as shipped."""

    name = "jupyter_server"
    about = "jupyter_server websocket as shipped"
    package = "jupyter_server"

    def __init__(self, python: Path) -> None:
        self._python = str(python)

    def start(self, directory: Path, env: dict[str, str]) -> None:
        self.port = free_port()
        self.server = Server(self._argv(directory), cwd=directory, env=env)
        self.server.wait_until(lambda: "version" in HttpClient(self.port, _HEADERS).json("GET", "/api", timeout=5.0))

    def _argv(self, directory: Path) -> list[str]:
        options = ["--allow-root", "--no-browser", "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0"]
        place = [f"--ServerApp.port={self.port}", f"--ServerApp.root_dir={directory}"]
        return [self._python, "-m", "jupyter_server", *options, *place, f"--IdentityProvider.token={_TOKEN}"]


class KernelGateway(JupyterServer):
    """jupyter-kernel-gateway in its websocket mode."""

    name = "kernel_gateway"
    about = "jupyter-kernel-gateway websocket as shipped"
    package = "jupyter-kernel-gateway"
    most_contexts = 8

    def _argv(self, directory: Path) -> list[str]:
        del directory
        app = "--KernelGatewayApp"
        options = [
            f"{app}.ip=127.0.0.1",
            f"{app}.port={self.port}",
            f"{app}.port_retries=0",
            f"{app}.auth_token={_TOKEN}",
        ]
        return [self._python, "-m", "kernel_gateway", *options]


class JupyterServerQuickack(Guest, ChannelsPeer):
    """The same server; the client works around its delayed-ACK stall."""

    name = "jupyter_server, quickack"
    about = "the same jupyter_server; the client sets TCP_QUICKACK after each receive"
    package = "jupyter_server"
    only = frozenset({"warm", "server-cpu", "gateway-warm"})
    quickack = True


class _V1(Guest, ChannelsPeer):
    only = frozenset({"gateway-v1-warm", "gateway-v1-displays"})
    is_v1 = True


class JupyterServerV1(_V1):
    """The same server; client and server speak the newer protocol."""

    name = "jupyter_server, v1"
    about = "the same jupyter_server; websocket with `v1.kernel.websocket.jupyter.org`"
    package = "jupyter_server"


class JupyterServerV1Quickack(_V1):
    """The same, with the client that works around the stall, which is there in either protocol."""

    name = "jupyter_server, v1 quickack"
    about = "the same; the client sets TCP_QUICKACK after each receive"
    package = "jupyter_server"
    only = frozenset({"gateway-v1-warm"})
    quickack = True


class KernelGatewayV1(_V1):
    """The same gateway; client and server speak the newer protocol."""

    name = "kernel_gateway, v1"
    about = "the same jupyter-kernel-gateway; websocket with `v1.kernel.websocket.jupyter.org`"
    package = "jupyter-kernel-gateway"


class PolyreplWebsocket(Guest, ChannelsPeer):
    """The Kernel Gateway's API of polyrepl's server."""

    name = "polyrepl, websocket"
    about = "the same polyrepl server; its websocket of the Kernel Gateway's API"
    only = frozenset({"gateway-warm", "gateway-displays", "gateway-new"})


class PolyreplWebsocketV1(_V1):
    """The same; client and server speak the newer protocol."""

    name = "polyrepl, websocket v1"
    about = "the same; websocket with `v1.kernel.websocket.jupyter.org`"
