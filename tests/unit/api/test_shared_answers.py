"""Readers of one execution share what is encoded, and what those hold that stall is bounded."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import msgspec
import pytest
from starlette.types import Message

from engine.api.http import large, results
from engine.api.http.large import PIECE, LargeResponse
from engine.api.http.peers import PEER
from engine.contexts import Execution
from engine.contexts.execution import Request
from engine.contexts.leftovers import Leftovers
from engine.jupyter import Channel
from engine.jupyter import Message as JupyterMessage
from engine.models import Gap, Logs
from engine.output import OutputLimits, to_lines
from tests.harness.waiting import until

pytestmark = pytest.mark.anyio

LIMITS = OutputLimits(stream_bytes=12_000_000, item_bytes=12_000_000, items=10, output_bytes=48_000_000)


def finished(*texts: str) -> Execution:
    execution = Execution(Request("", 1.0), context_id="a", language="python", limits=LIMITS, max_events=1000)
    execution.start()
    for text in texts:
        for event in execution._normalizer.write("stdout", text):
            execution.journal.append(event)
    execution.end("ok", context_state="preserved")
    return execution


def shown(msg_type: str, text: str) -> JupyterMessage:
    content = {"data": {"text/plain": text}, "metadata": {}, "transient": {"display_id": "d"}}
    return JupyterMessage(Channel.IOPUB, msg_type, "cell", content=content)


class TestResults:
    async def test_readers_of_one_result_share_one_encoding_of_it(self):
        execution = finished("x" * 2_000_000)

        async def read() -> list[bytes]:
            responses = await asyncio.gather(*(results.result_response(execution) for _ in range(50)))
            return [bytes(each.body) for each in responses]

        bodies = await read()
        assert len({id(each) for each in bodies}) == 1
        assert msgspec.json.decode(bodies[0])["logs"]["stdout"] == ["x" * 2_000_000]
        await asyncio.sleep(0)
        gc.collect()
        assert [key for key in results._shared if key[0] == execution.id] == []

    async def test_readers_of_the_same_events_do_too(self):
        execution = finished("x" * 2_000_000)
        first, second = await asyncio.gather(*(results.events_response(execution, 0) for _ in range(2)))
        other = await results.events_response(execution, 1)
        assert first.body is second.body
        assert len(msgspec.json.decode(other.body)["events"]) == len(msgspec.json.decode(first.body)["events"]) - 1

    @pytest.mark.parametrize("text", ["more", "b" * 100_000], ids=["longer", "as long"])
    async def test_late_output_is_in_the_next_answer_also_when_it_is_as_long_as_what_it_replaces(self, text: str):
        execution = finished()
        execution.receive(shown("display_data", "a" * 100_000))
        before = await results.result_response(execution)
        execution.receive(shown("update_display_data", text))
        after = await results.result_response(execution)
        assert [msgspec.json.decode(each.body)["items"][0]["text"][0] for each in (before, after)] == ["a", text[0]]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "\n",
            "a\nb",
            "a\n\n",
            "a\rb\n" * 200_000,
            "\n" * (2 * PIECE),
            "x" * (2 * PIECE) + "\nlast",
            "é\n" * PIECE,
            "\\n\n",
        ],
        ids=range(9),
    )
    async def test_lines_are_those_that_a_terminal_would_show(self, text: str):
        execution = finished()
        told = msgspec.json.decode(results.encode_result(execution.result(logs=Logs([], [])), text, "", size=len(text)))
        assert told["logs"] == {"stdout": to_lines(text), "stderr": []}

    async def test_integers_beyond_64_bits_are_told(self):
        result = finished().result()
        result.variables = {"big": 2**70}  # type: ignore[assignment]
        assert msgspec.json.decode(results.encode_result(result, "a", "", size=1))["logs"]["stdout"] == ["a"]


class Peer:
    reason = ""

    def note_authorized(self) -> None: ...

    def evict(self, reason: str) -> None:
        self.reason = reason


class TestLarge:
    async def test_the_body_goes_in_pieces_of_the_same_buffer(self):
        sent: list[Any] = []

        async def send(message: Message) -> None:
            sent.append(message.get("body", b""))

        body = bytes(3 * PIECE + 1)
        await LargeResponse(body)({"type": "http"}, None, send)  # type: ignore[arg-type]
        assert b"".join(sent) == body
        assert max(map(len, sent)) == PIECE
        assert all(piece.obj is body for piece in sent if piece)

    async def test_of_readers_that_hold_too_much_those_go_that_have_stalled(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(large, "_MAX_HELD", 3 * PIECE)
        monkeypatch.setattr(large, "_STALLED", 0.0)

        body = bytes(2 * PIECE)
        peers = [Peer() for _ in range(4)]
        bodies = [body, body, other := bytes(2 * PIECE), other]
        readers = [
            asyncio.create_task(_read(LargeResponse(each), peer)) for each, peer in zip(bodies, peers, strict=True)
        ]
        await until(lambda: len(large.Reading._all) == 2)
        assert [peer.reason for peer in peers] == ["stalled", "stalled", "", ""]
        for reader in readers:
            reader.cancel()
        await asyncio.wait(readers)
        assert not large.Reading._all


async def _read(response: LargeResponse, peer: Peer) -> None:
    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    await response({"type": "http", "extensions": {PEER: peer}}, None, send)  # type: ignore[arg-type]


class TestForgotten:
    async def test_what_slow_readers_hold_of_forgotten_executions_is_bounded(self):
        leftovers = Leftovers(8_000_000)
        followed = [finished(*["a" * 400_000] * 5) for _ in range(4)]
        readers = [each.follow() for each in followed]
        for reader in readers:
            assert (await anext(reader)) is not None
        for execution in followed:
            leftovers.add(execution)
        kept = sum(execution.size for execution in followed)
        assert 0 < kept <= 8_000_000
        assert followed[-1].size
        rest = [entry[1] async for entry in readers[0] if entry]
        assert any(isinstance(event, Gap) for event in rest)

    async def test_one_that_nobody_reads_is_let_go(self):
        leftovers = Leftovers(0)
        execution = finished("a" * 1000)
        leftovers.add(execution)
        assert execution.stdout == "a" * 1000

    async def test_a_slow_reader_holds_no_more_than_a_part_of_what_is_there(self):
        execution = finished(*["x" * 600_000] * 10)
        assert len(execution.journal.read(0)) == 12
        assert len(execution.journal.read(0, max_bytes=1_000_000)) < 5
        assert len([entry async for entry in execution.follow()]) == 12
