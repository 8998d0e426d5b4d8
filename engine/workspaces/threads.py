"""Threads for the files of contexts: few at a time, fewer for one context, and none that hangs holds up the others.

The event loop decides who runs; the threads are daemons, so that one that hangs does not keep the process from its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from engine.workspaces.slots import as_owner

Value = TypeVar("Value")
_IDLE_SECONDS = 10.0  # until a thread that has nothing to do ends
_LEAVE_AGAIN_SECONDS = 1.0  # where no thread can be started
_MOST_STUCK = 64  # threads that hang; beyond this nothing is begun


class Stuck(TimeoutError):
    """The file system did not answer in time, or work for the same context hangs already."""


class Daemons(Executor):
    """Starts a thread for what no idle thread can do. It is bounded by its users."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._idle = 0
        self._work: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:
                    future.set_exception(error)

        self.begin(work)
        return future

    def call(
        self, loop: asyncio.AbstractEventLoop, work: Callable[[], Any], done: Callable[[Any, Any], object]
    ) -> None:
        """Have `done` called in the loop with what the work has returned and what it has raised; one of them is None.

        This is `run_in_executor` with a third of its cost, for what is done around every cell."""

        def work_and_tell() -> None:
            result = error = None
            try:
                result = work()
            except BaseException as raised:
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(done, result, error)

        self.begin(work_and_tell)

    def begin(self, work: Callable[[], object]) -> None:
        """Have it done by a thread. It must not raise. Raises OSError EAGAIN where no thread can be started."""
        with self._lock:
            has_idle = self._idle > 0
            if has_idle:
                self._idle -= 1
                self._work.put(work)
        if not has_idle:
            thread = threading.Thread(target=self._run, args=([work],), name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, "no thread can be started") from error

    def _run(self, given: list[Callable[[], object]]) -> None:
        work: Callable[[], object] | None = given.pop()  # a thread keeps its arguments until it ends
        while work is not None:
            work()
            work = None  # what it refers to is not kept while the thread is idle
            work = self._next()

    def _next(self) -> Callable[[], object] | None:
        with self._lock:
            self._idle += 1
        try:
            return self._work.get(timeout=_IDLE_SECONDS)
        except Empty:
            with self._lock:
                if not self._work.empty():  # given to this one just now
                    return self._work.get()
                self._idle -= 1
                return None


@dataclass(slots=True, eq=False)
class _Job(Generic[Value]):
    work: Callable[[], Value]
    timeout: float
    result: asyncio.Future[Value]
    drop: Callable[[Value], object] | None
    is_stuck: bool = False


class Threads:
    """Threads for one kind of work: `most` at a time, and `each` of them for one lane. Lanes take turns."""

    def __init__(self, name: str, *, most: int, each: int) -> None:
        self.stuck = 0
        self.each = each
        self._most = most
        self._running = 0  # without those that hang
        self._daemons = Daemons(name)
        self._lanes: deque[Lane] = deque()  # each once, if it has work that may begin

    def __repr__(self) -> str:
        return f"<Threads {self._running} of {self._most} running, {self.stuck} stuck>"

    @property
    def is_open(self) -> bool:
        """Whether so few threads hang that others may be started."""
        return self.stuck < _MOST_STUCK

    def offer(self, lane: Lane) -> None:
        """Begin what waits in a lane, as soon as there is a thread for it."""
        if lane not in self._lanes:
            self._lanes.append(lane)
        self._begin()

    def leave(self, work: Callable[[], object]) -> None:
        """Have it done at some time, by a thread that nobody waits for."""
        try:
            self._daemons.submit(work)
        except OSError:
            asyncio.get_running_loop().call_later(_LEAVE_AGAIN_SECONDS, self.leave, work)

    def _begin(self) -> None:
        while self._lanes and self._running < self._most:
            lane = self._lanes.popleft()
            job = lane.next()
            if job is None:
                continue
            self._lanes.append(lane)
            self._start(lane, job)

    def _start(self, lane: Lane, job: _Job[Any]) -> None:
        loop = asyncio.get_running_loop()
        self._running += 1
        lane.running += 1
        timer = loop.call_later(job.timeout, self._give_up, lane, job)

        def finish(result: Any, error: BaseException | None) -> None:
            timer.cancel()
            lane.running -= 1
            if job.is_stuck:
                self.stuck -= 1
                lane.stuck -= 1
            else:
                self._running -= 1
            if job.result.done():
                if error is None and job.drop is not None:
                    self.leave(partial(job.drop, result))
            else:
                if error is None:
                    job.result.set_result(result)
                else:
                    job.result.set_exception(error)
            self.offer(lane)

        try:
            self._daemons.call(loop, job.work, finish)
        except OSError as error:
            loop.call_soon(finish, None, error)

    def _give_up(self, lane: Lane, job: _Job[Any]) -> None:
        """Its thread is on its own: another one takes its place for the other contexts."""
        job.is_stuck = True
        self._running -= 1
        self.stuck += 1
        lane.stuck += 1
        _fail(job.result)
        if lane.stuck >= self.each:
            lane.fail()
        self._begin()


@dataclass(slots=True, weakref_slot=True, eq=False)
class Lane:
    """The share of one context in some threads. `uid`: whose files they work with; None: the server's user."""

    threads: Threads
    uid: int | None = None
    running: int = 0
    stuck: int = 0
    _waiting: deque[_Job[Any]] = field(default_factory=deque)

    async def run(
        self, work: Callable[[], Value], *, timeout: float, drop: Callable[[Value], object] | None = None
    ) -> Value:
        """Do it in a thread, and return what it returns. The `timeout`, in seconds, counts from when it begins.

        Raises Stuck, and OSError where no thread can be started. When the caller is cancelled, work that has begun goes on. What it returns
        to nobody is given to `drop`, in a thread."""
        if self.stuck >= self.threads.each or not self.threads.is_open:
            raise Stuck
        result: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        job = _Job(work if self.uid is None else as_owner(self.uid)(work), timeout, result, drop)
        self._waiting.append(job)
        self.threads.offer(self)
        try:
            return await result
        except asyncio.CancelledError:
            if drop is not None and not result.cancelled() and result.exception() is None:  # it was there already
                self.threads.leave(lambda: drop(result.result()))
            raise

    def next(self) -> _Job[Any] | None:
        """The next job, out of the lane; None if there is none, or if the lane has its share of the threads."""
        while self._waiting and self.running < self.threads.each:
            job = self._waiting.popleft()
            if not job.result.done():  # its caller waits still
                return job
        return None

    def fail(self) -> None:
        """All threads that the lane may have hang: what waits would wait for ever."""
        for job in self._waiting:
            _fail(job.result)
        self._waiting.clear()


def _fail(result: asyncio.Future[Any]) -> None:
    if not result.done():
        result.set_exception(Stuck())


class Disk:
    """The threads of one engine: for files, for copies, for directories that requests name, and for deletions.

    None of them waits for the others."""

    def __init__(self) -> None:
        self.files = Threads("files", most=8, each=2)
        self.copies = Threads("copies", most=4, each=1)
        self.names = Threads("names", most=4, each=2)
        self.deletions = Threads("deletions", most=4, each=1)

    @property
    def stuck(self) -> int:
        """How many threads hang."""
        return self.files.stuck + self.copies.stuck + self.names.stuck + self.deletions.stuck
