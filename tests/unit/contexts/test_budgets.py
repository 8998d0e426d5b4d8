"""Budgets: bytes, of one holder and of all, and the little that each may hold whatever the others do."""

from __future__ import annotations

import asyncio

import pytest

from engine.contexts.budgets import Budget, Share
from engine.errors import TooManyBytes
from engine.metrics import Metrics

pytestmark = pytest.mark.anyio


def budget(limit: int, *, spared: int = 0) -> tuple[Budget, Metrics]:
    metrics = Metrics()
    return Budget(limit, metrics, purpose="queues", what="All queues hold", spared=spared), metrics


def test_a_share_refuses_what_is_more_than_its_limit_and_says_the_numbers():
    whole, metrics = budget(1000)
    share = Share(whole, 100, "This queue holds")
    share.take(60)
    share.check(40)
    with pytest.raises(
        TooManyBytes, match="This queue holds 60 bytes, at most 100; this request has 41 more"
    ) as caught:
        share.check(41)
    assert caught.value.retry_after >= 1
    assert 'polyrepl_refused_total{purpose="queues"} 1.0' in metrics.render().decode()
    assert 'polyrepl_held_bytes{purpose="queues"} 60.0' in metrics.render().decode()


def test_an_empty_share_takes_anything_that_all_have_room_for():
    whole, _ = budget(1000)
    share = Share(whole, 100, "")
    share.check(1000)
    share.take(1000)
    with pytest.raises(TooManyBytes):
        Share(whole, 100, "").check(1)


def test_what_is_spared_for_each_is_never_refused_for_what_others_hold():
    whole, _ = budget(1000, spared=50)
    greedy, modest = Share(whole, 5000, ""), Share(whole, 5000, "")
    greedy.take(1050)
    with pytest.raises(TooManyBytes, match="All queues hold 1000 bytes"):
        greedy.check(1)
    modest.check(50)
    modest.take(50)
    assert modest.held == 50
    assert whole.held == 1000
    with pytest.raises(TooManyBytes):
        modest.check(1)


def test_what_is_taken_and_given_back_in_any_order_leaves_nothing():
    whole, _ = budget(1000, spared=50)
    shares = [Share(whole, 500, "") for _ in range(3)]
    for share in shares:
        for size in (10, 100, 30):
            share.take(size)
    for share in shares:
        for size in (100, 10, 30):
            share.give(size)
    assert [share.held for share in shares] == [0, 0, 0]
    assert whole.held == 0


async def test_a_wait_for_room_ends_when_another_share_gives_something_back():
    whole, _ = budget(100)
    other, share = Share(whole, 200, ""), Share(whole, 200, "")
    other.take(150)
    waiting = asyncio.create_task(share.room())
    await asyncio.sleep(0)
    other.give(10)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    other.give(50)
    async with asyncio.timeout(60):
        await waiting


async def test_a_wait_for_room_that_is_cancelled_is_forgotten():
    whole, _ = budget(100)
    share = Share(whole, 50, "")
    share.take(50)
    waiting = asyncio.create_task(share.room())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert not whole._waiters
