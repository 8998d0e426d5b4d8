"""What a measurement sees of a peer: contexts that execute code and give an Answer."""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from .procs import PeerError, Server, descendants, find_process

PID_OF_PYTHON = "import os; f'{os.getpid()} {os.stat(\"/proc/self/ns/pid\").st_ino}'"
PID_OF_TYPESCRIPT = "`${process.pid} ${require('fs').statSync('/proc/self/ns/pid').ino}`"


@dataclass(slots=True)
class Answer:
    """The outcome of one execution as the client got it: pieces of stdout and stderr, displays, result, error.

    Times are values of time.perf_counter. `png` is the last image in base64, `interrupted` the moment at which the
    client asked for an interrupt, `remark` what the peer itself says about the answer (cut output, lost state).
    """

    started: float
    ended: float = 0.0
    first: float | None = None
    interrupted: float | None = None
    text: str | None = None
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    displays: list[str] = field(default_factory=list)
    png: str = ""
    error: str | None = None
    status: str = ""
    remark: str = ""

    @property
    def ms(self) -> float:
        return (self.ended - self.started) * 1000

    @property
    def stdout(self) -> str:
        return "".join(self.out)

    @property
    def stderr(self) -> str:
        return "".join(self.err)

    @property
    def is_two(self) -> bool:
        """Tell whether this is the right answer to `1+1`."""
        return self.text == "2" and self.error is None

    def gist(self) -> str:
        """Show the result and how the execution ended."""
        return f"{self.text!r}, {self.outcome()}"

    def outcome(self) -> str:
        """Describe the answer in a few words."""
        return ": ".join(part for part in (self.status, self.error) if part) or "ok"


@dataclass(slots=True)
class Load:
    """What a closed loop of concurrent clients did; `example` describes one of the `wrong` answers."""

    seconds: float
    latencies_ms: list[float]
    wrong: int
    example: str

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds


class Context(ABC):
    """One context (a kernel) of a peer, used by one client at a time."""

    @abstractmethod
    def execute(self, code: str, *, limit: float | None = None, patience: float = 60.0) -> Answer:
        """Run code. `limit` is the time limit of the execution in s, `patience` how long the client waits."""

    def stream(self, code: str, marker: str) -> Answer | None:
        """Run code with streamed output; Answer.first is the moment when `marker` reached the client.

        None means that the peer does not stream.
        """
        del code, marker
        return None

    def interrupt(self, code: str, delay: float) -> Answer | None:
        """Run code and ask for its interrupt after `delay` s; Answer.interrupted is the moment of asking.

        None means that the peer's clients cannot interrupt.
        """
        del code, delay
        return None

    def branch(self) -> Context | None:
        """Return a new context with this one's live state; None means that the peer cannot do that."""
        return None

    @abstractmethod
    def close(self) -> None:
        """End the context and its kernel."""


class Peer(ABC):
    """A way to execute code, started once per run and alive during the whole of it."""

    name: str
    about: str
    #: What measurements know the peer as; the same for two versions of one peer, which have names of their own.
    role = ""
    #: The line of peers.txt that the peer comes from; empty for this project's own.
    package = ""
    #: False where the "server" is only the process that holds the caller's client library.
    has_server = True
    #: What stands between the caller and the kernels: measured as "server CPU" and "server RSS".
    server: Server
    #: Where that listens, if it does.
    port = 0
    #: Names of the only measurements that this peer takes part in; empty for all of python's.
    only: frozenset[str] = frozenset()
    language = "python"
    #: The largest number of contexts that load is put on; less where more would tell little for its time.
    most_contexts = 32
    #: Whether contexts share memory with each other, so that more of them are needed to see what one costs.
    shares_memory = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" in cls.__dict__:
            cls.role = cls.name

    @abstractmethod
    def start(self, directory: Path, env: dict[str, str]) -> None:
        """Start the peer and return when it answers."""

    @abstractmethod
    def open(self, code: str = "1+1") -> tuple[Context, Answer]:
        """Make a context and run code; the answer spans from the first byte sent to the result."""

    def open_many(self, count: int) -> list[Context]:
        """Make contexts, four at a time."""
        with ThreadPoolExecutor(4) as threads:
            return [context for context, _ in threads.map(lambda _: self.open(), range(count))]

    def close_many(self, contexts: list[Context]) -> None:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda context: context.close(), contexts))

    def load(self, contexts: list[Context], seconds: float, minimum: int = 1) -> Load:
        """Let one client per context send `1+1` again and again for `seconds` and at least `minimum` times."""
        return run_load(contexts, seconds, minimum)

    def kernel_pid(self, context: Context) -> int:
        """Return the pid of the context's kernel, as seen from here."""
        probe = PID_OF_TYPESCRIPT if self.language == "typescript" else PID_OF_PYTHON
        answer = context.execute(probe)
        try:
            pid, namespace = (int(part) for part in (answer.text or "").strip("'\"`").split())
        except ValueError:
            msg = f"the kernel did not tell its pid: {answer.text or answer.outcome()}"
            raise PeerError(msg) from None
        if os.stat("/proc/self/ns/pid").st_ino == namespace:
            return pid
        return find_process(self.server.pid, pid, namespace)

    def kernel_tree(self, context: Context) -> list[int]:
        """Return the pids of the context's kernel and of what is below it."""
        pid = self.kernel_pid(context)
        return [pid, *descendants(pid)]

    def is_alive(self) -> bool:
        return hasattr(self, "server") and self.server.is_alive()

    def stop(self) -> None:
        if hasattr(self, "server"):
            self.server.stop()


class Guest(Peer):
    """Another way to use the server of a peer that was started before, and to whom it stays."""

    def __init__(self, host: Peer) -> None:
        self._host = host

    def start(self, directory: Path, env: dict[str, str]) -> None:
        del directory, env
        if not self._host.is_alive():
            msg = f"{self._host.name} did not start"
            raise PeerError(msg)
        self.server, self.port = self._host.server, self._host.port

    def stop(self) -> None:
        """Leave the server to its owner."""


def run_load(contexts: Sequence[Context], seconds: float, minimum: int) -> Load:
    """Run the closed loops, one thread each, and join them."""
    latencies: list[float] = []
    wrong: list[Answer] = []
    failures: list[Exception] = []
    ready = threading.Barrier(len(contexts) + 1)

    def loop(context: Context) -> None:
        ready.wait(30)
        end = time.perf_counter() + seconds
        done = 0
        try:
            while (done < minimum or time.perf_counter() < end) and not failures:
                answer = context.execute("1+1")
                latencies.append(answer.ms)
                done += 1
                if not answer.is_two:
                    wrong.append(answer)
        except Exception as error:  # handed to the caller, who raises it
            failures.append(error)

    threads = [threading.Thread(target=loop, args=(context,), daemon=True) for context in contexts]
    for thread in threads:
        thread.start()
    ready.wait(30)
    started = time.perf_counter()
    for thread in threads:
        thread.join(seconds + 100)
    elapsed = time.perf_counter() - started
    if failures:
        raise failures[0]
    if any(thread.is_alive() for thread in threads) or not latencies:
        msg = "clients did not finish under load"
        raise PeerError(msg)
    example = wrong[0].gist() if wrong else ""
    return Load(elapsed, latencies, len(wrong), example)
