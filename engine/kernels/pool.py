"""The warm pool: started, idle kernels in directories of their own, which new contexts take at once.

`Pool.decide` and `Pool.take` are synchronous and only say what is to be started and ended; the I/O comes after them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from engine.errors import KernelStartFailed, PolyreplError
from engine.kernels.kernel import Kernel
from engine.kernels.kernelspecs import warm_cell
from engine.kernels.memory import Memory, read_memory
from engine.kernels.stock import Member, Stock
from engine.languages import Language
from engine.log import get_logger
from engine.metrics import Metrics
from engine.settings import Settings
from engine.workspaces import RunDir, Workspace

_WARM_TIMEOUT = 30.0  # seconds
_TICK = 2.0  # seconds between looks at what announces nothing: memory, demand that falls, pauses that end
_AFTER_TAKE = 0.02  # seconds that a refill lets the first cell of the new context go ahead
_DRAINED_AT_LEAST = 60.0  # seconds; what the drained members held must not fill the pool again


class Load(Protocol):
    """Who uses the cores besides the pool: the engine."""

    @property
    def busy(self) -> int:
        """How many contexts run code or start a kernel."""


class Machine:
    """What the pool reads of this machine."""

    def __init__(self) -> None:
        self.cores = len(os.sched_getaffinity(0))

    def memory(self) -> Memory:
        return read_memory()

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()


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

    `kept`: the languages that are ready from the start; others follow once they are used. `wake` it when a backend's
    `is_current` may answer otherwise than before."""

    def __init__(
        self,
        settings: Settings,
        *,
        kept: Iterable[Language],
        run_dir: RunDir,
        metrics: Metrics,
        load: Load,
        machine: Machine | None = None,
    ) -> None:
        self.state = PoolState.OPEN if settings.pool_max else PoolState.OFF
        self._least = min(settings.pool_min, settings.pool_max)
        self._most = settings.pool_max
        self._run_dir = run_dir
        self._metrics = metrics
        self._load = load
        self._machine = machine or Machine()
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
        member = stock.take(self._machine.now())
        self._metrics.pool_takes.labels(language.name, "miss" if member is None else "hit").inc()
        if self._timer is None and self._runner is not None:
            self._timer = asyncio.get_running_loop().call_later(_AFTER_TAKE, self.wake)
        return member

    def decide(self) -> Plan:
        """Bring the stocks up to date, and say what is to be started and ended now."""
        now = self._machine.now()
        self._look_at_memory(now)
        plan = Plan()
        has_free_core = self._load.busy < self._machine.cores
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
        out = stock.sort_out(now)
        if self.state is PoolState.DRAINED:
            out += [(member, "memory") for member in stock.drain()]
        for member, why in out:
            self._metrics.pool_discarded.labels(stock.language.name, why).inc()
            plan.end.append(member)

    def _look_at_memory(self, now: float) -> None:
        memory = self._machine.memory()
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
        began = self._machine.now()
        try:
            member = await self._make_member(stock.language)
        except Exception as error:
            if not isinstance(error, (PolyreplError, OSError)):
                get_logger().exception("pool_start_failed", language=stock.language.name)
            stock.is_starting = False
            stock.note_failure(self._machine.now(), _reason(error))
            self._metrics.pool_start_failures.labels(stock.language.name).inc()
        else:
            stock.note_started(member, self._machine.now() - began)
            member.kernel.exited.add_done_callback(lambda _: self.wake())
        self.wake()

    async def _make_member(self, language: Language) -> Member:
        problem = await asyncio.to_thread(language.backend.problem, language)
        if problem is not None:
            raise KernelStartFailed(language.kernel_name, problem)
        workspace = self._run_dir.new_workspace("pool")
        try:
            kernel = await language.backend.start(language, workspace, patient=True)
            await _warm(kernel)
        except BaseException:
            await asyncio.shield(self._remove(workspace))
            raise
        return Member(kernel, workspace)

    async def _end(self, member: Member) -> None:
        try:
            await member.kernel.kill()
        finally:
            await self._remove(member.workspace)

    async def _remove(self, workspace: Workspace) -> None:
        workspace.close()
        await self._run_dir.remove(workspace.root)


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


def _reason(error: Exception) -> str:
    if isinstance(error, PolyreplError):
        return error.message
    return error.strerror or str(error) if isinstance(error, OSError) else "the engine failed to start it"
