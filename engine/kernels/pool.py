"""The warm pool: started, idle kernels in directories of their own, which new contexts take at once.

`Pool.decide` and `Pool.take` are synchronous and only say what is to be started and ended; the I/O comes after them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from engine.errors import PolyreplError
from engine.kernels.kernel import Kernel
from engine.kernels.kernelspecs import warm_cell
from engine.kernels.memory import Memory, read_memory
from engine.languages import Language
from engine.log import get_logger
from engine.metrics import Metrics
from engine.settings import Settings
from engine.workspaces.run_directory import RunDir, Workspace

_WARM_TIMEOUT = 30.0  # seconds
_TICK = 2.0  # seconds between looks at what announces nothing: memory, demand that falls, pauses that end
_AFTER_TAKE = 0.02  # seconds that a refill lets the first cell of the new context go ahead
_PATIENCE = 3.0  # seconds that busy cores keep a member from being started
_WINDOW = 10.0  # seconds over which takes are averaged
_UNUSED = 300.0  # seconds without a take, after which a language that is not kept ready loses its members
_SURPLUS_KEPT = 60.0  # seconds without a take, after which more members than are wanted are ended
_LONGEST_PAUSE = 300.0  # seconds between two starts of what cannot be started
_FAILURE_FORGOTTEN = 600.0
_DRAINED_AT_LEAST = 60.0  # seconds; what the drained members held must not fill the pool again

StartKernel = Callable[[Language, Workspace], Coroutine[Any, Any, Kernel]]
Why = Literal["died", "stale", "surplus", "memory"]


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A kernel that waits for a context, and the directories it was started in."""

    kernel: Kernel
    workspace: Workspace


class Rate:
    """Moving average of how many events there are in a second; old ones fade."""

    def __init__(self) -> None:
        self._value = 0.0
        self._at = 0.0

    def note(self, now: float) -> None:
        self._value, self._at = self.at(now) + 1 / _WINDOW, now

    def at(self, now: float) -> float:
        return self._value * math.exp((self._at - now) / _WINDOW)


class Stock:
    """The members of one language: how many there are, and how many there should be. `is_kept`: also while nobody takes any."""

    def __init__(self, language: Language, *, least: int, most: int, is_kept: bool) -> None:
        self.language = language
        self.ready: deque[Member] = deque()
        self.is_starting = False
        self.problem: str | None = None
        self._least = least
        self._most = most
        self._is_kept = is_kept
        self._takes = Rate()
        self._last_take = -math.inf
        self._start_seconds = 0.0
        self._short_since: float | None = None
        self._failures = 0
        self._failed_at = -math.inf

    def __repr__(self) -> str:
        starting = ", 1 starting" if self.is_starting else ""
        problem = f", {self.problem}" if self.problem else ""
        return f"<Stock {self.language.name}, {len(self.ready)} ready{starting}{problem}>"

    def wanted(self, now: float) -> int:
        """As many as are taken while one starts, between floor and ceiling; none of a language that is not used."""
        if not self._is_kept and now - self._last_take > _UNUSED:
            return 0
        expected = math.ceil(self._takes.at(now) * self._start_seconds)
        return min(self._most, max(self._least, expected))

    def lacks_one(self, now: float) -> bool:
        return len(self.ready) + self.is_starting < self.wanted(now)

    def may_start(self, now: float) -> bool:
        return not self.is_starting and self.lacks_one(now) and now >= self._failed_at + self.pause

    def has_waited(self, now: float) -> bool:
        """Whether busy cores have kept it short for long enough."""
        return self._short_since is not None and now - self._short_since >= _PATIENCE

    @property
    def pause(self) -> float:
        """Seconds after the last failure before the next start: none after the first, then twice as long each time."""
        return 0.0 if self._failures < 2 else min(2.0 ** (self._failures - 2), _LONGEST_PAUSE)

    def take(self, now: float, is_current: Callable[[Kernel], bool]) -> Member | None:
        """The oldest member that works, so that none grows old. Those that do not are left to `sort_out`."""
        self._takes.note(now)
        self._last_take = now
        for member in self.ready:
            if member.kernel.is_alive and is_current(member.kernel):
                self.ready.remove(member)
                self._failures = 0
                return member
        return None

    def sort_out(self, now: float, is_current: Callable[[Kernel], bool]) -> list[tuple[Member, Why]]:
        """Take out the members that are of no use."""
        out: list[tuple[Member, Why]] = []
        for member in list(self.ready):
            if not member.kernel.is_alive:
                out.append((member, "died"))
                self.note_failure(now, f"died in the pool: {_exit_of(member.kernel)}")
            elif not is_current(member.kernel):
                out.append((member, "stale"))
        for member, _ in out:
            self.ready.remove(member)
        while now - self._last_take > _SURPLUS_KEPT and len(self.ready) > self.wanted(now):
            out.append((self.ready.popleft(), "surplus"))
        return out

    def drain(self) -> list[Member]:
        """Take out all members."""
        out = list(self.ready)
        self.ready.clear()
        return out

    def note_shortage(self, now: float) -> None:
        """Begin or end the time that `has_waited` counts."""
        if not self.may_start(now):
            self._short_since = None
        elif self._short_since is None:
            self._short_since = now

    def begin_start(self) -> None:
        self.is_starting = True
        self._short_since = None

    def note_started(self, member: Member, seconds: float) -> None:
        self.is_starting = False
        self.problem = None
        self._start_seconds = seconds if not self._start_seconds else (self._start_seconds + seconds) / 2
        self.ready.append(member)

    def note_failure(self, now: float, reason: str) -> None:
        """A start failed, or a member died. `reason` is kept until a start succeeds."""
        if now - self._failed_at > _FAILURE_FORGOTTEN:
            self._failures = 0
        self._failures += 1
        self._failed_at = now
        if reason != self.problem:
            get_logger().warning("pool_problem", language=self.language.name, reason=reason, pause=self.pause)
        self.problem = reason


