"""The process of a zygote, the socket to it, and the end of what it prints."""

from __future__ import annotations

import array
import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.kernels.provisioners.provisioner import Exit

_MAX_MESSAGE = 1 << 16
_ANCILLARY = socket.CMSG_SPACE(4 * 4)
_BATCH = 64  # messages read before other tasks of the loop get their turn
_LAST_OUTPUT_BYTES = 4096
_MAX_REASON = 500


class Reader(Protocol):
    """Who reads what the process sends."""

    def take(self, message: dict[str, Any], fds: list[int]) -> None:
        """Take a message; `fds` that are left in the list are closed. Raises ValueError and its like for nonsense."""

    def note_dead(self, reason: str) -> None:
        """The process has ended, or sends nonsense and has to be released."""


class ZygoteProcess:
    """Runs the program of a zygote. `release` ends it, at once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._socket: socket.socket | None = None
        self._last_output = b""

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def run(
        self,
        command: Sequence[str],
        *,
        preload: Sequence[str],
        env: Mapping[str, str],
        arguments: Sequence[str] = (),
        fds: Sequence[int] = (),
    ) -> None:
        """Start it, with one end of a socket, more `arguments`, and `fds` that it inherits.

        Raises OSError; the caller then releases what there is."""
        wanted = ["--preload", ",".join(preload)] if preload else []
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._socket = ours
            ours.setblocking(False)
            # The largest request is a kernel's environment; a larger one than fits makes the caller spawn that kernel instead.
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MAX_MESSAGE * 4)
            self._process = subprocess.Popen(
                [*command, "--zygote", str(theirs.fileno()), *wanted, *arguments],
                cwd="/",
                env={**env, "JPY_PARENT_PID": str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno(), *fds],
                start_new_session=True,
                bufsize=0,
            )
        self._pidfd = os.pidfd_open(self._process.pid)
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._loop.add_reader(self._process.stdout.fileno(), self._read_output)
        self._loop.add_reader(self._pidfd, self._note_end)
        self._loop.add_reader(ours.fileno(), self._receive)

    def send(self, message: Mapping[str, Any], fds: Sequence[int]) -> None:
        """Raises OSError: its buffer is full, or the message larger than that; or it has just died."""
        if self._socket is None:
            raise OSError("not started")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self._socket.sendmsg([json.dumps(message).encode()], rights)

    def hang_up(self) -> None:
        """Have it read the end, and end its kernels before itself."""
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_WR)

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
                self._reader.take(json.loads(data), fds)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                self._reader.note_dead(f"sent what is no message: {type(error).__name__} {error}")
            finally:
                for fd in fds:
                    os.close(fd)

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
        if self._socket is None:  # released, as its last message was none
            return
        self._read_output()
        ended = Exit(self._process.wait())
        said = self._last_output.decode(errors="replace").strip().splitlines()
        self._reader.note_dead(ended.describe() + (f": {said[-1][:_MAX_REASON]}" if said else ""))

    def release(self) -> None:
        """End the process if it lives, and close everything."""
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
