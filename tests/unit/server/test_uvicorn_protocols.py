"""The head of an answer and its body leave in one write, and so do short messages of a websocket; nothing is held back for longer
than a turn of the loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.server.joiners import HeadJoiner, Joiner

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

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture
async def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def transport(recorder: Recorder) -> HeadJoiner:
    return HeadJoiner(recorder, asyncio.get_running_loop())


async def test_a_head_leaves_with_its_body(recorder: Recorder, transport: HeadJoiner):
    transport.write(HEAD)
    assert recorder.writes == []
    transport.write(b"ok")
    assert recorder.writes == [HEAD + b"ok"]
    await asyncio.sleep(0)
    assert recorder.writes == [HEAD + b"ok"]


async def test_a_head_without_a_body_leaves_in_the_next_turn_of_the_loop(recorder: Recorder, transport: HeadJoiner):
    transport.write(HEAD)
    await asyncio.sleep(0)
    assert recorder.writes == [HEAD]


async def test_a_head_is_written_before_the_connection_is_closed(recorder: Recorder, transport: HeadJoiner):
    transport.write(HEAD)
    transport.close()
    assert (recorder.writes, recorder.closed) == ([HEAD], True)


async def test_nothing_is_written_after_an_abort(recorder: Recorder, transport: HeadJoiner):
    transport.write(HEAD)
    transport.abort()
    await asyncio.sleep(0)
    assert recorder.writes == []


async def test_a_large_body_is_not_copied_behind_its_head(recorder: Recorder, transport: HeadJoiner):
    body = bytes(1_000_000)
    transport.write(HEAD)
    transport.write(body)
    assert recorder.writes == [HEAD, body]


async def test_what_is_no_head_passes_at_once(recorder: Recorder, transport: HeadJoiner):
    transport.write(b"chunk")
    transport.write(b"chunk")
    assert recorder.writes == [b"chunk", b"chunk"]


@pytest.fixture
async def joiner(recorder: Recorder) -> Joiner:
    return Joiner(recorder, asyncio.get_running_loop())


async def test_what_is_written_in_one_turn_of_the_loop_leaves_in_one_write(recorder: Recorder, joiner: Joiner):
    for part in (b"busy", b"result", b"idle"):
        joiner.write(part)
    assert recorder.writes == []
    await asyncio.sleep(0)
    assert recorder.writes == [b"busyresultidle"]
    joiner.write(b"next")
    await asyncio.sleep(0)
    assert recorder.writes == [b"busyresultidle", b"next"]


async def test_no_more_than_64_kib_are_held(recorder: Recorder, joiner: Joiner):
    part = bytes(40_000)
    for _ in range(3):
        joiner.write(part)
    assert recorder.writes == [part, part]
    joiner.write(b"rest")
    await asyncio.sleep(0)
    assert recorder.writes == [part, part, part + b"rest"]


async def test_what_is_held_for_a_peer_that_leaves_is_forgotten(recorder: Recorder, joiner: Joiner):
    joiner.write(b"a")
    recorder.closed = True
    await asyncio.sleep(0)
    assert recorder.writes == []


async def test_what_is_held_is_written_before_a_close_and_not_after_an_abort(recorder: Recorder, joiner: Joiner):
    joiner.write(b"last")
    joiner.close()
    assert (recorder.writes, recorder.closed) == ([b"last"], True)
    other = Recorder()
    aborted = Joiner(other, asyncio.get_running_loop())
    aborted.write(b"never")
    aborted.abort()
    await asyncio.sleep(0)
    assert other.writes == []
