"""Frames that no client of Jupyter sends: random, by the number of a seed."""

from __future__ import annotations

import json
import random
import struct
import uuid
from typing import Any

Chaos = random.Random
MAX_BYTES = 1024 * 1024  # a frame that is too large is larger
WRONG_VALUES: tuple[Any, ...] = (None, 0, -1, 1.5, True, "", "x", "\x00", [], [[]], [1], {}, {"a": None})


FIELDS = ("header", "parent_header", "metadata", "content", "buffers", "channel")


def request(msg_type: str = "execute_request", **content: Any) -> dict[str, Any]:
    header = {"msg_id": uuid.uuid4().hex, "msg_type": msg_type, "session": "fuzz", "version": "5.4"}
    content = content or {"code": "1", "silent": True}
    return {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }


def v1(*segments: bytes) -> bytes:
    """A frame of the binary protocol: the number of offsets, the offsets, the segments; little-endian, 64 bits each."""
    offsets = [8 * (len(segments) + 2)]
    for segment in segments:
        offsets.append(offsets[-1] + len(segment))
    return struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + b"".join(segments)


def v1_request(message: dict[str, Any]) -> bytes:
    parts = (json.dumps(message[name]).encode() for name in FIELDS[:4])
    return v1(str(message["channel"]).encode(), *parts)


def with_buffers(message: dict[str, Any], *buffers: bytes) -> bytes:
    segments = (json.dumps(message).encode(), *buffers)
    offsets = [4 * (len(segments) + 1)]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    return struct.pack(f"!{len(segments) + 1}I", len(segments), *offsets) + b"".join(segments)


def garbage(chaos: Chaos) -> str | bytes:
    made = chaos.randbytes(chaos.randrange(200))
    return chaos.choice((made, made.decode("latin-1")))


def truncated(chaos: Chaos) -> str:
    whole = json.dumps(request())
    return whole[: chaos.randrange(len(whole))]


def deep(chaos: Chaos) -> str:
    depth = chaos.choice((100, 300, 1000, 100_000))
    bracket, end = chaos.choice((("[", "]"), ('{"a":', "}")))
    nested = bracket * depth + "1" * (bracket != "[") + end * depth
    whole = json.dumps(request())
    return chaos.choice((nested, whole.replace('"metadata": {}', f'"metadata": {{"x": {nested}}}')))


def no_json_value(chaos: Chaos) -> str:
    value = chaos.choice(("NaN", "Infinity", "-Infinity", '"\\ud800"', '"\\udc00x"', "1e999", "0" * 50))
    field = chaos.choice(FIELDS)
    return json.dumps({**request(), field: "HERE"}).replace('"HERE"', chaos.choice((value, f'{{"code": {value}}}')))


def wrong_type(chaos: Chaos) -> str | bytes:
    message: dict[str, Any] = {**request(), chaos.choice(FIELDS): chaos.choice(WRONG_VALUES)}
    if chaos.random() < 0.3:
        message["header"] = {**request()["header"], chaos.choice(("msg_id", "msg_type", "session")): [1]}
    if chaos.random() < 0.3:
        message["content"] = {name: chaos.choice(WRONG_VALUES) for name in ("code", "silent", "allow_stdin")}
    return json.dumps(message)


def damaged_json_with_buffers(chaos: Chaos) -> bytes:
    frame = bytearray(with_buffers(request(), b"x" * 10, b"y"))
    struct.pack_into("!I", frame, chaos.choice((0, 4, 8, 12)), chaos.choice((0, 1, 2, 5, 999, 2**31, 2**32 - 1)))
    return bytes(frame)


def damaged_v1(chaos: Chaos) -> str | bytes:
    frame = bytearray(v1_request(request()))
    way = chaos.randrange(4)
    if way == 0:
        value = chaos.choice((0, 1, 2, 7, 1000, 2**32, 2**63, 2**64 - 1))
        struct.pack_into("<Q", frame, 8 * chaos.randrange(7), value)
    elif way == 1:
        del frame[chaos.randrange(len(frame)) :]
    elif way == 2:
        return v1_request({**request(), chaos.choice(FIELDS[:4]): chaos.choice(WRONG_VALUES)})
    else:
        return json.dumps(request())
    return bytes(frame)


def large(chaos: Chaos) -> str:
    frame = json.dumps(request(code="#", silent=True))
    size = MAX_BYTES + chaos.choice((-1000, -1, 0, 1, 1000, MAX_BYTES))
    return frame.replace("#", "#" * (size - len(frame) + 1))


DEFAULT_FRAMES = (garbage, truncated, deep, no_json_value, wrong_type, damaged_json_with_buffers, large)
