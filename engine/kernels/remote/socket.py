"""The websocket to a kernel of a remote Jupyter: opened here, in one attempt."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from functools import cache
from typing import TYPE_CHECKING

from engine.jupyter import MAX_FRAME, V1
from engine.kernels.remote.server import RemoteServer

if TYPE_CHECKING:  # an optional dependency, loaded when it is needed
    from websockets.asyncio.client import ClientConnection

_OPEN_WAIT = 10.0  # seconds of one attempt
_CLOSE_WAIT = 1.0
_PING_INTERVAL = 10.0  # seconds; a peer that is silently gone is noticed after twice that


async def open_websocket(server: RemoteServer, kernel_id: str, session_id: str) -> ClientConnection:
    """Connect to a kernel's channels. Raises ConnectionError; FileNotFoundError where the remote knows no such kernel."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus, WebSocketException
    from websockets.typing import Subprotocol

    try:
        return await connect(
            server.websocket_url(kernel_id, session_id),
            additional_headers=server.headers,
            subprotocols=[Subprotocol(V1)],
            compression=None,
            proxy=None,
            open_timeout=_OPEN_WAIT,
            close_timeout=_CLOSE_WAIT,
            ping_interval=_PING_INTERVAL,
            ping_timeout=_PING_INTERVAL,
            max_size=MAX_FRAME,
            create_connection=_prompt_connection(),
        )
    except InvalidStatus as error:
        status = error.response.status_code
        if status == 404:
            raise FileNotFoundError("no longer there") from None
        reason = f"it answers {status}"
    except (WebSocketException, OSError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
    raise ConnectionError(f"no websocket to a kernel of {server.url}: {reason[:300]}")


@cache
def _prompt_connection() -> type[ClientConnection]:
    """A connection that acknowledges at once what it received. Jupyter's servers send a cell's messages as small packets, each
    of which waits for the acknowledgement of the one before, and a delayed one takes Linux 40 ms."""
    from websockets.asyncio.client import ClientConnection

    quick_ack = getattr(socket, "TCP_QUICKACK", None)  # Linux

    class Prompt(ClientConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self._acknowledge()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._acknowledge()

        def _acknowledge(self) -> None:
            sock = self.transport.get_extra_info("socket")
            if quick_ack is not None and sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
                with contextlib.suppress(OSError):  # closed meanwhile
                    sock.setsockopt(socket.IPPROTO_TCP, quick_ack, 1)  # Linux takes it back by itself

    return Prompt
