"""A zygote: a process with everything imported that forks kernels for us. Its own side: runtimes/python/polyrepl_kernel.

What it sends is checked as if it came from a stranger; a zygote that breaks the protocol is killed, its kernels live on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from engine.kernels.provisioners.confinement import Confinement
from engine.kernels.provisioners.provisioner import Exit
from engine.kernels.provisioners.zygote_process import ZygoteProcess

_MAX_WATCHED = 200
_ANSWER_TIMEOUT = 10.0
_END_TIMEOUT = 5.0
_MAX_REASON = 500
_MAKER = "the maker of boxes"  # the part that the spawner names, if it is gone
_LOOK_INTERVAL = 0.5  # seconds for which a look at the watched paths is good


class ZygoteFailed(Exception):
    """A zygote could not start, or could not fork; the text says why."""


class ZygoteState(Enum):
    STARTING = "starting"
    READY = "ready"
    STALE = "stale"  # what it has imported is no longer what is installed: no kernel is forked from it any more
    DEAD = "dead"


class Keeper(Protocol):
    """Who keeps a zygote, and replaces it."""

    def note_change(self, zygote: Zygote) -> None:
        """It has died, or a kernel of it has ended."""


class Watcher(Protocol):
    """Who is told how a forked process ended."""

    def note_exit(self, ended: Exit) -> None: ...

    def note_zygote_gone(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ForkRequest:
    """What the forked process is to become. `fds`: stream, stdin, both ends of stdout's pipe, both ends of stderr's.

    `argv`: a program that it is to run; it finds the stream as the descriptor `stream_fd`."""

    cwd: Path
    env: Mapping[str, str]
    tag: str
    confinement: Confinement
    fds: Sequence[int]
    argv: Sequence[str] = ()
    stream_fd: int = -1


@dataclass(frozen=True, slots=True)
class Fork:
    pid: int
    pidfd: int


@dataclass(slots=True)
class _Pending:
    """A request that is not answered yet."""

    answer: asyncio.Future[Fork | None]  # None: adopted, or a box that is being made
    watcher: Watcher | None = None

    def discard(self) -> None:
        """Whoever asked has gone. If the answer came just then, end the process that nobody else knows of."""
        if self.answer.done() and not self.answer.cancelled() and self.answer.exception() is None:
            fork = self.answer.result()
            if fork is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(fork.pidfd, signal.SIGKILL)
                os.close(fork.pidfd)


@dataclass(slots=True)
class Greeting:
    """What a zygote says of itself when it is ready."""

    preloaded: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    threads: int = 1
    huge_page_bytes: int = 0


class Zygote:
    """One zygote process, kept by `keeper`."""

    def __init__(self, generation: int, *, keeper: Keeper | None = None) -> None:
        self.generation = generation
        self.state = ZygoteState.STARTING
        self.greeting = Greeting()
        self.boot_seconds = 0.0
        self.ready_at = 0.0
        self._keeper = keeper
        self._ended = asyncio.Event()
        self._reason = ""
        self._loop = asyncio.get_running_loop()
        self._process = ZygoteProcess(self)
        self._greeted: asyncio.Future[None] = self._loop.create_future()
        self._world = -1
        self._watched: dict[str, int] = {}
        self._looked_at = 0.0
        self._numbers = 0
        self._pending: dict[int, _Pending] = {}
        self._kernels: dict[int, Watcher] = {}
        self.boxes: set[object] = set()  # of it, which would end with it

    def __repr__(self) -> str:
        return f"<Zygote {self.generation} {self.state.name}, {len(self._kernels)} kernels>"

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self.state is not ZygoteState.DEAD

    @property
    def is_needed(self) -> bool:
        """Whether kernels or boxes of it live, or are about to."""
        return bool(self._kernels or self._pending or self.boxes)

    @property
    def reason(self) -> str:
        """Why it is dead, or stale."""
        return self._reason

    def is_current(self) -> bool:
        """Whether a kernel forked now is what a fresh interpreter would be; looks at the disk twice a second at most."""
        now = time.monotonic()
        if self.state is ZygoteState.READY and now - self._looked_at >= _LOOK_INTERVAL:
            self._looked_at = now
            changed = [path for path, mtime in self._watched.items() if _mtime(path) != mtime]
            if changed:
                self.state, self._reason = ZygoteState.STALE, f"{changed[0]} has changed"
        return self.state is ZygoteState.READY

    async def start(
        self,
        command: Sequence[str],
        *,
        preload: Sequence[str],
        env: Mapping[str, str],
        timeout: float,
        arguments: Sequence[str] = (),
        fds: Sequence[int] = (),
    ) -> None:
        """Run `command` as a zygote that imports `preload`, and wait for its greeting. Raises ZygoteFailed; nothing is left then.

        `arguments` are added to its own, and `fds` inherited."""
        started = time.monotonic()
        try:
            self._process.run(command, preload=preload, env=env, arguments=arguments, fds=fds)
        except OSError as error:
            self._die(error.strerror or str(error))
            raise ZygoteFailed(self._reason) from None
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(self._greeted)
        except TimeoutError:
            self._die(f"not ready in {timeout:g} s")
            raise ZygoteFailed(self._reason) from None
        except BaseException:
            self._die("given up")
            raise
        self.ready_at = time.monotonic()
        self.boot_seconds = self.ready_at - started

    async def fork(self, request: ForkRequest, watcher: Watcher) -> Fork:
        """A process forked as `request` says; the caller owns its pidfd. Raises ZygoteFailed."""
        message: dict[str, Any] = {
            "op": "spawn",
            "cwd": str(request.cwd),
            "env": dict(request.env),
            "tag": request.tag,
            "confinement": request.confinement.message(),
        }
        if request.argv:
            message |= {"argv": list(request.argv), "stream_fd": request.stream_fd}
        fork = await self._ask(message, watcher, [*request.fds, *request.confinement.fds])
        assert fork is not None
        return fork

    async def box(self, plan: Mapping[str, Any], fd: int) -> None:
        """Have a box made (runtimes/README.md); how that ends, its socket says, of which `fd` is the other end.

        Raises ZygoteFailed. Without its maker of boxes this one makes none any more, and is stale."""
        try:
            await self._ask({"op": "box", "plan": dict(plan)}, None, [fd])
        except ZygoteFailed as error:
            if self.state is ZygoteState.READY and _MAKER in str(error):
                self.state, self._reason = ZygoteState.STALE, str(error)
            raise

    def let_go(self, box: object) -> None:
        """A box of it has ended. May be called again."""
        self.boxes.discard(box)
        self._note_change()

    def take_world(self) -> int:
        """The descriptor that came with its greeting, which is the caller's from now on; -1: none came."""
        world, self._world = self._world, -1
        return world

    def expect(self, marks: Sequence[str]) -> None:
        """Announce that a kernel of it is about to leave a branch that will be adopted. `marks`: of both."""
        with contextlib.suppress(ZygoteFailed):
            self._send({"op": "expect", "tags": list(marks)}, ())

    async def adopt(self, pid: int, watcher: Watcher) -> None:
        """Watch a process that a kernel of this zygote left behind as a kernel of its own. Raises ZygoteFailed."""
        await self._ask({"op": "adopt", "pid": pid}, watcher)

    async def _ask(self, message: dict[str, Any], watcher: Watcher | None, fds: Sequence[int] = ()) -> Fork | None:
        self._numbers += 1
        self._send({**message, "id": self._numbers}, fds)
        # Stays until it is answered, also when the caller has gone: what comes then has to be ended.
        pending = self._pending[self._numbers] = _Pending(self._loop.create_future(), watcher)
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                return await pending.answer
        except TimeoutError:
            self._die(f"no answer to a request in {_ANSWER_TIMEOUT:g} s")
            pending.discard()
            raise ZygoteFailed(self._reason) from None
        except BaseException:
            pending.discard()
            raise

    async def aclose(self) -> None:
        """End the process and what it forked."""
        if self.is_alive and self.state is not ZygoteState.STARTING:
            with contextlib.suppress(OSError):
                self._process.hang_up()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_TIMEOUT):
                    await self._ended.wait()
        self._die("closed")

    def _send(self, message: Mapping[str, Any], fds: Sequence[int]) -> None:
        if not self.is_alive:
            raise ZygoteFailed(self._reason)
        try:
            self._process.send(message, fds)
        except OSError as error:
            raise ZygoteFailed(error.strerror or str(error)) from None

    def take(self, message: dict[str, Any], fds: list[int]) -> None:
        """Take a message of the process."""
        match message["op"]:
            case "hello":
                self._greet(message)
                if len(fds) == 1 and self._world < 0:
                    self._world = fds.pop()
            case "boxing":
                pending = self._pending.pop(message["id"])
                if not pending.answer.done():
                    pending.answer.set_result(None)
            case "spawned":
                self._note_forked(message["id"], _pid(message["pid"]), fds)
            case "adopted":
                pid = _pid(message["pid"])
                self._kernels[pid] = _watcher(self._pending[message["id"]])
                pending = self._pending.pop(message["id"])
                if not pending.answer.done():
                    pending.answer.set_result(None)
            case "failed":
                pending = self._pending.pop(message["id"])
                if not pending.answer.done():
                    pending.answer.set_exception(ZygoteFailed(str(message["error"])[:_MAX_REASON]))
            case "exit":
                ended = Exit(os.waitstatus_to_exitcode(int(message["status"])), int(message["peak_bytes"]))
                watcher = self._kernels.pop(_pid(message["pid"]))
                watcher.note_exit(ended)
                self._note_change()
            case other:
                raise ValueError(f"op {other!r}")

    def _greet(self, message: dict[str, Any]) -> None:
        watched = message["watched"]
        if len(watched) > _MAX_WATCHED:
            raise ValueError("too many watched paths")
        self._watched = {str(path): int(mtime) for path, mtime in watched.items()}
        self.greeting = Greeting(
            preloaded=[str(name) for name in message["preloaded"]],
            failed={str(name): str(reason) for name, reason in message["failed"].items()},
            threads=int(message["threads"]),
            huge_page_bytes=int(message["huge_page_bytes"]),
        )
        self.state = ZygoteState.READY
        if not self._greeted.done():
            self._greeted.set_result(None)

    def _note_forked(self, number: int, pid: int, fds: list[int]) -> None:
        if len(fds) != 1:
            raise ValueError(f"{len(fds)} descriptors instead of a pidfd")
        self._kernels[pid] = _watcher(self._pending[number])
        pending = self._pending.pop(number)
        if pending.answer.done():  # whoever asked has gone meanwhile
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fds[0], signal.SIGKILL)
        else:
            pending.answer.set_result(Fork(pid, fds.pop()))

    def note_dead(self, reason: str) -> None:
        """The process has ended, or sends nonsense."""
        self._die(reason)

    def _die(self, reason: str) -> None:
        """Be dead, now: whoever waits or watches is told. May be called again."""
        if not self.is_alive:
            return
        self.state, self._reason = ZygoteState.DEAD, reason
        self._process.release()
        if self._world >= 0:
            os.close(self.take_world())
        failure = ZygoteFailed(self._reason)
        pending, self._pending = self._pending, {}
        for each in pending.values():
            if not each.answer.done():
                each.answer.set_exception(failure)
        kernels, self._kernels = self._kernels, {}
        for watcher in kernels.values():
            watcher.note_zygote_gone()
        if not self._greeted.done():
            self._greeted.set_exception(failure)
            self._greeted.exception()  # seen: it may be that nobody waits for it any more
        self._ended.set()
        self._note_change()

    def _note_change(self) -> None:
        if self._keeper is not None:
            self._keeper.note_change(self)


def _watcher(pending: _Pending) -> Watcher:
    if pending.watcher is None:
        raise ValueError("a process in the place of a box")
    return pending.watcher


def _pid(value: Any) -> int:
    if type(value) is not int or value <= 1:
        raise ValueError(f"pid {value!r}")
    return value


def _mtime(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
