"""Serving (layer 9): uvicorn around the application, with an orderly end."""

from __future__ import annotations

import gc
import socket

import uvicorn

from engine.app import create_app
from engine.core import Engine
from engine.log import configure, get_logger
from engine.rlimits import raise_open_files
from engine.settings import Settings
from engine.wire import Protocol


class _Server(uvicorn.Server):
    """Ends what runs before it waits for connections to close, so that no request holds the shutdown up."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._engine.prepare()
            # What was imported stays for good; collections need not look at it again and again.
            gc.collect()
            gc.freeze()
            get_logger().info("serving", url=f"http://{host}:{port}", docs=f"http://{host}:{port}/docs")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        get_logger().info("shutting_down")
        await self._engine.aclose()
        await super().shutdown(sockets)


def run_server(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit status."""
    configure(settings.log_level, settings.log_format)
    raise_open_files()
    engine = Engine(settings)
    config = uvicorn.Config(
        create_app(engine),
        host=settings.host,
        port=settings.port,
        loop="auto",
        http=Protocol,
        ws="websockets-sansio",
        ws_max_size=settings.max_request_bytes,
        ws_ping_interval=settings.websocket_ping_interval or None,
        ws_ping_timeout=settings.websocket_ping_interval or None,
        ws_per_message_deflate=False,  # on one machine it costs more than it saves
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_timeout)),
    )
    server = _Server(config, engine)
    server.run()
    return 0 if server.started else 1
