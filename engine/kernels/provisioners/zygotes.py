"""The zygotes of a server: one that kernels are forked from, its successor when it is stale or dead, and older ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from engine.kernels.provisioners.zygote import Zygote, ZygoteFailed, ZygoteState
from engine.log import get_logger
from engine.metrics import Metrics

_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)  # seconds before the next try, after so many failures
_WANTED_FOR = 600.0  # seconds after the last demand in which a lost zygote is replaced
_GOOD_AGE = 120.0  # seconds a zygote has to live for its death to count as the first


class World(Protocol):
    """Where boxes are made: what zygotes of an ordinary user enter before they fork into one."""

    def entry(self) -> tuple[list[str], list[int]]:
        """What the command of a zygote ends with, and the descriptors that it inherits."""

    def note_greeting(self, zygote: Zygote) -> None:
        """A zygote that was started with this is ready."""


class Waker(Protocol):
    """Who keeps kernels ready: the pool."""

    def wake(self) -> None:
        """Kernels that are started now may be other ones than before."""


class Zygotes:
    """Has a zygote ready while kernels are asked for. Starting, renewing and draining happen in the background.

    `command` starts a kernel of the kind that is forked, without its arguments. `metrics` count it; None for the spawner. `waker`
    is woken when `current` would give another answer than before. `world`: for kernels in boxes."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        preload: Sequence[str],
        env: Mapping[str, str],
        timeout: float,
        metrics: Metrics | None,
        pauses: Sequence[float] = _PAUSES,
        waker: Waker | None = None,
        world: World | None = None,
    ) -> None:
        self._world = world
        self._command = command
        self._preload = preload
        self._env = env
        self._timeout = timeout
        self._metrics = metrics
        self._what = "spawner" if metrics is None else "zygote"
        self._pauses = pauses
        self._waker = waker
        self._current: Zygote | None = None
        self._next: Zygote | None = None
        self._older: set[Zygote] = set()
        self._generation = 0
        self._failures = 0
        self._reason = ""
        self._asked_at = 0.0
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Zygotes {self.describe()}, {len(self._older)} older>"

    @property
    def is_ready(self) -> bool:
        return self._current is not None

    def describe(self) -> str:
        """One word for operators, or why kernels are spawned: ready, starting, idle, or fallback: the reason."""
        if self._current is not None:
            return "ready"
        if self._reason:
            return f"fallback: {self._reason}"
        return "starting" if self._next is not None else "idle"

    def current(self) -> Zygote | None:
        """The zygote to fork from; None where there is none yet: spawn instead. Asking is the demand that keeps one ready."""
        self._asked_at = time.monotonic()
        zygote = self._current
        if zygote is not None and zygote.is_current():
            return zygote
        if zygote is not None and zygote.state is ZygoteState.STALE:
            self._retire(zygote)
        self._wake()
        return None

    def is_current(self, zygote: Zygote) -> bool:
        """Whether a kernel forked now would come from this one. Is no demand."""
        if zygote is self._current and not zygote.is_current() and zygote.state is ZygoteState.STALE:
            self._retire(zygote)
        return zygote is self._current

    async def settled(self) -> Zygote | None:
        """Like `current`, but waits for one that is being started."""
        zygote = self.current()
        if zygote is None and not self._failures and not self._closed:
            self._settled.clear()
            await self._settled.wait()
            zygote = self._current
        return zygote

    async def aclose(self) -> None:
        """End all zygotes, and with them their kernels. May be called again."""
        self._closed = True
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait({self._runner})
        for zygote in (self._current, *self._older):
            if zygote is not None:
                self._close(zygote)
        self._current = None
        if self._closing:
            await asyncio.wait(self._closing)
        self._settled.set()

    def _wake(self) -> None:
        if self._runner is None and not self._closed:
            self._runner = asyncio.create_task(self._run())
        self._changed.set()

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            if self._current is None and time.monotonic() - self._asked_at < _WANTED_FOR:
                await self._start_next()
            else:
                await self._changed.wait()

    async def _start_next(self) -> None:
        if self._failures:
            await asyncio.sleep(self._pauses[min(self._failures, len(self._pauses)) - 1])
        self._generation += 1
        zygote = self._next = Zygote(self._generation, keeper=self)
        arguments, fds = self._world.entry() if self._world is not None else ([], [])
        try:
            await zygote.start(
                self._command,
                preload=self._preload,
                env=self._env,
                timeout=self._timeout,
                arguments=arguments,
                fds=fds,
            )
            if self._world is not None:
                self._world.note_greeting(zygote)
        except ZygoteFailed as error:
            self._note_failure(zygote, str(error))
        except Exception:  # a fault of ours, or of a system that we do not know: kernels start without it
            get_logger().exception(f"{self._what}_start_failed")
            self._note_failure(zygote, "internal error")
        else:
            self._current, self._reason = zygote, ""
            if self._metrics is not None:
                self._metrics.zygote_generation.set(self._generation)
            greeting = zygote.greeting
            get_logger().info(
                f"{self._what}_ready",
                generation=self._generation,
                pid=zygote.pid,
                seconds=round(zygote.boot_seconds, 3),
                preloaded=greeting.preloaded,
                failed=greeting.failed,
            )
            if greeting.threads > 1:
                get_logger().warning("zygote_has_threads", threads=greeting.threads, preloaded=greeting.preloaded)
            self._wake_pool()
        finally:
            self._next = None
            self._settled.set()

    def _note_failure(self, zygote: Zygote, reason: str) -> None:
        self._failures += 1
        self._reason = reason
        if self._metrics is not None:
            self._metrics.zygote_failures.inc()
        get_logger().warning(f"{self._what}_failed", generation=zygote.generation, reason=reason)

    def note_change(self, zygote: Zygote) -> None:
        """It has died, or a kernel of it has ended."""
        if zygote is self._current and not zygote.is_alive and not self._closed:
            if time.monotonic() - zygote.ready_at > _GOOD_AGE:
                self._failures = 0
            self._note_failure(zygote, zygote.reason)
            self._current = None
            self._wake_pool()
            self._changed.set()
        elif zygote in self._older and not (zygote.is_alive and zygote.is_needed):
            self._older.discard(zygote)
            self._close(zygote)

    def _retire(self, zygote: Zygote) -> None:
        """A stale one lives as long as its kernels."""
        get_logger().info("zygote_stale", generation=zygote.generation, reason=zygote.reason)
        self._current = None
        self._older.add(zygote)
        self.note_change(zygote)
        self._wake_pool()
        self._wake()

    def _wake_pool(self) -> None:
        if self._waker is not None:
            self._waker.wake()

    def _close(self, zygote: Zygote) -> None:
        task = asyncio.create_task(zygote.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
