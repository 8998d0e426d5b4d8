"""The warm pool: how many kernels it keeps ready, when it starts and ends them, and what a new context gets."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any, cast

import pytest

from engine.kernels.kernel import Kernel
from engine.kernels.memory import Memory
from engine.kernels.pool import Machine, Pool
from engine.kernels.provisioners import Exit
from engine.kernels.stock import Member, Rate, Stock
from engine.languages import Language
from engine.metrics import Metrics
from engine.settings import Settings
from engine.workspaces.workspace import Workspace

GIB = 1024**3


class Here:
    """What the pool asks of a backend. The numbers of kernels that are not current any more are in `stale`."""

    def __init__(self) -> None:
        self.stale: set[int] = set()

    def is_current(self, kernel: Any) -> bool:
        return kernel.number not in self.stale


HERE = Here()
PYTHON = Language("python", "polyrepl-python", placed_on=cast(Any, HERE))
BASH = Language("bash", "bash", placed_on=cast(Any, HERE))


class IdleKernel:
    """What the pool sees of a kernel. The rig numbers them in the order of their starts."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_alive = True
        self.exited: asyncio.Future[Exit] = asyncio.Future(loop=_LOOP)

    def die(self) -> None:
        self.is_alive = False
        self.exited.set_result(Exit(-signal.SIGKILL))


_LOOP = asyncio.new_event_loop()  # never runs: for futures that only hold a value
_LOOP.close()


class Clock(Machine):
    """A machine whose clock, cores and memory are the test's."""

    def __init__(self, rig: Rig) -> None:
        self.cores = 2
        self._rig = rig

    def memory(self) -> Memory:
        return self._rig.memory

    def now(self) -> float:
        return self._rig.now


class Rig:
    """A pool with a clock, cores and memory of the test's, whose plans the test itself carries out."""

    def __init__(self, *kept: Language, **settings: Any) -> None:
        self.now = 1000.0
        self.busy = 0
        self.memory = Memory(available=8 * GIB, reserve=GIB)
        self.stale = HERE.stale
        self.stale.clear()
        self.metrics = Metrics()
        self.kernels: list[IdleKernel] = []
        self.starting: list[Stock] = []
        self.pool = Pool(
            Settings(**settings),
            kept=kept or (PYTHON,),
            run_dir=cast(Any, None),
            metrics=self.metrics,
            load=self,
            machine=Clock(self),
        )

    def decide(self) -> str:
        """What the pool wants now."""
        plan = self.pool.decide()
        self.starting += plan.start
        ends = [f"end {cast(Any, member.kernel).number}" for member in plan.end]
        return ", ".join([f"start {stock.language.name}" for stock in plan.start] + ends)

    def started(self, seconds: float = 0.5) -> None:
        """What was being started is ready."""
        for stock in self.starting:
            kernel = IdleKernel(len(self.kernels))
            self.kernels.append(kernel)
            workspace = Workspace(Path("/r"), Path("/r/work"), Path("/r/tmp"))
            stock.note_started(Member(cast(Kernel, kernel), workspace), seconds)
        self.starting.clear()

    def failed(self, reason: str = "no such file") -> None:
        for stock in self.starting:
            stock.is_starting = False
            stock.note_failure(self.now, reason)
        self.starting.clear()

    def fill(self, seconds: float = 0.5) -> None:
        while self.decide():
            self.started(seconds)

    def take(self, language: Language = PYTHON) -> int | None:
        member = self.pool.take(language)
        return cast(Any, member.kernel).number if member else None

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"polyrepl_{name}", {"language": "python", **labels}) or 0.0


class TestSize:
    def test_a_kept_language_is_filled_to_the_floor_by_one_start_at_a_time(self):
        rig = Rig()
        assert repr(rig.pool) == "<Pool OPEN, [<Stock python, 0 ready>]>"
        assert rig.decide() == "start python"
        assert rig.decide() == ""
        assert repr(rig.pool) == "<Pool OPEN, [<Stock python, 0 ready, 1 starting>]>"
        rig.started()
        assert rig.decide() == "start python"
        rig.started()
        assert rig.decide() == ""
        assert repr(rig.pool) == "<Pool OPEN, [<Stock python, 2 ready>]>"
        assert rig.count("pool_ready") == 2

    def test_several_languages_are_started_side_by_side(self):
        rig = Rig(PYTHON, BASH)
        assert rig.decide() == "start python, start bash"

    def test_the_oldest_member_is_taken_and_replaced(self):
        rig = Rig()
        rig.fill()
        assert rig.take() == 0
        assert rig.decide() == "start python"
        assert rig.take() == 1
        assert rig.take() is None
        rig.started()
        assert rig.take() == 2
        assert (rig.count("pool_takes_total", outcome="hit"), rig.count("pool_takes_total", outcome="miss")) == (3, 1)

    def test_without_a_ceiling_there_is_no_pool(self):
        rig = Rig(pool_max=0)
        assert rig.take() is None
        assert rig.decide() == ""
        assert repr(rig.pool) == "<Pool OFF, []>"
        assert rig.count("pool_takes_total", outcome="miss") == 0

    def test_with_a_floor_of_zero_members_are_there_only_while_they_are_taken(self):
        rig = Rig(pool_min=0)
        assert rig.decide() == ""
        rig.pool._stocks["python"]._start_seconds = 0.5
        rig.take()
        assert rig.decide() == "start python"

    def test_another_language_has_members_from_its_first_use_until_it_is_not_used_for_minutes(self):
        rig = Rig()
        rig.fill()
        assert rig.take(BASH) is None
        rig.fill()
        assert repr(rig.pool) == "<Pool OPEN, [<Stock python, 2 ready>, <Stock bash, 2 ready>]>"
        rig.now += 290
        assert rig.decide() == ""
        rig.now += 20
        assert rig.decide() == "end 2, end 3"
        assert repr(rig.pool) == "<Pool OPEN, [<Stock python, 2 ready>, <Stock bash, 0 ready>]>"
        rig.now += 1000
        assert rig.decide() == ""

    def test_demand_raises_the_size_up_to_the_ceiling_and_what_is_too_much_goes_later(self):
        rig = Rig(pool_max=4)
        rig.fill(seconds=1.0)
        sizes = set()
        for _ in range(100):
            rig.now += 0.1
            rig.take()
            rig.fill(seconds=1.0)
            sizes.add(len(rig.pool._stocks["python"].ready))
        assert sizes == {2, 3, 4}
        rig.now += 55
        assert rig.decide() == ""
        rig.now += 10
        assert [rig.decide().count("end"), rig.decide()] == [2, ""]
        assert rig.count("pool_discarded_total", reason="surplus") == 2

    def test_quick_starts_need_no_more_than_the_floor(self):
        rig = Rig()
        rig.fill(seconds=0.01)
        for _ in range(200):
            rig.now += 0.02
            rig.take()
            rig.fill(seconds=0.01)
        assert repr(rig.pool) == "<Pool OPEN, [<Stock python, 2 ready>]>"

    def test_the_moving_average_comes_near_the_true_rate_and_fades(self):
        rate = Rate()
        for number in range(300):
            rate.note(number / 5)
        assert rate.at(60.0) == pytest.approx(5.0, rel=0.05)
        assert rate.at(200.0) < 0.001


