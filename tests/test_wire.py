"""The head of an answer and its body leave in one write; nothing is held back for longer than a turn of the loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.wire import HeadHolder

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"

pytestmark = pytest.mark.anyio


class Recorder(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


@pytest.fixture
async def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def transport(recorder: Recorder) -> HeadHolder:
    return HeadHolder(recorder, asyncio.get_running_loop())


async def test_a_head_leaves_with_its_body(recorder: Recorder, transport: HeadHolder):
    transport.write(HEAD)
    assert recorder.writes == []
    transport.write(b"ok")
    assert recorder.writes == [HEAD + b"ok"]
    await asyncio.sleep(0)
    assert recorder.writes == [HEAD + b"ok"]


async def test_a_head_without_a_body_leaves_in_the_next_turn_of_the_loop(recorder: Recorder, transport: HeadHolder):
    transport.write(HEAD)
    await asyncio.sleep(0)
    assert recorder.writes == [HEAD]


async def test_a_head_is_written_before_the_connection_is_closed(recorder: Recorder, transport: HeadHolder):
    transport.write(HEAD)
    transport.close()
    assert (recorder.writes, recorder.closed) == ([HEAD], True)


async def test_nothing_is_written_after_an_abort(recorder: Recorder, transport: HeadHolder):
    transport.write(HEAD)
    transport.abort()
    await asyncio.sleep(0)
    assert recorder.writes == []


async def test_a_large_body_is_not_copied_behind_its_head(recorder: Recorder, transport: HeadHolder):
    body = bytes(1_000_000)
    transport.write(HEAD)
    transport.write(body)
    assert recorder.writes == [HEAD, body]


async def test_what_is_no_head_passes_at_once(recorder: Recorder, transport: HeadHolder):
    transport.write(b"chunk")
    transport.write(b"chunk")
    assert recorder.writes == [b"chunk", b"chunk"]
