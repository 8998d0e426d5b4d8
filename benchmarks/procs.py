"""Processes: start and end the peers, and read CPU time and memory of process trees from /proc (Linux only)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TICK_MS = 1000.0 / os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER = 36


class PeerError(Exception):
    """A peer could not do what a measurement asked of it; the text is the reason printed in the report."""


def adopt_orphans() -> None:
    """Become the parent of every orphan below this process, so that no kernel can slip out of the tree."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        msg = f"prctl(PR_SET_CHILD_SUBREAPER) failed: {os.strerror(ctypes.get_errno())}"
        raise OSError(msg)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/<pid>/stat after the command name: state, parent, ...; None when it is gone."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return raw.rpartition(")")[2].split()


def start_time(pid: int) -> str | None:
    """Return the process's start time in ticks, which with the pid names it for ever; None for gone or zombie."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else fields[19]


def descendants(root: int) -> list[int]:
    """Return the pids below `root`, parents first."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))) is not None:
            children.setdefault(int(fields[1]), []).append(int(entry))
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(0), [])
        found += below
        queue += below
    return found


def cpu_ms(pids: Iterable[int]) -> float:
    """Return the user and system time that the processes have used so far, in ms; a process that is gone counts 0."""
    total = 0.0
    for pid in pids:
        if (fields := _stat(pid)) is not None:
            total += (int(fields[11]) + int(fields[12])) * _TICK_MS
    return total


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in MB: resident, proportional share, private."""

    rss: float
    pss: float
    private: float


def memory(pids: Iterable[int]) -> Memory:
    """Add up smaps_rollup of the processes."""
    total = {"Rss": 0, "Pss": 0, "Private_Clean": 0, "Private_Dirty": 0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, value = line.split()[:2]
            if name[:-1] in total:
                total[name[:-1]] += int(value)
    return Memory(
        rss=total["Rss"] / 1024,
        pss=total["Pss"] / 1024,
        private=(total["Private_Clean"] + total["Private_Dirty"]) / 1024,
    )


def open_files(pid: int) -> int:
    """Return how many file descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


class PeakMemory:
    """Tells, after its `with` block, by how many MB a process's resident memory grew at most within it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = 0.0
        self.growth = 0.0

    def __enter__(self) -> Self:
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")  # sets the high-water mark back (man 5 proc)
        self._before = self._status("VmRSS")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.growth = max(0.0, self._status("VmHWM") - self._before)

    def _status(self, name: str) -> float:
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def available_mb() -> float:
    """Return the memory that the machine can still give, in MB."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable:"))


def find_process(root: int, pid: int, namespace: int) -> int:
    """Return the pid, as seen here, of the process below `root` that calls itself `pid` in that pid namespace."""
    for candidate in descendants(root):
        try:
            inside = Path(f"/proc/{candidate}/ns/pid").stat().st_ino
            status = Path(f"/proc/{candidate}/status").read_text()
        except (OSError, ProcessLookupError):
            continue
        own = next((line.split()[-1] for line in status.splitlines() if line.startswith("NSpid:")), "")
        if inside == namespace and own == str(pid):
            return candidate
    msg = f"no process below the server calls itself {pid}"
    raise PeerError(msg)


class Server:
    """One started server process with its log file."""

    def __init__(self, argv: list[str], *, cwd: Path, env: dict[str, str]) -> None:
        cwd.mkdir(parents=True, exist_ok=True)
        self.log = cwd / "server.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.pid = self._process.pid

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 40.0) -> None:
        """Poll `ready` until it is true; raise PeerError with the log's last line if the server ends or is late."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                msg = f"server ended with code {self._process.returncode}: {self._last_line()}"
                raise PeerError(msg)
            try:
                if ready():
                    return
            except (OSError, PeerError):
                pass
            time.sleep(0.05)
        msg = f"server not ready after {seconds:.0f} s: {self._last_line()}"
        raise PeerError(msg)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def stop(self, *, grace: float = 3.0) -> None:
        """End the server politely, then everything that was below it."""
        tree = [(pid, start_time(pid)) for pid in descendants(self.pid)]
        if self.is_alive():
            self._process.terminate()
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(grace)
        for pid, started in tree:
            if started is not None and start_time(pid) == started:
                _kill(pid)

    def _last_line(self) -> str:
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[:200] if lines else "(no log)"


def end_everything(*, seconds: float = 10.0) -> None:
    """Kill and reap whatever is still below this process."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for pid in descendants(os.getpid()):
            _kill(pid)
        time.sleep(0.02)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