class TestCores:
    def test_busy_cores_put_a_start_off_for_some_seconds_at_most(self):
        rig = Rig()
        rig.busy = 2
        assert rig.decide() == ""
        rig.now += 2.9
        assert rig.decide() == ""
        rig.now += 0.2
        assert rig.decide() == "start python"
        rig.started()
        assert rig.decide() == ""  # the next one has to wait as well
        rig.now += 3.1
        assert rig.decide() == "start python"

    def test_a_free_core_is_used_at_once(self):
        rig = Rig()
        rig.busy = 2
        assert rig.decide() == ""
        rig.busy = 1
        assert rig.decide() == "start python"


class TestFailures:
    def test_starts_that_fail_are_tried_again_after_ever_longer_pauses_and_the_reason_is_kept(self):
        rig = Rig()
        pauses = []
        for _ in range(13):
            waited = 0
            while not rig.decide():
                rig.now += 1
                waited += 1
            pauses.append(waited)
            rig.failed()
        assert pauses == [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
        assert rig.pool.describe() == "python: no such file"
        assert repr(rig.pool) == "<Pool OPEN, [<Stock python, 0 ready, no such file>]>"
        rig.now += 301
        rig.decide()
        rig.started()
        assert rig.pool.describe() == "ok"

    def test_a_language_that_fails_does_not_hold_up_another(self):
        rig = Rig(PYTHON, BASH)
        for _ in range(3):
            rig.decide()
            rig.failed()
        rig.pool._stocks["bash"]._failures = 0
        assert rig.decide() == "start bash"

    def test_a_dead_member_is_never_handed_out_and_replaced_at_once(self):
        rig = Rig()
        rig.fill()
        rig.kernels[0].die()
        assert rig.take() == 1
        assert rig.decide() == "start python, end 0"
        assert rig.count("pool_discarded_total", reason="died") == 1
        assert "SIGKILL" in rig.pool.describe()

    def test_members_that_keep_dying_are_replaced_ever_more_slowly(self):
        rig = Rig(pool_min=1)
        for _ in range(6):
            while "start" not in rig.decide():
                rig.now += 1
            rig.started()
            rig.kernels[-1].die()
        assert rig.now == 1000 + 1 + 2 + 4 + 8

    def test_a_member_that_was_taken_ends_the_pauses(self):
        rig = Rig()
        for _ in range(5):
            rig.decide()
            rig.failed()
            rig.now += 100
        rig.fill()
        rig.take()
        rig.take()
        rig.decide()
        rig.failed()
        assert rig.decide() == "start python"

    def test_members_that_would_be_started_differently_today_are_replaced(self):
        rig = Rig()
        rig.fill()
        rig.stale |= {0, 1}
        assert rig.take() is None
        assert rig.decide() == "start python, end 0, end 1"
        assert rig.count("pool_discarded_total", reason="stale") == 2
        assert rig.pool.describe() == "ok"


class TestMemory:
    def test_short_memory_drains_the_pool_and_ample_memory_fills_it_again_after_a_while(self):
        rig = Rig()
        rig.fill()
        rig.memory = Memory(available=GIB - 1, reserve=GIB)
        assert rig.decide() == "end 0, end 1"
        assert repr(rig.pool) == "<Pool DRAINED, [<Stock python, 0 ready>]>"
        assert rig.pool.describe() == "drained: memory is short"
        assert rig.take() is None
        rig.memory = Memory(available=2 * GIB, reserve=GIB)
        assert rig.decide() == ""
        rig.now += 61
        rig.memory = Memory(available=2 * GIB - 1, reserve=GIB)
        assert rig.decide() == ""
        rig.memory = Memory(available=2 * GIB, reserve=GIB)
        assert rig.decide() == "start python"

    def test_a_member_that_comes_up_while_memory_is_short_is_ended(self):
        rig = Rig()
        rig.decide()
        rig.memory = Memory(available=0, reserve=GIB)
        assert rig.decide() == ""
        rig.started()
        assert rig.decide() == "end 0"
        assert rig.count("pool_discarded_total", reason="memory") == 1
