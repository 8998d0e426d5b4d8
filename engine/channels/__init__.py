"""The channels to one kernel (layer 2): one interface, whatever carries the messages. Above it there are messages only, no sockets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from engine.messages import Channel, Message

Listener = Callable[[Message], None]


class Channels(ABC):
    """A conversation with a kernel. Messages arrive at `listener`, in the loop, in the order of their channel."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    @abstractmethod
    async def open(self) -> None:
        """Return once requests reach the kernel and its output reaches us. Has no deadline of its own: the caller sets one."""

    @abstractmethod
    async def open_stdin(self) -> None:
        """Return once the kernel can ask for input; called before the first request that allows it."""

    @abstractmethod
    def send(self, channel: Channel, msg_type: str, content: Any, *, metadata: Mapping[str, Any] | None = None) -> str:
        """Send a request without waiting; returns its msg_id."""

    @abstractmethod
    async def drain(self) -> None:
        """Deliver what a dead kernel still had sent; takes 50 ms at most."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close for good; may be called again."""
