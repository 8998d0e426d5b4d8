"""Jupyter Server and Kernel Gateway: kernels over REST, executions over the websocket's default protocol."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

from .client import HttpClient, WebSocket
from .peer import Answer, Context, Peer
from .procs import PeerError, Server, free_port

_TOKEN = uuid.uuid4().hex
_HEADERS = {"Authorization": f"token {_TOKEN}"}


class JupyterContext(Context):
    """A kernel with one websocket to its channels."""

    def __init__(self, port: int, *, quickack: bool) -> None:
        self._port, self._quickack = port, quickack
        self._http = HttpClient(port, _HEADERS)
        self._session = uuid.uuid4().hex
        self._id = self._http.json("POST", "/api/kernels", {"name": "python3"})["id"]
        self._socket = self._connect()

    def execute(self, code: str, *, limit: float | None = None, patience: float = 60.0) -> Answer:
        self._drain()
        answer = Answer(time.perf_counter())
        try:
            self._run(answer, code, limit, answer.started + patience)
        except BaseException:
            self._socket.close()
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
        self._socket.close()
        self._http.json("DELETE", f"/api/kernels/{self._id}", timeout=30.0)
        self._http.close()

    def _connect(self) -> WebSocket:
        path = f"/api/kernels/{self._id}/channels?session_id={self._session}"
        return WebSocket(self._port, path, _HEADERS, quickack=self._quickack)

    def _drain(self) -> None:
        """Read what came while idle (status messages, pings); connect again if the server closed the socket."""
        try:
            while self._socket.has_input():
                self._socket.receive(time.perf_counter() + 1.0)
        except (PeerError, OSError, ValueError):
            self._socket.close()
            self._socket = self._connect()

    def _run(self, answer: Answer, code: str, limit: float | None, deadline: float) -> None:
        parent = self._send(code)
        interrupt_at = None if limit is None else answer.started + limit
        replied = idle = False
        while not (replied and idle):
            if interrupt_at is not None and not self._socket_has_input_before(interrupt_at):
                answer.interrupted, interrupt_at = time.perf_counter(), None
                self._http.json("POST", f"/api/kernels/{self._id}/interrupt")
                answer.status = "interrupted by the client"
            message = json.loads(self._socket.receive(deadline))
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] in ("restarting", "dead"):
                answer.error = f"kernel {content['execution_state']}"
                return
            if message["parent_header"].get("msg_id") != parent:
                continue
            if kind == "status":
                idle = idle or content["execution_state"] == "idle"
            elif kind == "execute_reply":
                replied = True
                answer.status = answer.status or ("" if content["status"] == "ok" else content["status"])
            else:
                _add(answer, kind, content)

    def _socket_has_input_before(self, moment: float) -> bool:
        while not self._socket.has_input():
            if time.perf_counter() >= moment:
                return False
            time.sleep(0.002)
        return True

    def _send(self, code: str) -> str:
        parent = uuid.uuid4().hex
        header = {"msg_id": parent, "msg_type": "execute_request", "version": "5.3"}
        header |= {"session": self._session, "username": "", "date": "2026-01-01T00:00:00.000000Z"}
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
        content |= {"allow_stdin": False, "stop_on_error": True}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self._socket.send(json.dumps({**message, "channel": "shell", "buffers": []}))
        return parent


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


class JupyterServer(Peer):
    """jupyter_server as shipped."""

    name = "jupyter_server"
    about = "jupyter_server websocket as shipped"
    package = "jupyter_server"
    quickack = False

    def __init__(self, python: Path) -> None:
        self._python = str(python)
        self.port = 0

    def start(self, directory: Path, env: dict[str, str]) -> None:
        self.port = free_port()
        self.server = Server(self._argv(directory), cwd=directory, env=env)
        self.server.wait_until(lambda: "version" in HttpClient(self.port, _HEADERS).json("GET", "/api", timeout=5.0))

    def open(self, code: str = "1+1") -> tuple[Context, Answer]:
        started = time.perf_counter()
        context = JupyterContext(self.port, quickack=self.quickack)
        answer = context.execute(code)
        answer.started = started
        return context, answer

    def _argv(self, directory: Path) -> list[str]:
        options = ["--allow-root", "--no-browser", "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0"]
        place = [f"--ServerApp.port={self.port}", f"--ServerApp.root_dir={directory}"]
        return [self._python, "-m", "jupyter_server", *options, *place, f"--IdentityProvider.token={_TOKEN}"]


class JupyterServerQuickack(JupyterServer):
    """The same server; the client works around its delayed-ACK stall."""

    name = "jupyter_server, quickack"
    about = "the same jupyter_server; the client sets TCP_QUICKACK after each receive"
    only = frozenset({"warm", "server-cpu"})
    quickack = True

    def __init__(self, stock: JupyterServer) -> None:
        self._stock = stock

    def start(self, directory: Path, env: dict[str, str]) -> None:
        del directory, env
        if not self._stock.is_alive():
            msg = "jupyter_server did not start"
            raise PeerError(msg)
        self.server, self.port = self._stock.server, self._stock.port

    def stop(self) -> None:
        """Leave the server to its owner."""


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
