"""Clients on plain sockets: HTTP/1.1 with keep-alive, and just enough websocket to talk to a Jupyter server.

A general HTTP library costs 2-3 ms per request, which would hide half of what is measured here.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from .procs import PeerError

_CHUNK = 1 << 18
_LONGEST_SILENCE = 4.0


class LateError(PeerError):
    """No complete answer came before the client's deadline."""


class _Stream:
    """A TCP connection with a read buffer and one deadline for everything that is read."""

    def __init__(self, port: int, *, quickack: bool = False) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._quickack = quickack
        self._buffer = bytearray()
        self.deadline = time.perf_counter() + 30.0

    def send(self, data: bytes) -> None:
        self._socket.settimeout(30.0)
        self._socket.sendall(data)

    def is_open(self) -> bool:
        """Tell whether the other side has neither closed nor reset the idle connection."""
        try:
            readable, _, _ = select.select([self._socket], [], [], 0)
            return not readable or bool(self._socket.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def has_input(self) -> bool:
        return bool(self._buffer) or bool(select.select([self._socket], [], [], 0)[0])

    def _wait(self) -> None:
        left = self.deadline - time.perf_counter()
        if left <= 0:
            msg = "no answer before the client's deadline"
            raise LateError(msg)
        self._socket.settimeout(left)

    def _fill(self) -> None:
        self._wait()
        try:
            data = self._socket.recv(_CHUNK)
        except TimeoutError:
            msg = "no answer before the client's deadline"
            raise LateError(msg) from None
        if self._quickack:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if not data:
            msg = "connection closed in the middle of an answer"
            raise PeerError(msg)
        self._buffer += data

    def until(self, mark: bytes) -> bytes:
        """Return what comes before `mark` and consume both."""
        while (at := self._buffer.find(mark)) < 0:
            self._fill()
        found = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return found

    def exactly(self, size: int) -> bytearray:
        """Return the next `size` bytes; a large remainder is received in place, without copies."""
        if size <= len(self._buffer):
            found = self._buffer[:size]
            del self._buffer[:size]
            return found
        found = bytearray(size)
        have = len(self._buffer)
        found[:have] = self._buffer
        self._buffer.clear()
        view = memoryview(found)
        while have < size:
            self._wait()
            try:
                got = self._socket.recv_into(view[have:])
            except TimeoutError:
                msg = f"{have} of {size} bytes before the client's deadline"
                raise LateError(msg) from None
            if self._quickack:
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            if got == 0:
                msg = f"connection closed after {have} of {size} bytes"
                raise PeerError(msg)
            have += got
        return found

    def close(self) -> None:
        self._socket.close()


class HttpClient:
    """One keep-alive connection, renewed when the server has closed it or is about to.

    Servers on uvicorn close after 5 s of silence; a request sent at that very moment would be reset.
    """

    def __init__(self, port: int, headers: dict[str, str] | None = None) -> None:
        self._port = port
        self._stream: _Stream | None = None
        self._used = 0.0
        lines = {"Host": f"127.0.0.1:{port}", **(headers or {})}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        timeout: float = 60.0,
        accept: str = "application/json",
        prefer: str = "",
        on_data: Callable[[bytes], None] | None = None,
    ) -> tuple[int, bytes | bytearray]:
        """Send one request and return status and body; `on_data` sees each piece of a chunked body as it comes."""
        payload = b"" if body is None else json.dumps(body).encode()
        kind = "" if body is None else "Content-Type: application/json\r\n"
        kind += f"Prefer: {prefer}\r\n" if prefer else ""
        head = (
            f"{method} {path} HTTP/1.1\r\n{self._head}Accept: {accept}\r\n{kind}Content-Length: {len(payload)}\r\n\r\n"
        )
        if self._stream is None or time.perf_counter() - self._used > _LONGEST_SILENCE or not self._stream.is_open():
            self.close()
            self._stream = _Stream(self._port)
        stream = self._stream
        stream.deadline = time.perf_counter() + timeout
        try:
            stream.send(head.encode() + payload)
            answer = self._read(stream, on_data)
            self._used = time.perf_counter()
            return answer
        except BaseException:
            self.close()
            raise

    def json(self, method: str, path: str, body: Any = None, *, timeout: float = 60.0, prefer: str = "") -> Any:
        """Send one request and return the decoded body; raise PeerError for a status of 400 or more."""
        status, data = self.request(method, path, body, timeout=timeout, prefer=prefer)
        if status >= 400:
            msg = f"{method} {path} answered {status}: {data[:200].decode(errors='replace')}"
            raise PeerError(msg)
        return json.loads(data) if data else None

    def _read(self, stream: _Stream, on_data: Callable[[bytes], None] | None) -> tuple[int, bytes | bytearray]:
        first, *lines = stream.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(first.split(" ", 2)[1])
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        data: bytes | bytearray
        if headers.get("transfer-encoding", "").lower() == "chunked":
            data = self._read_chunks(stream, on_data)
        elif "content-length" in headers:
            data = stream.exactly(int(headers["content-length"]))
        else:
            data = b""
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, data

    @staticmethod
    def _read_chunks(stream: _Stream, on_data: Callable[[bytes], None] | None) -> bytes:
        parts: list[bytes] = []
        while size := int(stream.until(b"\r\n").split(b";")[0], 16):
            parts.append(bytes(stream.exactly(size)))
            stream.until(b"\r\n")
            if on_data is not None:
                on_data(parts[-1])
        stream.until(b"\r\n")
        return b"".join(parts)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class WebSocket:
    """A websocket client: text or binary messages out and in, pings answered."""

    def __init__(
        self, port: int, path: str, headers: dict[str, str], *, protocol: str = "", quickack: bool = False
    ) -> None:
        self._stream = _Stream(port, quickack=quickack)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = {
            "Host": f"127.0.0.1:{port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13",
            **headers,
        }
        if protocol:
            lines["Sec-WebSocket-Protocol"] = protocol
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._stream.send(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        answer, *fields = self._stream.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        if " 101" not in answer:
            msg = f"websocket refused: {answer}"
            raise PeerError(msg)
        pairs = (field.partition(":") for field in fields)
        agreed = next((value.strip() for name, _, value in pairs if name.lower() == "sec-websocket-protocol"), "")
        if agreed != protocol:
            msg = f"the server agreed to {agreed or 'no protocol'} where {protocol or 'none'} was offered"
            raise PeerError(msg)

    def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self._frame(0x1, message.encode())
        else:
            self._frame(0x2, message)

    def receive(self, deadline: float) -> bytes | bytearray:
        """Return the next whole message; raise LateError at the deadline (on the clock of time.perf_counter)."""
        self._stream.deadline = deadline
        parts: list[bytes | bytearray] = []
        while True:
            final, code, data = self._read_frame()
            if code == 0x9:
                self._frame(0xA, bytes(data))
            elif code == 0x8:
                msg = f"websocket closed by the server: {bytes(data[2:]).decode(errors='replace') or 'no reason'}"
                raise PeerError(msg)
            elif code in (0x0, 0x1, 0x2):
                parts.append(data)
                if final:
                    return parts[0] if len(parts) == 1 else b"".join(parts)

    def has_input(self) -> bool:
        return self._stream.has_input()

    def close(self) -> None:
        self._stream.close()

    def _read_frame(self) -> tuple[bool, int, bytearray]:
        first, second = self._stream.exactly(2)
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(self._stream.exactly(2), "big")
        elif size == 127:
            size = int.from_bytes(self._stream.exactly(8), "big")
        return bool(first & 0x80), first & 0x0F, self._stream.exactly(size)

    def _frame(self, code: int, data: bytes) -> None:
        size = len(data)
        if size < 126:
            head = bytes((0x80 | code, 0x80 | size))
        elif size < 1 << 16:
            head = bytes((0x80 | code, 0xFE)) + size.to_bytes(2, "big")
        else:
            head = bytes((0x80 | code, 0xFF)) + size.to_bytes(8, "big")
        mask = os.urandom(4)
        wide = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(wide, "big")).to_bytes(size, "big")
        self._stream.send(head + mask + masked)
