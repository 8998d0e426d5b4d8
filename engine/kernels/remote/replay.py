"""What a replay of a remote kernel's messages asks for, and what its answer holds: pure. The kernel's side is in
engine.kernels.remote.cells."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from engine.errors import MessageError
from engine.jupyter import Channel, Message, Parts
from engine.kernels.remote.losses import Numbers

KEPT_BYTES = 16 * 1024 * 1024  # of a kernel's latest messages, in its own memory
_ANSWER_BYTES = 4 * 1024 * 1024


class _Header(msgspec.Struct):
    msg_type: str = ""


class Answer(msgspec.Struct):
    """A reply's content. `parts`: of each message; `dropped`: the highest number that is not kept any more; `more`: not all fit."""

    parts: list[int]
    dropped: int
    more: bool


_header_decoder = msgspec.json.Decoder(_Header)


def question(numbers: Numbers) -> dict[str, Any]:
    """The content of a replay request for what has not come."""
    return {"after": numbers.highest, "missing": numbers.missing(), "limit": _ANSWER_BYTES}


def read_answer(reply: Message) -> Answer:
    """Raises MessageError for what is no such answer."""
    try:
        return msgspec.convert(reply.content, Answer)
    except msgspec.ValidationError as error:
        raise MessageError(f"a bad replay: {error}") from None


def messages_of(reply: Message, answer: Answer) -> Iterator[tuple[Channel, Parts]]:
    """The messages that the kernel has sent again, in its order."""
    parts = iter(reply.buffers)
    for count in answer.parts:
        message = [bytes(part) for part in islice(parts, count)]
        if count < 4 or len(message) < count:
            raise MessageError("a bad replay: its parts do not fit it")
        yield _channel_of(message[0]), message


def _channel_of(header: bytes) -> Channel:
    """Where a message of this header belongs, as far as that tells: what was asked on the control channel, it does not."""
    try:
        msg_type = _header_decoder.decode(header).msg_type
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MessageError(f"a bad replay: {error}") from None
    if msg_type == "input_request":
        return Channel.STDIN
    return Channel.SHELL if msg_type.endswith("_reply") else Channel.IOPUB
