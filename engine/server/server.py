"""Serving: uvicorn around the application, with an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from engine.core import Engine
from engine.errors import PolyreplError, ShuttingDown
from engine.kernels import hide_process
from engine.log import configure, get_logger
from engine.server.allocator import Trimmer, limit_arenas
from engine.server.app import create_app
from engine.server.application import Application
from engine.server.connections import Connections
from engine.server.open_files import open_standard_files, raise_open_files
from engine.server.uvicorn_protocols import Protocol, WebSocketProtocol
from engine.settings import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

_TICKS_OF_A_LOOK = 20  # uvicorn ticks every 0.1 s


class _Server(uvicorn.Server):
    """Ends what runs before it waits for connections to close, so that no request holds the shutdown up."""

    def __init__(self, config: uvicorn.Config, app: Starlette, connections: Connections) -> None:
        super().__init__(config)
        self.server_state = connections
        self._application: Application = app.state.application
        self._serving: asyncio.Task[None] | None = None
        self._trimmer = Trimmer()
        self.failed = False

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_OF_A_LOOK == 0:
            await self._trimmer.look(self.server_state.total_requests)
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            settings = self._application.engine.settings
            url = f"{'https' if settings.tls_cert else 'http'}://{host}:{port}{settings.base_url}"
            self._serving = asyncio.create_task(self._serve_parts(url))
            # What was imported stays for good; collections need not look at it again and again.
            gc.collect()
            gc.freeze()

    async def _serve_parts(self, url: str) -> None:
        """Say that all is served once it is. When a part never will be, which says why, the server ends."""
        try:
            await self._application.served()
        except ShuttingDown:
            pass
        except PolyreplError:
            self.failed = self.should_exit = True
        else:
            get_logger().info("serving", **self._application.describe(url))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End in order also when the terminal closes (SIGHUP; not if it is ignored, as under nohup), and at Ctrl-\\ (SIGQUIT)."""
        with super().capture_signals(), contextlib.ExitStack() as restored:
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGHUP, signal.SIGQUIT):
                    if signal.getsignal(number) is signal.SIG_DFL:
                        signal.signal(number, self.handle_exit)
                        restored.callback(signal.signal, number, signal.SIG_DFL)
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """uvicorn repeats the signal at the end, and SIGQUIT would write a core, with everything in memory."""
        super().handle_exit(signal.SIGTERM if sig == signal.SIGQUIT else sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        get_logger().info("shutting_down")
        await self._application.aclose()
        await super().shutdown(sockets)


class _CannotListen(Exception):
    """No socket could be opened where the settings say; the message says why."""


def _listeners(settings: Settings) -> list[socket.socket]:
    """Sockets on the port of the settings, or the first of the following ones that is free. Raises _CannotListen."""
    last = min(settings.port + settings.port_retries, 65535)
    for port in range(settings.port, last + 1):
        try:
            return _listen(settings.host, port)
        except socket.gaierror as error:
            raise _CannotListen(f"There is no host {settings.host!r}: {error.strerror}") from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise _CannotListen(f"Cannot listen on port {port} of {settings.host}: {error.strerror}") from None
    ports = (
        f"Port {last} of {settings.host} is"
        if last == settings.port
        else f"Ports {settings.port} to {last} of {settings.host} are"
    )
    raise _CannotListen(f"{ports} in use by another program. Choose another one with --port, or end that program.")


def _listen(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of the host that this machine has. Raises OSError."""
    opened: list[socket.socket] = []
    failed = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
        try:
            opened.append(socket.create_server(address, family=family, backlog=2048))
        except OSError as error:
            failed = error
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                break
    else:
        if opened:
            return opened
    for each in opened:
        each.close()
    raise failed


def run_server(settings: Settings) -> int:
    """Serve until SIGINT, SIGTERM, SIGHUP or SIGQUIT; returns the exit status."""
    open_standard_files()
    configure(settings.log_level, settings.log_format)
    open_files = raise_open_files()
    limit_arenas()
    if settings.hide_processes:
        hide_process()
    engine = Engine(settings)
    try:
        engine.check_settings()
    except PolyreplError as error:
        get_logger().error("settings_refused", reason=error.explanation)
        return 1
    try:
        app = create_app(engine)
        app.state.application.check()
    except PolyreplError as error:
        get_logger().error("not_served", reason=error.explanation)
        return 1
    try:
        listeners = _listeners(settings)
    except _CannotListen as error:
        get_logger().error("cannot_listen", reason=str(error))
        return 1
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="auto",
        http=Protocol,
        ws=WebSocketProtocol,
        ws_max_size=settings.max_request_bytes,
        ws_ping_interval=settings.websocket_ping_interval or None,
        ws_ping_timeout=settings.websocket_ping_interval or None,
        ws_per_message_deflate=False,  # on one machine it costs more than it saves
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=settings.trust_proxy_headers,
        forwarded_allow_ips="*",
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        ssl_ca_certs=str(settings.tls_client_ca) if settings.tls_client_ca else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if settings.tls_client_ca else ssl.CERT_NONE,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_timeout)),
    )
    server = _Server(config, app, Connections(engine.metrics, settings, open_files=open_files))
    server.run(listeners)
    return 0 if server.started and not server.failed else 1
