"""Threads for files: a share for each context, and none waits for one that hangs."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Iterator

import pytest

from engine.workspaces.threads import _MOST_STUCK, Disk, Lane, Stuck, Threads
from tests.harness.waiting import until, until_elsewhere

pytestmark = pytest.mark.anyio
LONG = 60.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Work that hangs ends when this is set."""
    made = threading.Event()
    yield made
    made.set()


async def hang(lane: Lane, gate: threading.Event) -> None:
    with pytest.raises(Stuck):
        await lane.run(lambda: gate.wait(LONG), timeout=0.01)


async def test_what_a_thread_returns_or_raises_is_passed_on():
    lane = Lane(Disk().files)
    assert await lane.run(lambda: 1 + 1, timeout=LONG) == 2
    with pytest.raises(ZeroDivisionError):
        await lane.run(lambda: 1 / 0, timeout=LONG)


async def test_one_context_has_a_few_threads_and_the_others_have_theirs(gate: threading.Event):
    threads = Threads("test", most=3, each=2)
    busy, other = Lane(threads), Lane(threads)
    working = [asyncio.create_task(busy.run(lambda: gate.wait(LONG), timeout=LONG)) for _ in range(9)]
    await asyncio.sleep(0)
    assert repr(threads) == "<Threads 2 of 3 running, 0 stuck>"
    assert await other.run(lambda: "done", timeout=LONG) == "done"
    gate.set()
    await asyncio.gather(*working)


async def test_a_context_whose_file_system_hangs_is_refused_at_once_and_no_other(gate: threading.Event):
    threads = Threads("test", most=2, each=2)
    broken, other = Lane(threads), Lane(threads)
    await asyncio.gather(hang(broken, gate), hang(broken, gate))
    with pytest.raises(Stuck):
        await broken.run(lambda: "never", timeout=LONG)
    assert await asyncio.gather(*(other.run(lambda: "done", timeout=LONG) for _ in range(4))) == ["done"] * 4
    gate.set()
    await until(lambda: threads.stuck == 0)
    assert await broken.run(lambda: "again", timeout=LONG) == "again"


async def test_what_waits_behind_threads_that_hang_is_refused_too(gate: threading.Event):
    threads = Threads("test", most=2, each=1)
    lane = Lane(threads)
    hanging = asyncio.create_task(hang(lane, gate))
    await asyncio.sleep(0)
    with pytest.raises(Stuck):
        await lane.run(lambda: "never", timeout=LONG)
    await hanging


async def test_contexts_that_hang_one_after_the_other_take_a_bounded_number_of_threads(gate: threading.Event):
    threads = Threads("test", most=2, each=1)
    await asyncio.gather(*(hang(Lane(threads), gate) for _ in range(_MOST_STUCK)))
    assert threads.stuck == _MOST_STUCK
    with pytest.raises(Stuck):
        await Lane(threads).run(lambda: "never", timeout=LONG)
    gate.set()
    await until(lambda: threads.stuck == 0)


async def test_a_caller_that_leaves_does_not_take_a_turn(gate: threading.Event):
    lane = Lane(Threads("test", most=1, each=1))
    done: list[str] = []
    first = asyncio.create_task(lane.run(lambda: gate.wait(LONG), timeout=LONG))
    leaving = asyncio.create_task(lane.run(lambda: done.append("left"), timeout=LONG))
    staying = asyncio.create_task(lane.run(lambda: done.append("stayed"), timeout=LONG))
    await asyncio.sleep(0)
    leaving.cancel()
    gate.set()
    await asyncio.gather(first, staying)
    assert done == ["stayed"]


async def test_where_no_thread_can_be_started_the_work_fails_and_later_work_is_done(monkeypatch: pytest.MonkeyPatch):
    threads = Threads("test", most=1, each=1)
    lane = Lane(threads)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(3):
            with pytest.raises(OSError, match="no thread can be started"):
                await lane.run(lambda: "never", timeout=LONG)
    assert repr(threads) == "<Threads 0 of 1 running, 0 stuck>"
    assert await lane.run(lambda: "done", timeout=LONG) == "done"


@pytest.mark.parametrize("ends", ["the caller leaves", "it is late", "the caller leaves, and it is late"])
async def test_what_comes_for_nobody_is_dropped(gate: threading.Event, ends: str):
    lane, dropped = Lane(Threads("test", most=1, each=1)), []

    def work() -> str:
        gate.wait(LONG)
        return "late"

    timeout = 0.01 if "late" in ends else LONG
    working = asyncio.create_task(lane.run(work, timeout=timeout, drop=dropped.append))
    await asyncio.sleep(0)
    if "leaves" in ends:
        working.cancel()
    if "late" in ends:
        await until(lambda: lane.stuck == 1)
    await asyncio.wait({working})
    assert working.cancelled() or isinstance(working.exception(), Stuck)
    gate.set()
    await until_elsewhere(lambda: dropped == ["late"])


async def test_what_has_come_when_its_caller_leaves_is_dropped(monkeypatch: pytest.MonkeyPatch):
    threads = Threads("test", most=1, each=1)
    lane, dropped, real = Lane(threads), [], threads.offer

    def offer(lane: Lane) -> None:
        real(lane)
        if not lane.running:  # the result is there, and was not seen yet
            working.cancel()

    monkeypatch.setattr(threads, "offer", offer)
    working = asyncio.create_task(lane.run(lambda: "done", timeout=LONG, drop=dropped.append))
    await asyncio.wait({working})
    assert working.cancelled()
    await until_elsewhere(lambda: dropped == ["done"])


async def test_an_idle_thread_keeps_nothing_of_what_it_did(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.workspaces.threads._IDLE_SECONDS", 600.0)

    class Held:
        pass

    held = Held()
    gone = weakref.ref(held)
    await Lane(Disk().files).run(lambda kept=held: bool(kept), timeout=60)  # the first work of its thread
    del held
    async with asyncio.timeout(60):
        while gone() is not None:
            await asyncio.sleep(0.01)
