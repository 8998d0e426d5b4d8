"""An engine's application under a real uvicorn server, in a thread, for HTTP clients.

with serve(engine) as live:
    httpx.get(live.url + "/healthz")"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import uvicorn

from engine.core import Engine
from engine.server.app import create_app
from engine.server.connections import Connections
from engine.server.uvicorn_protocols import Protocol, WebSocketProtocol
from tests.harness.waiting import TurnLoop, until

_DEADLINE = 60.0  # seconds
Value = TypeVar("Value")


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        connections: Connections,
        new_loop: Callable[[], asyncio.AbstractEventLoop],
    ) -> None:
        super().__init__(config)
        self.server_state = connections
        self._new_loop = new_loop
        self.ready = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        with asyncio.Runner(loop_factory=self._new_loop) as runner:
            runner.run(self.serve(sockets))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.loop = asyncio.get_running_loop()
        self.ready.set()


class Live:
    """A running server. `call` runs a function in the server's loop, where the engine lives."""

    def __init__(self, engine: Engine, server: _Server, port: int) -> None:
        self.engine = engine
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._server = server

    def call(self, function: Callable[[], Value]) -> Value:
        async def run() -> Value:
            return function()

        assert self._server.loop is not None
        return asyncio.run_coroutine_threadsafe(run(), self._server.loop).result(_DEADLINE)

    def wait_until(self, condition: Callable[[], Any]) -> None:
        """Return after the first turn of the server's loop at whose end the condition holds."""
        assert self._server.loop is not None
        asyncio.run_coroutine_threadsafe(until(condition), self._server.loop).result()

    def tasks(self) -> set[str]:
        """Names of what runs in the server's loop, by coroutine."""
        return self.call(
            lambda: {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks() if not task.done()}
        )


@contextlib.contextmanager
def serve(
    engine: Engine,
    *,
    new_loop: Callable[[], asyncio.AbstractEventLoop] = TurnLoop,
) -> Iterator[Live]:
    """Serve until the block ends. Raises RuntimeError when the server does not come up. `wait_until` needs a TurnLoop."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            create_app(engine),
            http=Protocol,
            ws=WebSocketProtocol,
            lifespan="on",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config, Connections(engine.metrics, engine.settings, open_files=10_000), new_loop)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            if not server.ready.wait(_DEADLINE):
                msg = "the server did not start"
                raise RuntimeError(msg)
            yield Live(engine, server, listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(_DEADLINE)
            assert not thread.is_alive()
