"""A Jupyter websocket's frames, seen from the server: lenient with what clients send, exact with what they get; no sockets.

What is wrong with a frame is an InvalidRequest that names the field. Both forms are described in engine.jupyter.websocket_frames."""

from __future__ import annotations

import itertools
import struct
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

from engine.errors import FieldError, InvalidRequest, MessageError
from engine.jupyter.contents import AT_ONCE, EMPTY
from engine.jupyter.json_reader import JsonReader, Steps
from engine.jupyter.messages import PROTOCOL_VERSION, Channel
from engine.jupyter.websocket_frames import V1, decode_v1, encode_v1
from engine.models import encode

__all__ = ["V1", "ClientMessage", "Outgoing", "read_frame"]

_NAMES = ("header", "parent_header", "metadata", "content")
_CHANNELS = {channel.value: channel for channel in Channel}
_MAX_BUFFERS = 1000
_MAX_NAME = 1000  # characters of what is remembered of a message
_decoder = msgspec.json.Decoder()
_raw_decoder = msgspec.json.Decoder(msgspec.Raw)
_MAX_HEADER = 64 * 1024  # bytes
_NOTHING = (b"", b"null", b"false", b"0", b'""', b"[]", b"{}")
_encoder = msgspec.json.Encoder()


class _Frame(msgspec.Struct):
    """The JSON of the default form. What is passed on stays as it was written."""

    channel: Any = None
    header: msgspec.Raw = msgspec.Raw(EMPTY)
    parent_header: msgspec.Raw = msgspec.Raw(EMPTY)
    metadata: msgspec.Raw = msgspec.Raw(EMPTY)
    content: msgspec.Raw = msgspec.Raw(EMPTY)
    msg_id: Any = None
    msg_type: Any = None


_frame_decoder = msgspec.json.Decoder(_Frame)


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """A message that a client sends. `parts`: header, parent_header, metadata, content and buffers, complete and valid."""

    channel: Channel
    msg_id: str
    msg_type: str
    parts: list[bytes]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.parts))

    @property
    def is_cell(self) -> bool:
        return self.channel is Channel.SHELL and self.msg_type == "execute_request"

    @property
    def is_request(self) -> bool:
        """Whether an answer is expected; comm messages have none."""
        return self.msg_type.endswith("_request")

    @property
    def content(self) -> dict[str, Any]:
        found: dict[str, Any] = _decoder.decode(self.parts[3])
        return found


class Outgoing:
    """A message for clients, encoded at most once for all of them that speak the same form. `holders`: for how many it waits."""

    holders = 0

    def __init__(self, channel: Channel, parts: Sequence[bytes]) -> None:
        self.channel = channel
        self.size = sum(map(len, parts))
        self._parts = parts
        self._values: list[bytes] = []

    def prepare(self, subprotocol: str | None) -> Iterator[None]:
        """The steps of what takes long in `encode`, of a large message. Whoever takes them shares them with all that do."""
        return iter(()) if subprotocol == V1 or self.size <= AT_ONCE else self._checking

    def encode(self, subprotocol: str | None) -> str | bytes:
        return self._v1 if subprotocol == V1 else self._default

    @cached_property
    def _checking(self) -> Iterator[None]:
        return self._check()

    def _check(self) -> Steps[None]:
        for part in self._parts[:4]:
            self._values.append((yield from _valid_json(part)))

    @cached_property
    def _v1(self) -> bytes:
        return encode_v1(self.channel, self._parts)

    @cached_property
    def _default(self) -> str | bytes:
        for _ in self._checking:
            pass
        header = _decoder.decode(self._values[0])
        fields = {name: msgspec.Raw(value) for name, value in zip(_NAMES, self._values, strict=True)}
        message = {
            **fields,
            "msg_id": header.get("msg_id", ""),
            "msg_type": header.get("msg_type", ""),
            "buffers": [],
            "channel": self.channel.value,
        }
        text = encode(message)
        buffers = self._parts[4:]
        if not buffers:
            return text.decode()
        count = len(buffers) + 1
        offsets = [4 * (count + 1)]
        for part in (text, *buffers[:-1]):
            offsets.append(offsets[-1] + len(part))
        return b"".join((struct.pack(f"!{count + 1}I", count, *offsets), text, *buffers))


def _valid_json(part: bytes) -> Steps[bytes]:
    """The same, but for what no browser can read: bytes that are not UTF-8, NaN. In steps, where it is large."""
    if len(part) <= AT_ONCE and _is_strict(part):
        return part
    reader = JsonReader(part)
    try:
        value = yield from reader.json()
        reader.end()
    except MessageError:
        return EMPTY
    return b"".join(value.parts)


def _is_strict(part: bytes) -> bool:
    try:
        part.decode()
        if b"NaN" in part or b"Infinity" in part:
            msgspec.json.decode(part)
    except (UnicodeDecodeError, msgspec.DecodeError):
        return False
    return True


