"""Jupyter messages as values: built, signed, checked and parsed here; no sockets.

Wire form of the Jupyter messaging protocol 5.x: `[<IDS|MSG>, signature, header, parent_header, metadata, content, *buffers]`."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import msgspec

from engine.errors import MessageError

DELIMITER = b"<IDS|MSG>"
PROTOCOL_VERSION = "5.4"
EMPTY = b"{}"
_NO_PARENT = (EMPTY, b"null")  # xeus has no object there in its first message
_MAX_DEPTH = 200  # of nested JSON; encoders, ours and clients', give up somewhat deeper
_TOO_DEEP = f"content is nested more than {_MAX_DEPTH} deep"
_MAX_BRACKETS = 4_000_000  # lists and objects of a message: parsed, they take 20 to 30 times the memory of their text
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
_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


class Message:
    """A message from a kernel. Only the two headers are parsed on arrival; metadata and content on first use."""

    __slots__ = (
        "_content",
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
        content: dict[str, Any] | bytes = EMPTY,
        metadata: dict[str, Any] | bytes = EMPTY,
        buffers: Sequence[bytes] = (),
        header: bytes = EMPTY,
        parent: bytes = EMPTY,
    ) -> None:
        self.header = header
        self.parent = parent
        self.channel = channel
        self.msg_type = msg_type
        self.parent_id = parent_id
        self.buffers = buffers
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
        metadata = self._raw_metadata or _encoder.encode(self._metadata)
        content = self._raw_content or _encoder.encode(self._content)
        return [header, parent, metadata, content, *self.buffers]

    @property
    def content(self) -> dict[str, Any]:
        if self._content is None:
            self._content = _decode_object(self._raw_content)
            self._raw_content = b""
        return self._content

    @property
    def metadata(self) -> dict[str, Any]:
        if self._metadata is None:
            self._metadata = {} if self._raw_metadata == EMPTY else _decode_object(self._raw_metadata)
        return self._metadata


def _split(value: dict[str, Any] | bytes) -> tuple[bytes, dict[str, Any] | None]:
    return (value, None) if isinstance(value, bytes) else (b"", value)


def _decode_object(raw: bytes) -> dict[str, Any]:
    """Decode a JSON object; bytes that are not UTF-8, lone surrogates and NaN (all seen from kernels) are made valid."""
    brackets = raw.count(b"[") + raw.count(b"{")
    if brackets > _MAX_BRACKETS:
        msg = f"content has more than {_MAX_BRACKETS} brackets"
        raise MessageError(msg)
    try:
        value = _decoder.decode(raw)
    except RecursionError:
        raise MessageError(_TOO_DEEP) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            value = _valid(json.loads(raw.decode("utf-8", "replace"), parse_constant=str))
        except RecursionError:
            raise MessageError(_TOO_DEEP) from None
        except ValueError as error:
            raise MessageError(f"content is not JSON: {error}") from None
    if not isinstance(value, dict):
        msg = f"content is not a JSON object but {type(value).__name__}"
        raise MessageError(msg)
    if brackets > _MAX_DEPTH and _depth(value) > _MAX_DEPTH:
        raise MessageError(_TOO_DEEP)
    return value


def _depth(value: Any) -> int:
    """How deeply a value is nested; without recursion, and no further than the limit."""
    level = [value]
    depth = 0
    while level and depth <= _MAX_DEPTH:
        depth += 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
    return depth


def _valid(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_valid(entry) for entry in value]
    if isinstance(value, dict):
        return {_valid(key): _valid(entry) for key, entry in value.items()}
    return value


def encode_header(msg_type: str, *, session: str = "") -> bytes:
    """The header of a message that we make in a kernel's place."""
    date = datetime.now(UTC).isoformat()
    return _encoder.encode(_OutgoingHeader(uuid.uuid4().hex, session, "polyrepl", date, msg_type, PROTOCOL_VERSION))


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
        signed = frames[frames.index(DELIMITER) + 1 :] if DELIMITER in frames else ()
        if len(signed) < 5:
            msg = f"{len(frames)} frames are not a message"
            raise MessageError(msg)
        signature, *parts = signed
        if self._mac is not None and not hmac.compare_digest(self.sign(parts[:4]), signature):
            msg = "wrong signature"
            raise MessageError(msg)
        return self.parse_parts(channel, parts)

    def parse_parts(self, channel: Channel, parts: Sequence[bytes]) -> Message:
        """Read header, parent_header, metadata, content and buffers. Raises MessageError when a header is not one."""
        header, parent, metadata, content, *buffers = parts
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
