"""Server-sent events from bytes: pure. As the HTML standard says, without what this API does not send."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from polyrepl.errors import UnexpectedAnswer

_MAX_EVENT = 256 * 1024 * 1024  # bytes; a server sends no event that large


@dataclass(frozen=True, slots=True)
class Message:
    """One event: its number, and its data."""

    id: int
    data: bytes


class Decoder:
    """Bytes in, events out; what is not complete yet waits here."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0
        self._id = 0

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The events that end in this chunk. Raises UnexpectedAnswer for what is no stream of numbered events."""
        self._rest += chunk
        while (end := self._rest.find(b"\n\n", self._searched)) >= 0:
            block = bytes(self._rest[:end])
            del self._rest[: end + 2]
            self._searched = 0
            message = self._message(block)
            if message is not None:
                yield message
        self._searched = max(0, len(self._rest) - 1)
        if len(self._rest) > _MAX_EVENT:
            raise UnexpectedAnswer("the stream has no end of an event")

    def _message(self, block: bytes) -> Message | None:
        data = []
        for line in block.split(b"\n"):
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                data.append(value)
            elif name == b"id" and value.isdigit():
                self._id = int(value)
        return Message(self._id, b"\n".join(data)) if data else None
