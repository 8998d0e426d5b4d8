"""A box: namespaces with an init of their own, in which the kernels of one family run, until the last of them has ended.

What comes out of it is checked: its reports name processes of the box only, and are bounded."""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from engine.kernels.provisioners import Exit, Watcher, Zygote, ZygoteFailed
from engine.workspaces import Slot

_MAKE_SECONDS = 30.0
_REPORT = struct.Struct("<IIQ")  # pid in the box, wait status, largest resident size in KiB
_MOST_BYTES = 4096
_ANCILLARY = socket.CMSG_SPACE(4 * 4)
_MOST_REASON = 500
_BATCH = 64
_ROUNDS, _AGAIN = 5, 0.05  # seconds between looks at what an ended kernel has left
_BRANCH_SECONDS = 30.0  # that a branch may take until we know it
_REMEMBERED = 256  # ends of processes that nobody watches yet


class BoxState(Enum):
    MAKING = "making"
    READY = "ready"
    ENDED = "ended"


class Box:
    """Made by `make`, ended by `close`, by the last `leave`, or by the end of its init.

    `slot`: whose files it shows; `directory`: that of the one kernel that is started in it; `written`: the paths of this machine
    that can be written to in it."""

    def __init__(self, slot: Slot, directory: Path, *, network: str, written: Iterable[str] = ()) -> None:
        self.slot = slot
        self.directory = directory
        self.network = network
        self.written = tuple(written)
        self.state = BoxState.MAKING
        self.pidfd = -1  # of init
        self.init_pid = 0
        self._proc = -1
        self._members = 0
        self._reason = ""
        self._socket: socket.socket | None = None
        self._spawner: Zygote | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers: dict[int, Watcher] = {}  # by the number of the process in the box
        self._ends: dict[int, Exit] = {}
        self._branches: set[int] = set()  # by our numbers
        self._expected_until = 0.0

    def __repr__(self) -> str:
        return f"<Box {self.slot.path.name} {self.state.name}, {self._members} kernels>"

    @property
    def is_ready(self) -> bool:
        return self.state is BoxState.READY

    @property
    def reason(self) -> str:
        """Why it could not be made, or has ended."""
        return self._reason

    async def make(self, spawner: Zygote, plan: Mapping[str, Any]) -> None:
        """Raises ZygoteFailed that names the part that does not work; nothing is left then."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._socket, self._spawner = ours, spawner
        spawner.boxes.add(self)
        try:
            with theirs:
                await spawner.box(plan, theirs.fileno())
            asyncio.get_running_loop().add_reader(ours.fileno(), self._receive)
            async with asyncio.timeout(_MAKE_SECONDS):
                await asyncio.shield(self._ready)
        except TimeoutError:
            self.close(f"it was not ready in {_MAKE_SECONDS:g} s")
            raise ZygoteFailed(self._reason) from None
        except BaseException:
            self.close(self._reason or "given up")
            raise

    def join(self) -> None:
        """One more kernel runs in it, or is about to."""
        self._members += 1

    def leave(self) -> None:
        """A kernel has ended; with the last one all goes that is still in the box."""
        self._members -= 1
        if self._members <= 0:
            self.close("its last kernel has ended")
        else:
            self._end_orphans(_ROUNDS)

    def expect(self) -> None:
        """A kernel of it is about to leave a branch to init, which `watch` names later."""
        self._expected_until = time.monotonic() + _BRANCH_SECONDS

    def _end_orphans(self, rounds: int) -> None:
        """Kill what an ended kernel has left to init. What that leaves itself comes to init next, so it is done again.

        The other children of init are the branches. While one is on its way, nothing is killed: the next end finds it."""
        if self.state is not BoxState.READY or not rounds:
            return
        loop = asyncio.get_running_loop()
        if time.monotonic() < self._expected_until:
            loop.call_later(_BRANCH_SECONDS, self._end_orphans, rounds)
            return
        for pid in _children_of(self.init_pid) - self._branches:
            with contextlib.suppress(OSError):
                pidfd = os.pidfd_open(pid)
                try:
                    if self._is_child(pid):  # still the same
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                finally:
                    os.close(pidfd)
        loop.call_later(_AGAIN, self._end_orphans, rounds - 1)

    def inner_pid(self, pidfd: int, pid: int) -> int:
        """The number that a branch has in the box. Raises ProcessLookupError for a process that is no child of the box's init."""
        with open(f"/proc/self/fdinfo/{pidfd}") as file:
            numbers = next((line.split()[1:] for line in file if line.startswith("NSpid:")), [])
        if len(numbers) < 2 or int(numbers[0]) != pid or not self._is_child(pid):
            raise ProcessLookupError("its process is none of its box")
        self._branches.add(pid)
        self._expected_until = 0.0
        return int(numbers[-1])

    def _is_child(self, pid: int) -> bool:
        """Whether init is the parent of a process, whose pidfd the caller has. When init has ended, another process may have its number."""
        return _parent_of(pid) == self.init_pid and self.pidfd >= 0 and not _has_ended(self.pidfd)

    def watch(self, inner: int, watcher: Watcher, *, has_ended: bool) -> None:
        """Tell `watcher` how a process of the box ends that is init's child. `has_ended`: it has, so a report may be there already;
        otherwise one of this number is of another process that had it before."""
        ended = self._ends.pop(inner, None)
        if ended is not None and has_ended:
            watcher.note_exit(ended)
        elif self.state is BoxState.ENDED:
            watcher.note_zygote_gone()
        else:
            self._watchers[inner] = watcher

    def close(self, reason: str = "closed") -> None:
        """Have its init exit, and with it all that is in the box. May be called again."""
        if self.state is BoxState.ENDED:
            return
        self.state, self._reason = BoxState.ENDED, reason
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        if self._spawner is not None:
            self._spawner.let_go(self)
            self._spawner = None
        for fd in (self.pidfd, self._proc):
            if fd >= 0:
                os.close(fd)
        self.pidfd = self._proc = -1
        if not self._ready.done():
            self._ready.set_exception(ZygoteFailed(reason))
            self._ready.exception()  # seen: it may be that nobody waits for it any more
        watchers, self._watchers = self._watchers, {}
        for watcher in watchers.values():
            watcher.note_zygote_gone()

    def _receive(self) -> None:
        for _ in range(_BATCH):
            if self._socket is None:
                return
            try:
                data, ancillary, _, _ = self._socket.recvmsg(_MOST_BYTES, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except OSError:
                data, ancillary = b"", []
            fds = _received(ancillary)
            try:
                self._take(data, fds)
            except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError, struct.error) as error:
                self.close(f"its init sent what is no message: {type(error).__name__}")
            finally:
                for fd in fds:
                    os.close(fd)

    def _take(self, data: bytes, fds: list[int]) -> None:
        if not data:
            self.close(self._reason or "its init has ended")
        elif data == b"ready" and self.pidfd >= 0:
            self.state = BoxState.READY
            if not self._ready.done():
                self._ready.set_result(None)
        elif self.state is BoxState.READY:
            self._note_end(data)
        else:
            self._note_made(json.loads(data), fds)

    def _note_made(self, message: dict[str, Any], fds: list[int]) -> None:
        if "error" in message:
            self.close(str(message["error"])[:_MOST_REASON])
            return
        if message.get("made") is not True or len(fds) != 2 or self.pidfd >= 0:
            raise ValueError("a box that is none")
        self.pidfd, self._proc = fds
        fds.clear()
        self.init_pid = _pid_of(self.pidfd)

    def _note_end(self, data: bytes) -> None:
        inner, status, kilobytes = _REPORT.unpack(data)
        ended = Exit(os.waitstatus_to_exitcode(status), kilobytes * 1024)
        watcher = self._watchers.pop(inner, None)
        if watcher is not None:
            watcher.note_exit(ended)
            return
        self._ends.pop(inner, None)
        self._ends[inner] = ended
        if len(self._ends) > _REMEMBERED:
            del self._ends[next(iter(self._ends))]


def _received(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    return list(fds)


def _pid_of(pidfd: int) -> int:
    """The number that the process of a pidfd has for us. Raises OSError or ValueError."""
    with open(f"/proc/self/fdinfo/{pidfd}") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("Pid:")), 0)


def _has_ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def _children_of(pid: int) -> set[int]:
    """None for a process that is gone."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return {int(each) for each in file.read().split()}
    except OSError:
        return set()


def _parent_of(pid: int) -> int:
    """0 for a process that is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0
