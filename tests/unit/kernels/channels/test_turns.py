"""Turns: what each kernel gets of the loop's time, counted with a clock of our own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.kernels.channels.turns import BUDGET, SLICE, Turn, Turns

pytestmark = pytest.mark.anyio
STEP = SLICE / 5


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Kernel:
    """Has so many messages; each takes a step of time."""

    def __init__(self, clock: Clock, messages: int) -> None:
        self._clock = clock
        self.left = messages
        self.delivered = 0
        self.fails_at = 0  # the number of the message whose listener raises

    def deliver(self, turn: Turn) -> bool:
        while self.left:
            self.left -= 1
            self.delivered += 1
            self._clock.now += STEP
            if self.delivered == self.fails_at:
                raise ZeroDivisionError
            if turn.is_over:
                return self.left > 0
        return False


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def turns(clock: Clock) -> Turns:
    return Turns(asyncio.get_running_loop(), clock)


async def test_a_kernel_that_says_little_is_heard_at_once(turns: Turns, clock: Clock):
    kernel = Kernel(clock, 4)
    turns.give(kernel)
    assert (kernel.left, repr(turns)) == (0, "<Turns 0 waiting>")


async def test_a_flood_gets_a_slice_at_once_and_the_rest_later(turns: Turns, clock: Clock):
    kernel = Kernel(clock, 100)
    turns.give(kernel)
    assert kernel.delivered in (5, 6)
    while kernel.left:
        before = kernel.delivered
        await asyncio.sleep(0)
        assert 0 < kernel.delivered - before <= 6 * BUDGET / SLICE


@pytest.mark.parametrize("kernels", [2, 20])
async def test_many_floods_take_no_more_time_of_a_turn_than_one(turns: Turns, clock: Clock, kernels: int):
    flooding = [Kernel(clock, 200) for _ in range(kernels)]
    for kernel in flooding:
        turns.give(kernel)
    while any(kernel.left for kernel in flooding):
        began = clock.now
        await asyncio.sleep(0)
        assert clock.now - began <= BUDGET + SLICE


async def test_those_that_wait_are_served_in_turn(turns: Turns, clock: Clock):
    flooding = [Kernel(clock, 1000) for _ in range(7)]
    for kernel in flooding:
        turns.give(kernel)
    while any(kernel.left for kernel in flooding):
        await asyncio.sleep(0)
        delivered: list[Any] = [kernel.delivered for kernel in flooding]
        assert max(delivered) - min(delivered) <= 12  # a slice, or two


async def test_a_source_whose_listener_raises_goes_on_with_what_comes_next(turns: Turns, clock: Clock):
    kernel = Kernel(clock, 3)
    kernel.fails_at = 1
    with pytest.raises(ZeroDivisionError):
        turns.give(kernel)
    while kernel.left:
        await asyncio.sleep(0)
    assert kernel.delivered == 3