def read_frame(data: str | bytes, subprotocol: str | None) -> ClientMessage:
    """The message in a frame of a client that speaks `subprotocol` (None: the default form). Raises InvalidRequest."""
    channel, parts = _read_v1(data) if subprotocol == V1 else _read_default(data)
    header = _header(parts[0])
    for name, part in zip(_NAMES[1:], parts[1:4], strict=True):
        _check_object(part, name)
    msg_type = header.get("msg_type")
    if not isinstance(msg_type, str) or not msg_type:
        raise _wrong("header.msg_type", "must be a string that is not empty")
    if channel is Channel.IOPUB:
        raise _wrong("channel", "must be shell, control or stdin; iopub is the kernel's")
    for name in ("msg_id", "msg_type", "session"):
        if isinstance(text := header.get(name), str) and len(text) > _MAX_NAME:
            raise _wrong(f"header.{name}", f"has {len(text)} characters, and may have {_MAX_NAME}")
    msg_id = header.get("msg_id")
    if not (isinstance(msg_id, str) and msg_id and isinstance(header.get("session"), str)):
        header = _completed(header)
        parts[0] = _encoder.encode(header)
    return ClientMessage(channel, header["msg_id"], msg_type, parts)


def _completed(header: dict[str, Any]) -> dict[str, Any]:
    """With what kernels rely on, where a client left it out."""
    defaults = {
        "msg_id": uuid.uuid4().hex,
        "session": "",
        "username": "",
        "date": datetime.now(UTC).isoformat(),
        "version": PROTOCOL_VERSION,
    }
    return {**defaults, **{name: value for name, value in header.items() if isinstance(value, str) and value}}


def _read_v1(data: str | bytes) -> tuple[Channel, list[bytes]]:
    if isinstance(data, str):
        raise _wrong("frame", f"must be binary: {V1} was agreed on")
    try:
        channel, parts = decode_v1(data)
    except MessageError as error:
        raise _wrong("frame", error.message) from None
    if len(parts) < 4:
        raise _wrong("frame", "must have channel, header, parent_header, metadata and content")
    return channel, parts


def _read_default(data: str | bytes) -> tuple[Channel, list[bytes]]:
    text, buffers = (data.encode("utf-8", "replace"), []) if isinstance(data, str) else _split(data)
    try:
        message = _frame_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong("frame", _reason(error)) from None
    name = message.channel or "shell"
    channel = _CHANNELS.get(name) if isinstance(name, str) else None
    if channel is None:
        raise _wrong("channel", "must be shell, control or stdin")
    header = _part(message.header)
    beside = {"msg_id": message.msg_id, "msg_type": message.msg_type}  # as the oldest clients have it
    known = {name: value for name, value in beside.items() if isinstance(value, str)}
    if known:
        header = _encoder.encode({**known, **_header(header)})
    return channel, [header, _part(message.parent_header), _part(message.metadata), _part(message.content), *buffers]


def _part(raw: msgspec.Raw) -> bytes:
    """A part of the message; an empty object where there is nothing."""
    part = bytes(raw)
    return EMPTY if part in _NOTHING else part


def _split(data: bytes) -> tuple[bytes, list[bytes]]:
    """A binary frame of the default form: how many segments, where each begins, JSON, buffers; big-endian."""
    count = struct.unpack_from("!I", data)[0] if len(data) >= 4 else 0
    if not 1 <= count <= _MAX_BUFFERS or len(data) < 4 * (count + 1):
        raise _wrong("frame", f"says {count} segments in {len(data)} bytes")
    offsets = [*struct.unpack_from(f"!{count}I", data, 4), len(data)]
    if offsets[0] < 4 * (count + 1) or any(a > b for a, b in itertools.pairwise(offsets)):
        raise _wrong("frame", "has offsets that do not fit it")
    text, *buffers = (data[start:end] for start, end in itertools.pairwise(offsets))
    return text, buffers


def _header(raw: bytes) -> dict[str, Any]:
    if len(raw) > _MAX_HEADER:
        raise _wrong("header", f"has more than {_MAX_HEADER} bytes")
    _check_object(raw, "header")
    header: dict[str, Any] = _decoder.decode(raw)
    return header


def _check_object(raw: bytes, field: str) -> None:
    """Raises InvalidRequest for what is no JSON object. Nothing is made of it: it is for the kernel, and may be large."""
    try:
        raw.decode()
        _raw_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong(field, _reason(error)) from None
    if not raw.lstrip().startswith(b"{"):
        raise _wrong(field, "must be a JSON object")


def _reason(error: Exception) -> str:
    return "must be a JSON object" if isinstance(error, msgspec.ValidationError) else f"is not JSON: {str(error)[:200]}"


def _wrong(field: str, error: str) -> InvalidRequest:
    return InvalidRequest(FieldError(field, error), message=f"Invalid message: {field} {error}")
