"""Values as JSON."""

from __future__ import annotations

from typing import Any

import msgspec


def encode(value: Any, encoder: msgspec.json.Encoder = msgspec.json.Encoder()) -> bytearray:  # noqa: B008 - it has no state
    """A value of any size as JSON. Raises MemoryError; `Encoder.encode` and orjson, whose buffers cannot grow then, crash the process."""
    buffer = bytearray()
    encoder.encode_into(value, buffer)
    return buffer
