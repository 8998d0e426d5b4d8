"""A zygote: a process with everything imported that forks kernels for us. Its own side: runtimes/python/polyrepl_kernel.

What it sends is checked as if it came from a stranger; a zygote that breaks the protocol is killed, its kernels live on."""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from engine.kernels.provisioners import Exit

_MAX_MESSAGE = 1 << 16
_MAX_WATCHED = 200
_ANCILLARY = socket.CMSG_SPACE(4 * 4)
_BATCH = 64  # messages read before other tasks of the loop get their turn
_ANSWER_TIMEOUT = 10.0
_END_TIMEOUT = 5.0
_LAST_OUTPUT_BYTES = 4096
_MAX_REASON = 500
_LOOK_INTERVAL = 0.5  # seconds for which a look at the watched paths is good


class ZygoteFailed(Exception):
    """A zygote could not start, or could not fork; the text says why."""


class ZygoteState(Enum):
    STARTING = "starting"
    READY = "ready"
    STALE = "stale"  # what it has imported is no longer what is installed: no kernel is forked from it any more
    DEAD = "dead"


class Watcher(Protocol):
    """Who is told how a forked process ended."""

    def note_exit(self, ended: Exit, *, has_orphans: bool) -> None: ...

    def note_zygote_gone(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ForkRequest:
    """What the forked process is to become. `fds`: stream, stdin, both ends of stdout's pipe, both ends of stderr's."""

    cwd: Path
    env: Mapping[str, str]
    tag: str
    rlimits: Mapping[str, tuple[int, int]]
    fds: Sequence[int]


@dataclass(frozen=True, slots=True)
class Fork:
    pid: int
    pidfd: int


@dataclass(slots=True)
class _Pending:
    """A request that is not answered yet."""

    answer: asyncio.Future[Fork | None]  # None: adopted
    watcher: Watcher


@dataclass(slots=True)
class Greeting:
    """What a zygote says of itself when it is ready."""

    preloaded: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    threads: int = 1
    huge_page_bytes: int = 0


class Zygote:
    """One zygote process. `on_change` is called when it has died, and when a kernel of it has ended."""

    def __init__(self, generation: int, *, on_change: Callable[[Zygote], None] = lambda zygote: None) -> None:
        self.generation = generation
        self.state = ZygoteState.STARTING
        self.greeting = Greeting()
        self.boot_seconds = 0.0
        self.ready_at = 0.0
        self._on_change = on_change
        self._ended = asyncio.Event()
        self._reason = ""
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._socket: socket.socket | None = None
        self._greeted: asyncio.Future[None] = self._loop.create_future()
        self._watched: dict[str, int] = {}
        self._looked_at = 0.0
        self._numbers = 0
        self._pending: dict[int, _Pending] = {}
        self._kernels: dict[int, Watcher] = {}
        self._last_output = b""

    def __repr__(self) -> str:
        return f"<Zygote {self.generation} {self.state.name}, {len(self._kernels)} kernels>"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def is_alive(self) -> bool:
        return self.state is not ZygoteState.DEAD

    @property
    def is_needed(self) -> bool:
        """Whether kernels of it live, or are about to."""
        return bool(self._kernels or self._pending)

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
        self, command: Sequence[str], *, preload: Sequence[str], env: Mapping[str, str], timeout: float
    ) -> None:
        """Run `command` as a zygote that imports `preload`, and wait for its greeting. Raises ZygoteFailed; nothing is left then."""
        started = time.monotonic()
        try:
            self._run(command, preload, env)
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

    def _run(self, command: Sequence[str], preload: Sequence[str], env: Mapping[str, str]) -> None:
        wanted = ["--preload", ",".join(preload)] if preload else []
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.setblocking(False)
            self._socket = ours
            # The largest request is a kernel's environment; a larger one than fits makes the caller spawn that kernel instead.
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MAX_MESSAGE * 4)
            self._process = subprocess.Popen(
                [*command, "--zygote", str(theirs.fileno()), *wanted],
                cwd="/",
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                bufsize=0,
            )
        self._pidfd = os.pidfd_open(self._process.pid)
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._loop.add_reader(self._process.stdout.fileno(), self._read_output)
        self._loop.add_reader(self._pidfd, self._note_end)
        self._loop.add_reader(ours.fileno(), self._receive)

    async def fork(self, request: ForkRequest, watcher: Watcher) -> Fork:
        """A process forked as `request` says; the caller owns its pidfd. Raises ZygoteFailed."""
        message = {
            "op": "spawn",
            "cwd": str(request.cwd),
            "env": dict(request.env),
            "tag": request.tag,
            "confinement": {"rlimits": {name: list(pair) for name, pair in request.rlimits.items()}},
        }
        fork = await self._ask(message, watcher, request.fds)
        assert fork is not None
        return fork

    async def adopt(self, pid: int, watcher: Watcher) -> None:
        """Watch a process that a kernel of this zygote left behind as a kernel of its own. Raises ZygoteFailed."""
        await self._ask({"op": "adopt", "pid": pid}, watcher)

    async def _ask(self, message: dict[str, Any], watcher: Watcher, fds: Sequence[int] = ()) -> Fork | None:
        self._numbers += 1
        self._send({**message, "id": self._numbers}, fds)
        # Stays until it is answered, also when the caller has gone: what comes then has to be ended.
        pending = self._pending[self._numbers] = _Pending(self._loop.create_future(), watcher)
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                return await pending.answer
        except TimeoutError:
            self._die(f"no answer to a request in {_ANSWER_TIMEOUT:g} s")
            raise ZygoteFailed(self._reason) from None

    async def aclose(self) -> None:
        """End the process and what it forked."""
        if self._socket is not None and self.state is not ZygoteState.STARTING:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)  # it reads the end, and ends its kernels before itself
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_TIMEOUT):
                    await self._ended.wait()
        self._die("closed")

    def _send(self, message: Mapping[str, Any], fds: Sequence[int]) -> None:
        if self._socket is None or not self.is_alive:
            raise ZygoteFailed(self._reason or "not started")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._socket.sendmsg([json.dumps(message).encode()], rights)
        except OSError as error:  # its buffer is full, or the message larger than that; or it has just died
            raise ZygoteFailed(error.strerror or str(error)) from None

    def _receive(self) -> None:
        for _ in range(_BATCH):
            if self._socket is None:
                return
            try:
                data, ancillary, flags, _ = self._socket.recvmsg(_MAX_MESSAGE, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except OSError:
                data, ancillary, flags = b"", [], 0
            fds = _received_fds(ancillary)
            if not data:
                self._loop.remove_reader(self._socket.fileno())  # the end of the process says the rest
                if self._process is not None:
                    self._process.kill()
                return
            try:
                if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                    raise ValueError("too large")
                self._take(json.loads(data), fds)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                self._die(f"sent what is no message: {type(error).__name__} {error}")
            finally:
                for fd in fds:
                    os.close(fd)

    def _take(self, message: dict[str, Any], fds: list[int]) -> None:
        match message["op"]:
            case "hello":
                self._greet(message)
            case "spawned":
                self._note_forked(message["id"], _pid(message["pid"]), fds)
            case "adopted":
                pid = _pid(message["pid"])
                pending = self._pending.pop(message["id"])
                self._kernels[pid] = pending.watcher
                if not pending.answer.done():
                    pending.answer.set_result(None)
            case "failed":
                pending = self._pending.pop(message["id"])
                if not pending.answer.done():
                    pending.answer.set_exception(ZygoteFailed(str(message["error"])[:_MAX_REASON]))
            case "exit":
                ended = Exit(os.waitstatus_to_exitcode(int(message["status"])), int(message["peak_bytes"]))
                watcher = self._kernels.pop(_pid(message["pid"]))
                watcher.note_exit(ended, has_orphans=bool(message["orphans"]))
                self._on_change(self)
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
        pending = self._pending.pop(number)
        self._kernels[pid] = pending.watcher
        if pending.answer.done():  # whoever asked has gone meanwhile
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fds[0], signal.SIGKILL)
        else:
            pending.answer.set_result(Fork(pid, fds.pop()))

    def _read_output(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            data = self._process.stdout.read(_LAST_OUTPUT_BYTES)
        except OSError:
            data = None
        if data == b"":
            self._loop.remove_reader(self._process.stdout.fileno())
        self._last_output = (self._last_output + (data or b""))[-_LAST_OUTPUT_BYTES:]

    def _note_end(self) -> None:
        """The process is a zombie: take what it still had said, then collect it."""
        assert self._process is not None
        self._receive()
        self._read_output()
        ended = Exit(self._process.wait())
        said = self._last_output.decode(errors="replace").strip().splitlines()
        self._die(ended.describe() + (f": {said[-1][:_MAX_REASON]}" if said else ""))

    def _die(self, reason: str) -> None:
        """Be dead, now: whoever waits or watches is told. May be called again."""
        if not self.is_alive:
            return
        self.state, self._reason = ZygoteState.DEAD, reason
        self._release()
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
        self._on_change(self)

    def _release(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        if self._process is not None and self._process.stdout is not None:
            self._loop.remove_reader(self._process.stdout.fileno())
            self._process.stdout.close()
            self._process.stdout = None
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            self._process.wait()  # SIGKILL is not waited for long


def _received_fds(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    return list(fds)


def _pid(value: Any) -> int:
    if type(value) is not int or value <= 1:
        raise ValueError(f"pid {value!r}")
    return value


def _mtime(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
