"""Messages on a kernel's websocket: both forms that Jupyter's servers speak, as bytes and text; no sockets.

`v1.kernel.websocket.jupyter.org`: `u64 n | n x u64 offset | channel | header | parent_header | metadata | content | buffers`,
little-endian. Without it: one JSON object as text; with buffers `u32 n | n x u32 offset | JSON | buffers`, big-endian."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from engine.errors import MessageError
from engine.jupyter.contents import AT_ONCE, EMPTY
from engine.jupyter.json_reader import JsonReader, Steps
from engine.jupyter.messages import Channel

V1 = "v1.kernel.websocket.jupyter.org"

_PARTS = ("header", "parent_header", "metadata", "content")
_MAX_PARTS = 1024
_MAX_MEMBERS = 100  # of the object that a message is in the older form
_CHANNELS = {channel.value: channel for channel in Channel}
_NONE = msgspec.Raw(EMPTY)


class _Legacy(msgspec.Struct):
    channel: str
    header: msgspec.Raw
    parent_header: msgspec.Raw = _NONE
    metadata: msgspec.Raw = _NONE
    content: msgspec.Raw = _NONE


_legacy_decoder = msgspec.json.Decoder(_Legacy)
_text_decoder = msgspec.json.Decoder(str)

Parts = list[bytes]
"""Header, parent_header, metadata, content and buffers."""


def encode_v1(channel: Channel, parts: Sequence[bytes]) -> bytes:
    segments = [channel.value.encode(), *parts]
    count = len(segments) + 1
    offsets = [8 * (count + 1)]
    for segment in segments:
        offsets.append(offsets[-1] + len(segment))
    return b"".join((struct.pack(f"<{count + 1}Q", count, *offsets), *segments))


def decode_v1(data: bytes) -> tuple[Channel, Parts]:
    """Raises MessageError for what is no such message."""
    if len(data) < 8:
        raise MessageError("a websocket message without a number of parts")
    (count,) = struct.unpack_from("<Q", data)
    if not 6 <= count <= _MAX_PARTS or len(data) < 8 * (count + 1):
        msg = f"a websocket message of {len(data)} bytes that says {count} offsets"
        raise MessageError(msg)
    offsets = struct.unpack_from(f"<{count}Q", data, 8)
    if offsets[0] < 8 * (count + 1) or offsets[-1] > len(data) or any(a > b for a, b in pairwise(offsets)):
        raise MessageError("a websocket message whose offsets do not fit it")
    channel, *parts = (data[start:end] for start, end in pairwise(offsets))
    return _channel(channel.decode("ascii", "replace")), parts


def encode_legacy(channel: Channel, parts: Sequence[bytes]) -> str | bytes:
    """Text; bytes for a message with buffers."""
    buffers = parts[len(_PARTS) :]
    fields = b",".join(b'"%s":%s' % (name.encode(), part) for name, part in zip(_PARTS, parts, strict=False))
    text = b'{"channel":"%s","buffers":[],%s}' % (channel.value.encode(), fields)
    if not buffers:
        return text.decode()
    segments = [text, *buffers]
    offsets = [4 * (len(segments) + 1)]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    return b"".join((struct.pack(f"!{len(segments) + 1}I", len(segments), *offsets), *segments))


def decode_legacy(data: str | bytes) -> Steps[tuple[Channel, Parts]]:
    """In steps, where it is large. Raises MessageError for what is no such message."""
    buffers: Parts = []
    text: bytes = data.encode("utf-8", "replace") if isinstance(data, str) else data
    if isinstance(data, bytes):
        text, *buffers = _split_legacy(data)
    found = _decoded(text) if len(text) <= AT_ONCE else None
    if found is None:
        found = yield from _read_legacy(text)
    return _channel(found.channel), [bytes(getattr(found, name)) for name in _PARTS] + buffers


def _decoded(text: bytes) -> _Legacy | None:
    """None for what strict readers do not take: NaN and half pairs, which Python's encoder lets through."""
    try:
        return _legacy_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _read_legacy(text: bytes) -> Steps[_Legacy]:
    reader = JsonReader(text)
    values: dict[str, msgspec.Raw] = {}
    for name in reader.names(_MAX_MEMBERS):
        value = yield from reader.json()
        if name in _Legacy.__struct_fields__:
            values[name] = value.raw()
    reader.end()
    try:
        channel = _text_decoder.decode(values.pop("channel"))
    except (KeyError, msgspec.DecodeError):
        raise MessageError("a websocket message without a channel") from None
    return _Legacy(channel, **values)


def _split_legacy(data: bytes) -> Parts:
    count = struct.unpack_from("!I", data)[0] if len(data) >= 4 else 0
    if not 1 <= count <= _MAX_PARTS or len(data) < 4 * (count + 1):
        raise MessageError("a websocket message with buffers whose head does not fit it")
    offsets = [*struct.unpack_from(f"!{count}I", data, 4), len(data)]
    if offsets[0] < 4 * (count + 1) or any(a > b for a, b in pairwise(offsets)):
        raise MessageError("a websocket message with buffers whose offsets do not fit it")
    return [data[start:end] for start, end in pairwise(offsets)]


def _channel(name: str) -> Channel:
    channel = _CHANNELS.get(name)
    if channel is None:
        msg = f"a message of the channel {name[:40]!r}, which is not known"
        raise MessageError(msg)
    return channel
