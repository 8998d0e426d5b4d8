"""A client of a kernel's websocket, as Jupyter's are."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from engine.core import Engine
from engine.kernels.channels.fake import FakeChannels
from engine.kernels.provisioners.fake import FakeKernel, FakeProvisioner, Script
from engine.settings import Settings
from tests.harness.in_process import Live, serve

WAIT = 20.0  # seconds


class Gateway:
    def __init__(self, live: Live, kernels: list[FakeKernel]) -> None:
        self.live = live
        self.kernels = kernels
        self.http = httpx.Client(base_url=live.url, timeout=WAIT)

    def start(self) -> str:
        return str(self.http.post("/api/kernels").json()["id"])

    def model(self, kernel_id: str) -> dict[str, Any]:
        return dict(self.http.get(f"/api/kernels/{kernel_id}").json())

    def socket(self, kernel_id: str, session: str = "", **options: Any) -> Socket:
        return Socket(
            f"{self.live.url.replace('http', 'ws')}/api/kernels/{kernel_id}/channels?session_id={session}", **options
        )


@contextlib.contextmanager
def scripted_gateway(tmp_path_factory: pytest.TempPathFactory, script: Script, **settings: Any) -> Iterator[Gateway]:
    """A gateway over scripted kernels."""
    kernels: list[FakeKernel] = []
    made = Settings(run_dir=tmp_path_factory.mktemp("gateway") / "run", pool_max=0, **settings)
    engine = Engine(made, provisioner=FakeProvisioner.of(script, kernels), channels=FakeChannels)
    with serve(engine) as live:
        gateway = Gateway(live, kernels)
        yield gateway
        gateway.http.close()


class Socket:
    """One client of a kernel, in the default form."""

    def __init__(self, url: str, **options: Any) -> None:
        self.session = uuid.uuid4().hex
        self._stack = contextlib.ExitStack()
        connection = connect(url, max_size=None, open_timeout=WAIT, **options)
        self.ws: ClientConnection = self._stack.enter_context(connection)

    def send(
        self, msg_type: str, channel: str = "shell", *, metadata: dict[str, Any] | None = None, **content: Any
    ) -> str:
        msg_id = uuid.uuid4().hex
        header = {"msg_id": msg_id, "msg_type": msg_type, "session": self.session, "version": "5.3"}
        message = {"header": header, "metadata": metadata or {}, "channel": channel, "content": content}
        self.ws.send(json.dumps(message))
        return msg_id

    def execute(self, code: str, **content: Any) -> str:
        return self.send("execute_request", code=code, silent=False, **content)

    def receive(self) -> dict[str, Any]:
        return dict(json.loads(self.ws.recv(WAIT)))

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Messages up to the first that fulfils the condition."""
        seen = []
        while not (seen and condition(seen[-1])):
            seen.append(self.receive())
        return seen

    def done(self, msg_id: str, *, replied: bool = True) -> list[dict[str, Any]]:
        """Messages of a request, up to its reply and idle."""
        idle = reply = False
        seen = []
        while not (idle and (reply or not replied)):
            message = self.receive()
            if message["parent_header"].get("msg_id") == msg_id:
                seen.append(message)
                idle |= message["content"].get("execution_state") == "idle"
                reply |= message["msg_type"].endswith("_reply")
        return seen

    def closed(self) -> tuple[int, str]:
        """Read to the end; code and reason of the close."""
        end = time.monotonic() + WAIT
        try:
            while time.monotonic() < end:
                self.ws.recv(WAIT)
        except ConnectionClosed as error:
            return (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "")
        raise AssertionError("it is not closed")

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()


def types(messages: list[dict[str, Any]]) -> list[str]:
    return [message["msg_type"] for message in messages]


def text(messages: list[dict[str, Any]]) -> str:
    return "".join(message["content"]["text"] for message in messages if message["msg_type"] == "stream")


def state(message: dict[str, Any]) -> str | None:
    return message["content"].get("execution_state")