@dataclass(frozen=True, slots=True)
class Plan:
    """What `Pool.decide` wants done."""

    start: list[Stock] = field(default_factory=list)
    end: list[Member] = field(default_factory=list)


class PoolState(Enum):
    OFF = "off"
    OPEN = "open"
    DRAINED = "drained"  # memory is short
    CLOSED = "closed"


class Pool:
    """Members of every language that needs them. `start` and `aclose` begin and end its work in the background.

    `kept`: the languages that are ready from the start; others follow once they are used. `busy` tells how many contexts run or
    start something, `is_current` whether a kernel would be started the same way today (call `wake` when that changes)."""

    def __init__(
        self,
        settings: Settings,
        *,
        kept: Iterable[Language],
        start_kernel: StartKernel,
        run_dir: RunDir,
        metrics: Metrics,
        busy: Callable[[], int],
        is_current: Callable[[Kernel], bool] = lambda kernel: True,
        memory: Callable[[], Memory] = read_memory,
        cores: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = PoolState.OPEN if settings.pool_max else PoolState.OFF
        self._least = settings.pool_min
        self._most = settings.pool_max
        self._start_kernel = start_kernel
        self._run_dir = run_dir
        self._metrics = metrics
        self._busy = busy
        self._is_current = is_current
        self._memory = memory
        self._cores = cores or len(os.sched_getaffinity(0))
        self._clock = clock
        self._stocks: dict[str, Stock] = {}
        self._drained_at = 0.0
        self._waits_for_cores = False
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._runner: asyncio.Task[None] | None = None
        self._starts: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.Task[None]] = set()
        for language in kept if settings.pool_max else ():
            self._stock_of(language, is_kept=True)

    def __repr__(self) -> str:
        return f"<Pool {self.state.name}, {list(self._stocks.values())}>"

    def describe(self) -> str:
        """One line for operators: "ok", or what keeps it from being filled."""
        if self.state is PoolState.DRAINED:
            return "drained: memory is short"
        problems = [f"{name}: {stock.problem}" for name, stock in self._stocks.items() if stock.problem]
        return "; ".join(problems) or "ok"

    def take(self, language: Language) -> Member | None:
        """A started kernel with its directories, which are the caller's from now on; None: the caller has to start one."""
        if self.state in (PoolState.OFF, PoolState.CLOSED):
            return None
        stock = self._stocks.get(language.name) or self._stock_of(language)
        member = stock.take(self._clock(), self._is_current)
        self._metrics.pool_takes.labels(language.name, "miss" if member is None else "hit").inc()
        if self._timer is None and self._runner is not None:
            self._timer = asyncio.get_running_loop().call_later(_AFTER_TAKE, self.wake)
        return member

    def decide(self) -> Plan:
        """Bring the stocks up to date, and say what is to be started and ended now."""
        now = self._clock()
        self._look_at_memory(now)
        plan = Plan()
        has_free_core = self._busy() < self._cores
        self._waits_for_cores = False
        for stock in self._stocks.values():
            self._sort_out(stock, now, plan)
            if self.state is not PoolState.OPEN:
                continue
            stock.note_shortage(now)
            if stock.may_start(now):
                if has_free_core or stock.has_waited(now):
                    stock.begin_start()
                    plan.start.append(stock)
                else:
                    self._waits_for_cores = True
        return plan

    def _sort_out(self, stock: Stock, now: float, plan: Plan) -> None:
        out = stock.sort_out(now, self._is_current)
        if self.state is PoolState.DRAINED:
            out += [(member, "memory") for member in stock.drain()]
        for member, why in out:
            self._metrics.pool_discarded.labels(stock.language.name, why).inc()
            plan.end.append(member)

    def _look_at_memory(self, now: float) -> None:
        memory = self._memory()
        if self.state is PoolState.OPEN and memory.is_short:
            self.state, self._drained_at = PoolState.DRAINED, now
            get_logger().warning("pool_drained", available_bytes=memory.available, reserve_bytes=memory.reserve)
        elif self.state is PoolState.DRAINED and memory.is_ample and now - self._drained_at >= _DRAINED_AT_LEAST:
            self.state = PoolState.OPEN
            get_logger().warning("pool_fills_again", available_bytes=memory.available)

    def _stock_of(self, language: Language, *, is_kept: bool = False) -> Stock:
        stock = Stock(language, least=self._least, most=self._most, is_kept=is_kept)
        self._stocks[language.name] = stock
        self._metrics.pool_ready.labels(language.name).set_function(lambda: len(stock.ready))
        return stock

    def start(self) -> None:
        """Begin to fill the pool, in the background."""
        if self.state is PoolState.OPEN:
            self._runner = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Have it decide anew: something has changed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._changed.set()

    def note_free_core(self) -> None:
        """A cell has ended."""
        if self._waits_for_cores:
            self._changed.set()

    async def aclose(self) -> None:
        """End all members, and those that are being started, with their directories. May be called again."""
        if self.state is not PoolState.OFF:
            self.state = PoolState.CLOSED
        self.wake()
        working = {*self._starts, *({self._runner} if self._runner else ())}
        for task in working:
            task.cancel()
        if working:
            await asyncio.wait(working)
        for stock in self._stocks.values():
            for member in stock.drain():
                self._spawn(self._ends, self._end(member))
        if self._ends:
            await asyncio.wait(self._ends)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            try:
                self._carry_out(self.decide())
            except Exception:
                get_logger().exception("pool_failed")  # and is tried again: the pool is worth having
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._changed.wait()

    def _carry_out(self, plan: Plan) -> None:
        for member in plan.end:
            self._spawn(self._ends, self._end(member))
        for stock in plan.start:
            self._spawn(self._starts, self._start(stock))

    @staticmethod
    def _spawn(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _start(self, stock: Stock) -> None:
        began = self._clock()
        try:
            member = await self._make_member(stock.language)
        except Exception as error:
            if not isinstance(error, (PolyreplError, OSError)):
                get_logger().exception("pool_start_failed", language=stock.language.name)
            stock.is_starting = False
            stock.note_failure(self._clock(), _reason(error))
            self._metrics.pool_start_failures.labels(stock.language.name).inc()
        else:
            stock.note_started(member, self._clock() - began)
            member.kernel.exited.add_done_callback(lambda _: self.wake())
        self.wake()

    async def _make_member(self, language: Language) -> Member:
        workspace = self._run_dir.new_workspace("pool")
        try:
            kernel = await self._start_kernel(language, workspace)
            await _warm(kernel)
        except BaseException:
            self._run_dir.remove(workspace.root)
            raise
        return Member(kernel, workspace)

    async def _end(self, member: Member) -> None:
        try:
            await member.kernel.kill()
        finally:
            await asyncio.to_thread(self._run_dir.remove, member.workspace.root)


async def _warm(kernel: Kernel) -> None:
    """Have the kernel run its warm cell, silently, so that neither its counter nor its history knows of it."""
    code = warm_cell(kernel.spec)
    if code is None:
        return
    try:
        await kernel.execute_silently(code, timeout=_WARM_TIMEOUT)
    except BaseException:
        await kernel.kill()
        raise


def _exit_of(kernel: Kernel) -> str:
    return kernel.exited.result().describe() if kernel.exited.done() else "gone"


def _reason(error: Exception) -> str:
    if isinstance(error, PolyreplError):
        return error.message
    return error.strerror or str(error) if isinstance(error, OSError) else "the engine failed to start it"
