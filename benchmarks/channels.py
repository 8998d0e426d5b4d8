"""The channels of a Jupyter kernel on one websocket, in either of the protocols that Jupyter's servers speak."""

from __future__ import annotations

import json
import struct
import uuid
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .client import WebSocket

V1 = "v1.kernel.websocket.jupyter.org"


@dataclass(slots=True)
class Message:
    """What came from a kernel: its type, the id of the request that it answers, and its content."""

    kind: str
    parent: str | None
    content: dict[str, Any]


class Channels:
    """A websocket to a kernel: with `is_v1` messages are segments with offsets, otherwise whole JSON documents."""

    def __init__(
        self, port: int, kernel_id: str, session: str, headers: dict[str, str], *, is_v1: bool, quickack: bool
    ) -> None:
        self._session, self._is_v1 = session, is_v1
        path = f"/api/kernels/{kernel_id}/channels?session_id={session}"
        self._socket = WebSocket(port, path, headers, protocol=V1 if is_v1 else "", quickack=quickack)

    def request(self, code: str) -> str:
        """Send an execute_request and return its msg_id."""
        msg_id = uuid.uuid4().hex
        header = {"msg_id": msg_id, "msg_type": "execute_request", "version": "5.3"}
        header |= {"session": self._session, "username": "", "date": "2026-01-01T00:00:00.000000Z"}
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
        content |= {"allow_stdin": False, "stop_on_error": True}
        if self._is_v1:
            self._socket.send(_joined([b"shell", *(json.dumps(part).encode() for part in (header, {}, {}, content))]))
        else:
            message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
            self._socket.send(json.dumps({**message, "channel": "shell", "buffers": []}))
        return msg_id

    def receive(self, deadline: float) -> Message:
        """Return the next message, decoded; raise LateError at the deadline (on the clock of time.perf_counter)."""
        data = self._socket.receive(deadline)
        if self._is_v1:
            header, parent, _, content = (json.loads(segment) for segment in _split(data)[1:5])
        else:
            message = json.loads(data)
            header, parent, content = message["header"], message["parent_header"], message["content"]
        return Message(header["msg_type"], parent.get("msg_id"), content)

    def has_input(self) -> bool:
        return self._socket.has_input()

    def close(self) -> None:
        self._socket.close()


def _joined(segments: list[bytes]) -> bytes:
    """Write the number of offsets, the offsets (each segment's, and that of the end), and the segments."""
    offsets = [8 * (len(segments) + 2)]
    for segment in segments:
        offsets.append(offsets[-1] + len(segment))
    return struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + b"".join(segments)


def _split(data: bytes | bytearray) -> list[bytes | bytearray]:
    (count,) = struct.unpack_from("<Q", data)
    offsets = struct.unpack_from(f"<{count}Q", data, 8)
    return [data[start:end] for start, end in pairwise(offsets)]
