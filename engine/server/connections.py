"""The connections of a server: how many there may be, and which one makes room for a new one."""

from __future__ import annotations

from itertools import islice
from typing import Protocol

from uvicorn.server import ServerState

from engine.metrics import Metrics
from engine.settings import Settings

_LOOKED_AT = 1000  # connections that are asked whether they are idle, before a new one is refused


class Holder(Protocol):
    """Whoever speaks with the peer of a connection: a protocol of uvicorn's."""

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""

    def evict(self) -> None:
        """End the connection at once."""


class Peer:
    """The other end of one connection. It is authorized once a request of it was let in."""

    __slots__ = ("_connections", "holder", "is_authorized")

    def __init__(self, connections: Connections, holder: Holder) -> None:
        self._connections = connections
        self.holder: Holder | None = holder
        self.is_authorized = False

    def note_authorized(self) -> None:
        if not self.is_authorized:
            self.is_authorized = True
            self._connections.note_authorized(self)

    def leave(self) -> None:
        """The connection is gone. May be called again."""
        self.holder = None
        self._connections.remove(self)

    def evict(self, reason: str) -> None:
        """End the connection at once. `reason`: for the metric."""
        holder = self.holder
        self.leave()
        if holder is not None:
            self._connections.note_closed(reason)
            holder.evict()


class Connections(ServerState):
    """What uvicorn's protocols share, with a budget of connections.

    Peers without authorization have a budget of their own: one that is new takes the place of the oldest. So whoever has a token is
    always let in. When all places are taken, one of them is closed, or else an authorized connection without a request.
    `open_files`: how many the process may have. `peer_timeout`: seconds in which a peer has to go on with what it has begun, see
    `engine.server.uvicorn_protocols`."""

    def __init__(
        self,
        metrics: Metrics,
        settings: Settings,
        *,
        open_files: int,
    ) -> None:
        super().__init__()
        self.metrics = metrics
        self.peer_timeout = settings.peer_timeout
        self._limit = settings.max_connections or open_files // 2
        self._max_unauthorized = min(settings.max_unauthorized_connections, max(1, self._limit // 2))
        self._unauthorized: dict[Peer, None] = {}  # oldest first
        self._authorized: dict[Peer, None] = {}

    def __repr__(self) -> str:
        return f"<Connections {len(self._authorized)} authorized, {len(self._unauthorized)} not, at most {self._limit}>"

    def enter(self, holder: Holder) -> Peer | None:
        """Take in a new connection; None when there is no place, and none can be made."""
        if len(self._unauthorized) >= self._max_unauthorized:
            next(iter(self._unauthorized)).evict("unauthorized")
        if len(self._unauthorized) + len(self._authorized) >= self._limit and not self._make_room():
            self.note_closed("full")
            return None
        peer = Peer(self, holder)
        self._unauthorized[peer] = None
        return peer

    def note_authorized(self, peer: Peer) -> None:
        if self._unauthorized.pop(peer, peer) is None:
            self._authorized[peer] = None

    def remove(self, peer: Peer) -> None:
        self._unauthorized.pop(peer, None)
        self._authorized.pop(peer, None)

    def note_closed(self, reason: str) -> None:
        """Count a connection that the server ends by itself."""
        self.metrics.connections_closed.labels(reason).inc()

    def _make_room(self) -> bool:
        if self._unauthorized:
            next(iter(self._unauthorized)).evict("unauthorized")
            return True
        some = islice(self._authorized, _LOOKED_AT)
        idle = next((peer for peer in some if peer.holder is not None and peer.holder.is_idle), None)
        if idle is not None:
            idle.evict("idle")
        return idle is not None
