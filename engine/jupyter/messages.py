"""Jupyter messages as values: built, signed, checked and parsed here; no sockets.

Wire form of the Jupyter messaging protocol 5.x: `[<IDS|MSG>, signature, header, parent_header, metadata, content, *buffers]`."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import msgspec

from engine.errors import MessageError
from engine.jupyter.contents import EMPTY, read_content, read_metadata
from engine.jupyter.json_reader import Steps

DELIMITER = b"<IDS|MSG>"
PROTOCOL_VERSION = "5.4"
_OWN_SESSION = uuid.uuid4().hex  # of messages that we make
_NO_PARENT = (EMPTY, b"null")  # xeus has no object there in its first message
_MAX_HEADER = 64 * 1024  # bytes
_WRONG_SIGNATURE = "wrong signature"
_SIGNED_AT_ONCE = 256 * 1024  # bytes
_REMEMBERED_HEADERS = 128


class Channel(Enum):
    """The channels of the protocol; `heartbeat` is replaced by watching the process."""

    SHELL = "shell"
    IOPUB = "iopub"
    CONTROL = "control"
    STDIN = "stdin"


class _Header(msgspec.Struct):
    msg_id: str
    msg_type: str


class _Parent(msgspec.Struct):
    msg_id: str = ""


class _OutgoingHeader(msgspec.Struct):
    msg_id: str
    session: str
    username: str
    date: str
    msg_type: str
    version: str


_header_decoder = msgspec.json.Decoder(_Header)
_parent_decoder = msgspec.json.Decoder(_Parent)
_encoder = msgspec.json.Encoder()


class Message:
    """A message from a kernel. Only the two headers are parsed on arrival; content by `read`, metadata on first use."""

    __slots__ = (
        "_content",
        "_error",
        "_metadata",
        "_raw_content",
        "_raw_metadata",
        "buffers",
        "channel",
        "header",
        "msg_type",
        "parent",
        "parent_id",
        "size",
    )

    def __init__(
        self,
        channel: Channel,
        msg_type: str,
        parent_id: str,
        *,
        content: dict[str, Any] | bytes | memoryview = EMPTY,
        metadata: dict[str, Any] | bytes | memoryview = EMPTY,
        buffers: Sequence[bytes | memoryview] = (),
        header: bytes = EMPTY,
        parent: bytes = EMPTY,
    ) -> None:
        self.header = header
        self.parent = parent
        self.channel = channel
        self.msg_type = msg_type
        self.parent_id = parent_id
        self.buffers = buffers
        self._error: MessageError | None = None
        self._raw_content, self._content = _split(content)
        self._raw_metadata, self._metadata = _split(metadata)
        self.size = len(self._raw_content) + len(self._raw_metadata)  # bytes; 0 when it was made from objects

    def __repr__(self) -> str:
        return f"<Message {self.channel.value} {self.msg_type} of {self.parent_id or '-'}>"

    def parts(self) -> list[bytes]:
        """Header, parent_header, metadata, content and buffers, as they came. Of a message of our own making: made now."""
        header, parent = self.header, self.parent
        if header == EMPTY:
            header = encode_header(self.msg_type)
        if parent == EMPTY and self.parent_id:
            parent = _encoder.encode({"msg_id": self.parent_id})
        metadata = bytes(self._raw_metadata) or _encoder.encode(self._metadata)
        content = bytes(self._raw_content) or _encoder.encode(self._content)
        return [header, parent, metadata, content, *map(bytes, self.buffers)]

    def read(self) -> Steps[Message] | None:
        """Read the content; returns the steps of a long work, which the caller does before others take the message, and the last of
        which returns it. What is wrong with the content is raised to those who use it."""
        if self._content is not None or self._error is not None:
            return None
        try:
            found = read_content(self.msg_type, self._raw_content)
        except MessageError as error:
            self._error = error
            return None
        if isinstance(found, dict):
            self._content = found
            return None
        return self._read(found)

    def _read(self, steps: Steps[dict[str, Any]]) -> Steps[Message]:
        try:
            self._content = yield from steps
        except MessageError as error:
            self._error = error
        return self

    @property
    def content(self) -> dict[str, Any]:
        """As `contents.read_content` has it. Raises MessageError."""
        if self._content is None:
            for _ in self.read() or ():
                pass
        if self._error is not None:
            raise self._error
        assert self._content is not None
        return self._content

    @property
    def metadata(self) -> dict[str, Any]:
        """Raises MessageError."""
        if self._metadata is None:
            self._metadata = read_metadata(self._raw_metadata)
        return self._metadata


def _split(value: dict[str, Any] | bytes | memoryview) -> tuple[bytes | memoryview, dict[str, Any] | None]:
    return (b"", value) if isinstance(value, dict) else (value, None)


def encode_header(msg_type: str) -> bytes:
    """The header of a message that we make in a kernel's place."""
    date = datetime.now(UTC).isoformat()
    return _encoder.encode(
        _OutgoingHeader(uuid.uuid4().hex, _OWN_SESSION, "polyrepl", date, msg_type, PROTOCOL_VERSION)
    )


