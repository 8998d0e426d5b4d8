"""An event loop that a test drives step by step: the same steps in the same order in every run, and no real time."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context
from typing import Any, TypeVar
from unittest import mock

from engine.workspaces.threads import Daemons

Value = TypeVar("Value")

_THREAD_TIME = 0.001  # seconds until a thread has done its work: later than all that the loop can do at once


class SteppingLoop(asyncio.AbstractEventLoop):
    """Runs one callback a step. Its clock stands still while there is anything to run, and then jumps to the next timer.

    Threads' work is done in the loop itself, late, and also if nobody waits for it any more: threads cannot be stopped."""

    def __init__(self) -> None:
        self.errors: list[dict[str, Any]] = []
        self._now = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        return asyncio.Task(coro, loop=self, **options)

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        return

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        done = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except BaseException as error:
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(result)

        self.call_later(_THREAD_TIME, work)
        return done

    def work_late(self, work: Callable[[], Any], done: Callable[[Any, Any], object]) -> None:
        """In the place of a thread that calls `done` in the loop."""

        def run() -> None:
            result = error = None
            try:
                result = work()
            except Exception as raised:
                error = raised
            done(result, error)

        self.call_later(_THREAD_TIME, run)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        asyncio._set_running_loop(self)
        try:
            with mock.patch.object(Daemons, "call", lambda _, loop, work, done: self.work_late(work, done)):
                yield
        finally:
            asyncio._set_running_loop(None)

    def step(self, horizon: float = float("inf")) -> bool:
        """Run one callback; False where there is none until `horizon`."""
        while not self._ready:
            if not self._timers or self._timers[0][0] > horizon:
                return False
            when, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled():
                self._now = max(self._now, when)
                self._ready.append(timer)
        handle = self._ready.popleft()
        if not handle.cancelled():
            handle._run()
        return True

    def next(self, work: Coroutine[Any, Any, Value]) -> asyncio.Task[Value]:
        """Begin with this in the next step, before all else that could run."""
        task = self.create_task(work)
        self._ready.appendleft(self._ready.pop())
        return task

    def settle(self, seconds: float) -> None:
        """Run all that can run within this time."""
        horizon = self._now + seconds
        while self.step(horizon):
            pass

    def run(self, work: Coroutine[Any, Any, Value]) -> Value:
        task = self.create_task(work)
        while not task.done():
            assert self.step(), "nothing is left to run"
        return task.result()
