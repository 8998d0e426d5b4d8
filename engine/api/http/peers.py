"""The other end of a request's connection, as far as the API knows it."""

from __future__ import annotations

from typing import Protocol

from starlette.types import Scope

PEER = "polyrepl.peer"
"""The extension of a scope that holds it."""


class Peer(Protocol):
    """Who is at the other end of a connection."""

    def note_authorized(self) -> None:
        """A request of it was let in."""

    def evict(self, reason: str) -> None:
        """End its connection at once. `reason`: for the metric."""


def peer_of(scope: Scope) -> Peer | None:
    """None where the server tells nothing of it."""
    found: Peer | None = (scope.get("extensions") or {}).get(PEER)
    return found