def _signed(frames: Sequence[bytes]) -> tuple[bytes, Sequence[bytes]]:
    signed = frames[frames.index(DELIMITER) + 1 :] if DELIMITER in frames else ()
    if len(signed) < 5:
        msg = f"{len(frames)} frames are not a message"
        raise MessageError(msg)
    return signed[0], signed[1:]


class Session:
    """One side of a conversation with a kernel: numbers, signs and checks messages.

    `key` is the connection's; an empty one means unsigned messages."""

    def __init__(self, key: bytes) -> None:
        self.id = uuid.uuid4().hex
        self._count = 0
        self._mac = hmac.new(key, digestmod=hashlib.sha256) if key else None
        self._sent: dict[bytes, str] = {}  # msg_id by header: one that comes back byte by byte needs no parsing

    def sign(self, parts: Sequence[bytes]) -> bytes:
        if self._mac is None:
            return b""
        mac = self._mac.copy()
        for part in parts:
            mac.update(part)
        return mac.hexdigest().encode()

    def build(
        self, msg_type: str, content: Any, *, metadata: Any = None, parent_header: bytes = EMPTY
    ) -> tuple[str, list[bytes]]:
        """Make a request; returns its msg_id and its frames, from the delimiter on."""
        msg_id, parts = self.build_parts(msg_type, content, metadata=metadata, parent_header=parent_header)
        return msg_id, [DELIMITER, self.sign(parts), *parts]

    def build_parts(
        self, msg_type: str, content: Any, *, metadata: Any = None, parent_header: bytes = EMPTY
    ) -> tuple[str, list[bytes]]:
        """The same without delimiter and signature: header, parent_header, metadata, content."""
        self._count += 1
        msg_id = f"{self.id}_{self._count}"
        header = _encoder.encode(
            _OutgoingHeader(msg_id, self.id, "polyrepl", datetime.now(UTC).isoformat(), msg_type, PROTOCOL_VERSION)
        )
        self._sent[header] = msg_id
        if len(self._sent) > _REMEMBERED_HEADERS:
            del self._sent[next(iter(self._sent))]
        encoded_metadata = _encoder.encode(metadata) if metadata else EMPTY
        return msg_id, [header, parent_header, encoded_metadata, _encoder.encode(content)]

    def parse(self, channel: Channel, frames: Sequence[bytes]) -> Message:
        """Read the frames of one message, routing prefix included.

        Raises MessageError when the delimiter is missing, the signature is wrong or a header is not one."""
        signature, parts = _signed(frames)
        if self._mac is not None and not hmac.compare_digest(self.sign(parts[:4]), signature):
            raise MessageError(_WRONG_SIGNATURE)
        return self.parse_parts(channel, parts)

    def parse_large(self, channel: Channel, frames: Sequence[bytes]) -> Steps[Message]:
        """As `parse`, in steps."""
        signature, parts = _signed(frames)
        if self._mac is not None:
            mac = self._mac.copy()
            for part in parts[:4]:
                for start in range(0, len(part), _SIGNED_AT_ONCE):
                    mac.update(memoryview(part)[start : start + _SIGNED_AT_ONCE])
                    yield
            if not hmac.compare_digest(mac.hexdigest().encode(), signature):
                raise MessageError(_WRONG_SIGNATURE)
        message = self.parse_parts(channel, parts)
        steps = message.read()
        return message if steps is None else (yield from steps)

    def parse_parts(self, channel: Channel, parts: Sequence[bytes | memoryview]) -> Message:
        """Read header, parent_header, metadata, content and buffers. Raises MessageError when a header is not one."""
        header, parent, metadata, content, *buffers = parts
        if max(len(header), len(parent)) > _MAX_HEADER:
            msg = f"bad header: {max(len(header), len(parent))} bytes; at most {_MAX_HEADER} are allowed"
            raise MessageError(msg)
        header, parent = bytes(header), bytes(parent)
        try:
            head = _header_decoder.decode(header)
            parent_id = self._sent.get(parent)
            if parent_id is None:
                parent_id = "" if parent in _NO_PARENT else _parent_decoder.decode(parent).msg_id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MessageError(f"bad header: {error}") from None
        return Message(
            channel,
            head.msg_type,
            parent_id,
            content=content,
            metadata=metadata,
            buffers=buffers,
            header=header,
            parent=parent,
        )
