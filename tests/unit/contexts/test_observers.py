"""Observers: what waits for absent clients is weighed once, and bounded for each session and for the server."""

from __future__ import annotations

import json

import pytest

from engine.contexts.budgets import Budget
from engine.contexts.observers import Observers
from engine.jupyter.client_frames import Outgoing
from engine.jupyter.messages import Channel, Message
from engine.metrics import Metrics
from tests.unit.contexts.world import Client


def budget(limit: int, *, spared: int = 0) -> Budget:
    return Budget(limit, Metrics(), purpose="websockets", what="", spared=spared)


def absent(total: Budget, *sessions: str, max_kept: int = 10**6) -> Observers:
    """Those of a context whose clients have been there and gone."""
    observers = Observers(max_kept=max_kept, share=total.share())
    for session in sessions:
        client = Client(session)
        observers.join(client)
        observers.leave(client)
    return observers


def publish(observers: Observers, size: int) -> None:
    observers.receive(Message(Channel.IOPUB, "stream", "", content={"name": "stdout", "text": "x" * size}))


def returned(observers: Observers, session: str) -> list[Outgoing]:
    client = Client(session)
    observers.join(client)
    return client.sent


def test_a_message_that_waits_for_many_is_weighed_once():
    total = budget(10**6)
    observers = absent(total, "a", "b", "c")
    publish(observers, 10_000)
    weight = total.held
    assert 10_000 < weight < 11_000
    for session in ("a", "b"):
        assert len(returned(observers, session)) == 1
        assert total.held == weight
    returned(observers, "c")
    assert total.held == 0


def test_what_one_session_may_have_is_what_is_weighed():
    total = budget(10**6)
    observers = absent(total, "a", max_kept=25_000)
    for _ in range(10):
        publish(observers, 10_000)
    assert 20_000 < total.held < 25_000


def test_above_the_total_the_oldest_messages_go_and_their_number_is_told():
    total = budget(50_000, spared=15_000)
    greedy, modest = absent(total, "a"), absent(total, "b")
    for _ in range(20):
        publish(greedy, 10_000)
    publish(modest, 10_000)
    assert total.held <= 50_000
    notice, *kept = returned(greedy, "a")
    assert b"messages (" in notice.encode("v1.kernel.websocket.jupyter.org")
    assert 3 <= len(kept) <= 6
    assert len(returned(modest, "b")) == 1


@pytest.mark.parametrize("way", ["the end of the context", "too many others that are away"])
def test_nothing_is_weighed_of_what_is_kept_no_more(way: str):
    total = budget(10**6)
    observers = absent(total, "a", "b")
    publish(observers, 10_000)
    if way == "the end of the context":
        observers.close("was deleted")
    else:
        for number in range(8):
            client = Client(f"other {number}")
            observers.join(client)
            observers.leave(client)
    assert total.held == 0


def test_output_without_a_parent_is_of_the_cell_that_runs():
    """C code and child processes know no request. Clients look for a msg_id in every parent."""
    observers = absent(budget(10**6), "a")
    cell = object()
    publish(observers, 1)
    observers.note_running("a", cell, b'{"msg_id":"m"}')
    publish(observers, 1)
    observers.receive(Message(Channel.IOPUB, "status", "", content={"execution_state": "starting"}))
    observers.note_stopped(cell)
    publish(observers, 1)
    before, during, status, after = [
        json.loads(each.encode(None))["parent_header"] for each in returned(observers, "a")
    ]
    assert during == {"msg_id": "m"}
    for unasked in (before, status, after):
        assert unasked["msg_type"] == "kernel_info_request"
        assert unasked["msg_id"]
