"""A real `polyrepl serve` process, and what the operating system says about it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import psutil

from tests.harness.client import Client
from tests.harness.waiting import wait_until

POLYREPL = Path(sys.executable).parent / "polyrepl"
START_DEADLINE = 60.0
STOP_DEADLINE = 60.0


def _is_named(process: psutil.Process, *names: str) -> bool:
    try:
        return process.name() in names
    except psutil.NoSuchProcess:
        return False


def _is_of_a_box(process: psutil.Process) -> bool:
    """Whether it is the maker of boxes, or the init of one; a spare box has no other process."""
    return _is_named(process, "pr-boxes", "pr-init")


class Server:
    """`polyrepl serve` with a private run directory; `settings` become POLYREPL_* variables."""

    open: ClassVar[set[Path]] = set()
    """Directories of those that are not closed."""

    def __init__(
        self,
        *,
        settings: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
        run_dir: Path | None = None,
        program: Path = POLYREPL,
    ) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="pr-", dir="/tmp"))
        self.base.chmod(0o711)  # isolated code of other users passes through it
        self.open.add(self.base)
        self.run_dir = run_dir or self.base / "run"
        self.log: list[str] = []
        variables = {name: value for name, value in os.environ.items() if not name.startswith("POLYREPL_")}
        variables |= {"POLYREPL_RUN_DIR": str(self.run_dir), **(env or {})}
        variables |= {f"POLYREPL_{name.upper()}": value for name, value in (settings or {}).items()}
        self._url: str | None = None
        self._url_found = threading.Event()
        self._process = subprocess.Popen(
            [str(program), "serve", "--port", "0", *flags],
            cwd=self.base,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.token = (settings or {}).get("token")
        self._watcher: Client | None = None

    @property
    def url(self) -> str:
        assert self._url_found.wait(START_DEADLINE), "the server does not say its url"
        assert self._url is not None, f"the server ended:\n{self.log_text}"
        return self._url

    @property
    def log_text(self) -> str:
        return "".join(self.log)

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line)
            found = re.search(r"\burl=(https?://\S+)", line)
            if found and self._url is None:
                self._url = found[1]
                self._url_found.set()
        self._url_found.set()

    def client(self) -> Client:
        return Client(self.url, self.token)

    def terminate(self, *, deadline: float = STOP_DEADLINE, by: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal that ends it; returns the exit status."""
        if self._process.poll() is None:
            self._process.send_signal(by)
        try:
            return self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not ended {deadline:g} s after {by.name}:\n{self.log_text}") from None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(STOP_DEADLINE)

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
        try:
            if self._process.poll() is None:
                self.terminate()
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join(STOP_DEADLINE)
            assert self._process.stderr is not None
            self._process.stderr.close()
            shutil.rmtree(self.base, ignore_errors=True)
            self.open.discard(self.base)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def zygote(self) -> psutil.Process:
        """The process that python kernels are forked from, once it is ready."""
        client = self.client()
        wait_until(lambda: client.http.get("/readyz").json()["checks"]["zygote"] == "ready", what="the zygote is ready")
        client.close()
        (zygote,) = [each for each in self._parents() if "spawn.py" not in " ".join(each.cmdline())]
        return zygote

    def _parents(self) -> list[psutil.Process]:
        """The zygote and the spawner: the server's own children. A forked kernel has the command line of its parent."""
        return [each for each in psutil.Process(self.pid).children() if "--zygote" in each.cmdline()]

    def kernels(self) -> list[psutil.Process]:
        """All children but the zygote, the spawners, and what boxes consist of."""
        self.zygote()
        parents = self._parents()
        return [each for each in self.children() if each not in parents and not _is_of_a_box(each)]

    def files(self) -> set[Path]:
        """Everything in the run directory."""
        return set(self.run_dir.rglob("*"))

    def fds(self) -> list[str]:
        """What the server's file descriptors lead to."""
        found = []
        for fd in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(fd))
        found = [re.sub(r"(/contexts/[^/]+/)[^/]+", r"\1N", target) for target in found]
        return sorted(re.sub(r"\d+", "N", re.sub(r"(/s-|/contexts/|/k/)[^/]+", r"\1N", target)) for target in found)

    def boxes(self) -> list[psutil.Process]:
        """The first process of each box, with spares and those that are ending."""
        return [each for each in self.children() if _is_named(each, "pr-init")]

    def spares(self) -> int:
        """How many boxes are ready for new contexts."""
        if self._watcher is None:
            self._watcher = self.client()  # one connection for good: tests count the server's sockets
        ready = re.search(r"^polyrepl_boxes_ready (\S+)$", self._watcher.http.get("/metrics").text, re.MULTILINE)
        assert ready is not None
        return int(float(ready[1]))

    def threads(self) -> int:
        return psutil.Process(self.pid).num_threads()

    def memory(self) -> int:
        """Resident bytes now."""
        return psutil.Process(self.pid).memory_info().rss

    def reset_peak_memory(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak_memory(self) -> int:
        """Most resident bytes since `reset_peak_memory`."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024
