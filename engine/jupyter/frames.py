"""Frames of the stream channel: many messages in one stream of bytes, cut and joined here; no sockets.

A frame, little-endian: `u32 length of the rest | u8 version | u8 channel | u16 number of parts | u32 size of each part | parts`."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from engine.errors import MessageError
from engine.jupyter.messages import Channel

VERSION = 1
MAX_FRAME = 64 * 1024 * 1024  # bytes after the length; the largest item and the largest request are well below
MAX_PARTS = 1024  # four, and the buffers of widgets
_LARGE = 256 * 1024  # bytes of a part that is not copied
MESSAGE_PARTS = 4  # header, parent_header, metadata, content

_CHANNELS = (Channel.SHELL, Channel.IOPUB, Channel.CONTROL, Channel.STDIN)
_NUMBERS = {channel: number for number, channel in enumerate(_CHANNELS)}
_HEAD = struct.Struct("<IBBH")
_SIZES = struct.Struct(f"<{MESSAGE_PARTS}I")
_AFTER_LENGTH = _HEAD.size - 4


class Frame(NamedTuple):
    """One message as it travels. `parts`: header, parent_header, metadata, content, buffers. Large ones are not copied."""

    channel: Channel
    parts: list[bytes | memoryview]


def frame_pieces(channel: Channel, parts: Sequence[bytes]) -> list[bytes]:
    """The bytes of a frame, in pieces: a large part is not copied. Raises MessageError for one that the other side would refuse."""
    sizes = [len(part) for part in parts]
    length = _AFTER_LENGTH + 4 * len(parts) + sum(sizes)
    if length > MAX_FRAME or not MESSAGE_PARTS <= len(parts) <= MAX_PARTS:
        msg = f"a frame of {length} bytes in {len(parts)} parts cannot be sent"
        raise MessageError(msg)
    head = _HEAD.pack(length, VERSION, _NUMBERS[channel], len(parts))
    pieces = [head, struct.pack(f"<{len(sizes)}I", *sizes), *parts]
    if length <= _LARGE:
        return [b"".join(pieces)]
    joined = []
    for is_large, found in groupby(pieces, key=lambda piece: len(piece) > _LARGE):
        some = list(found)
        joined += some if is_large else [b"".join(some)]
    return joined


class FrameDecoder:
    """Cuts a stream of bytes into frames: `feed` what came, then take frames until there is none.

    Holds no more than one frame and what was fed behind it; memory for a frame grows with its bytes, not with the length it claims.
    After a MessageError there is no way to tell where the next frame begins: every later call raises it again."""

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""  # as fed, or a copy that grows while a frame is incomplete
        self._at = 0
        self._length: int | None = None  # of the frame at `_at`, once its head has been read
        self._channel = Channel.SHELL
        self._count = 0
        self._error: MessageError | None = None

    @property
    def held(self) -> int:
        """Bytes that are not taken yet; not 0 after the last frame: a message was cut off."""
        return len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        if self._error is not None:
            return
        if self._at == len(self._data):
            self._data = data
        else:
            if not isinstance(self._data, bytearray):
                self._data = bytearray(self._data)
            del self._data[: self._at]  # does not move the bytes behind it
            self._data += data
        self._at = 0

    def take(self) -> Frame | None:
        """The next frame; None while it is not complete. Raises MessageError for what is no frame, as early as can be."""
        if self._error is not None:
            raise self._error
        try:
            return self._take()
        except MessageError as error:
            self._error = error
            self._data, self._at = b"", 0
            raise

    def _take(self) -> Frame | None:
        size = len(self._data)
        if self._length is None:
            if size - self._at < _HEAD.size:
                return None
            self._length = self._read_head()
        end = self._at + 4 + self._length
        if size < end:
            return None
        parts = self._cut(end)
        self._length = None
        if end == size:
            self._data, self._at = b"", 0  # a large copy is not kept for what may come later
        elif any(isinstance(part, memoryview) for part in parts):  # they keep the copy; what follows goes elsewhere
            with memoryview(self._data) as view:
                self._data, self._at = bytes(view[end:]), 0
        else:
            self._at = end
        return Frame(self._channel, parts)

    def _read_head(self) -> int:
        length, version, channel, count = _HEAD.unpack_from(self._data, self._at)
        if version != VERSION:
            msg = f"version {version} of a frame where {VERSION} is spoken"
        elif length > MAX_FRAME:
            msg = f"a frame of {length} bytes, more than {MAX_FRAME}"
        elif channel >= len(_CHANNELS):
            msg = f"channel {channel} is not known"
        elif not MESSAGE_PARTS <= count <= MAX_PARTS:
            msg = f"a frame of {count} parts, not {MESSAGE_PARTS} to {MAX_PARTS}"
        elif length < _AFTER_LENGTH + 4 * count:
            msg = f"a frame of {length} bytes has no room for the sizes of {count} parts"
        else:
            self._channel, self._count = _CHANNELS[channel], count
            return int(length)
        raise MessageError(msg)

    def _cut(self, end: int) -> list[bytes | memoryview]:
        """The parts of the frame that ends at `end`."""
        data, count = self._data, self._count
        start = self._at + _HEAD.size
        # Four parts are the rule, and a format that is compiled already.
        sizes = (
            _SIZES.unpack_from(data, start) if count == MESSAGE_PARTS else struct.unpack_from(f"<{count}I", data, start)
        )
        start += 4 * count
        if start + sum(sizes) != end:
            msg = f"the sizes of a frame's parts add up to {sum(sizes)} bytes where {end - start} are"
            raise MessageError(msg)
        parts: list[bytes | memoryview] = []
        if isinstance(data, bytes):
            for size in sizes:
                parts.append(data[start : start + size])
                start += size
            return parts
        view = memoryview(data)
        for size in sizes:
            part = view[start : start + size]
            parts.append(part if size > _LARGE else bytes(part))
            start += size
        return parts
