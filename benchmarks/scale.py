"""Many live contexts on one server: `python -m benchmarks.scale` makes 500, works with them and looks for leftovers.

It is also the measurement `scale` of the benchmark.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .client import HttpClient
from .machine import ROOT, peers_environment
from .peer_polyrepl import Polyrepl
from .procs import PeerError, adopt_orphans, available_mb, descendants, end_everything, memory, open_files
from .results import quantile
from .run import Run, say

_SETTLE = 15.0
_SPAWNED_MB = 40.0  # what a context costs where kernels are spawned, not forked
_SLOW_MS = 150.0


class PolyreplForMany(Polyrepl):
    """A server that may have many contexts. Its pools are off, so that every creation is a whole one."""

    name = "polyrepl, many contexts"

    def __init__(self, command: str, count: int, *, pooled: bool = False) -> None:
        super().__init__(command)
        self.settings: Mapping[str, str] = {
            "POLYREPL_MAX_CONTEXTS": str(count + 10),
            "POLYREPL_LOG_LEVEL": "warning",
            **({} if pooled else {"POLYREPL_POOL_MAX": "0"}),
        }


@dataclass(slots=True)
class Figures:
    """What was measured; times in ms, memory in MB."""

    count: int
    create_ms: list[float] = field(default_factory=list)
    creating_s: float = 0.0
    warm_before_ms: list[float] = field(default_factory=list)
    warm_after_ms: list[float] = field(default_factory=list)
    kernels_pss: float = 0.0
    kernels_private: float = 0.0
    others_pss: float = 0.0
    server_rss: float = 0.0
    fds_per_context: float = 0.0
    busy: int = 0
    busy_right: int = 0
    busy_s: float = 0.0
    busy_ms: list[float] = field(default_factory=list)
    delete_s: float = 0.0
    processes_left: int = 0
    fds_left: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def total_gb(self) -> float:
        """Everything that the contexts cost: kernels, fork servers and the server."""
        return (self.kernels_pss + self.others_pss) / 1024


class Scale:
    """One run against a started server."""

    def __init__(self, server: Polyrepl, count: int, busy: int, *, clients: int = 1, code: str = "") -> None:
        self._pid, self._port = server.server.pid, server.port
        self._clients, self._code = clients, code
        self._busy = min(busy, count)
        self._http = HttpClient(self._port)
        self._ids: list[str] = []
        self.figures = Figures(count, busy=self._busy)

    def run(self) -> Figures:
        """Create, measure, work, delete, and look at what is left."""
        figures = self.figures
        probe = self._execute(self._http, None, "1+1")["context_id"]
        figures.warm_before_ms = self._warm(probe)
        processes, files = set(descendants(self._pid)), open_files(self._pid)
        others = processes.copy()
        self._create()
        kernels = set(descendants(self._pid)) - processes
        figures.warm_after_ms = self._warm(probe)
        measured = memory(kernels)
        figures.kernels_pss, figures.kernels_private = measured.pss, measured.private
        figures.others_pss = memory([self._pid, *others]).pss
        figures.server_rss = memory([self._pid]).rss
        figures.fds_per_context = (open_files(self._pid) - files) / max(1, len(self._ids))
        self._work()
        self._delete()
        self._look_for_leftovers(processes, files)
        self._http.json("DELETE", f"/contexts/{probe}")
        self._http.close()
        return figures

    @staticmethod
    def _execute(http: HttpClient, context: str | None, code: str) -> Any:
        body = {"code": code} if context is None else {"code": code, "context_id": context}
        return http.json("POST", "/execute", body, timeout=60.0)

    def _warm(self, probe: str) -> list[float]:
        times = []
        for _ in range(300):
            started = time.perf_counter()
            self._expect(self._execute(self._http, probe, "1+1"), "2", "the warm call")
            times.append((time.perf_counter() - started) * 1000)
        return times

    def _expect(self, answer: Any, text: str, what: str) -> bool:
        got = [item.get("text") for item in answer["items"]]
        if got == [text] and answer["status"] == "ok":
            return True
        self.figures.faults.append(f"{what} answered {got or answer.get('error')}, not {text}")
        return False

    def _create(self) -> None:
        """Each context gets a variable of its own, so that a mix-up would be seen."""
        numbers = iter(range(self.figures.count))
        lock = threading.Lock()

        def client(http: HttpClient) -> None:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                started = time.perf_counter()
                answer = self._execute(http, None, f"{self._code}\nmine = {number}\nmine + 1")
                elapsed = (time.perf_counter() - started) * 1000
                with lock:
                    self.figures.create_ms.append(elapsed)
                    self._ids.append(answer["context_id"])
                    self._expect(answer, str(number + 1), "a new context")

        started = time.perf_counter()
        _together([client] * self._clients, self._port)
        self.figures.creating_s = time.perf_counter() - started

    def _work(self) -> None:
        """Run a cell in each of the first contexts, all at once, and check every answer."""
        code = "sum(step * step % 7 for step in range(200_000)) + mine * 0 + len(str(mine)), mine"
        total = sum(step * step % 7 for step in range(200_000))
        mine = [self._execute(self._http, each, "mine")["items"][0]["text"] for each in self._ids[: self._busy]]
        lock = threading.Lock()

        def one(context: str, number: str) -> Callable[[HttpClient], None]:
            def client(http: HttpClient) -> None:
                started = time.perf_counter()
                answer = self._execute(http, context, code)
                elapsed = (time.perf_counter() - started) * 1000
                with lock:
                    self.figures.busy_ms.append(elapsed)
                    right = self._expect(answer, f"({total + len(number)}, {number})", "a busy cell")
                    self.figures.busy_right += right

            return client

        started = time.perf_counter()
        _together([one(*pair) for pair in zip(self._ids, mine, strict=False)], self._port)
        self.figures.busy_s = time.perf_counter() - started
        if len(set(mine)) != len(mine):
            self.figures.faults.append("two contexts hold the same variable")

    def _delete(self) -> None:
        started = time.perf_counter()

        def deleter(ids: list[str]) -> Callable[[HttpClient], None]:
            def client(http: HttpClient) -> None:
                for each in ids:
                    http.json("DELETE", f"/contexts/{each}", timeout=30.0)

            return client

        _together([deleter(self._ids[place::4]) for place in range(4)], self._port)
        self.figures.delete_s = time.perf_counter() - started

    def _look_for_leftovers(self, processes: set[int], files: int) -> None:
        """What is still there after some seconds is left behind. A server closes an idle connection after 5 s."""
        deadline = time.monotonic() + _SETTLE
        figures = self.figures
        while time.monotonic() < deadline:
            figures.processes_left = len(set(descendants(self._pid)) - processes)
            figures.fds_left = open_files(self._pid) - files
            if figures.processes_left <= 0 and figures.fds_left <= 0:
                return
            time.sleep(0.2)
        figures.faults.append(f"left behind: {figures.processes_left} processes, {figures.fds_left} open files")


def _together(clients: list[Callable[[HttpClient], None]], port: int) -> None:
    """Run the clients at once, each on a connection of its own, and wait for all; raise what the first one raised."""
    barrier = threading.Barrier(len(clients))

    def run(client: Callable[[HttpClient], None]) -> None:
        http = HttpClient(port)
        try:
            barrier.wait(60)
            client(http)
        finally:
            http.close()

    with ThreadPoolExecutor(len(clients)) as threads:
        list(threads.map(run, clients))


def scale(run: Run) -> None:
    """Many live contexts on a server of their own, started for this and ended after it."""
    for peer in run.peers:
        if isinstance(peer, Polyrepl) and peer.role == "polyrepl":
            _scale(run, peer)


def _scale(run: Run, peer: Polyrepl) -> None:
    count = run.plan.scale_contexts
    server = PolyreplForMany(peer.command, count)
    try:
        server.start(run.directory / f"scale-{peer.name}".replace(" ", "-"), peers_environment(run.directory))
        _must_be_possible(server, count)
        figures = Scale(server, count, run.plan.scale_busy).run()
    except (PeerError, OSError, LookupError, ValueError) as error:
        say(f"scale failed: {error}")
        for metric in ("scale-create", "scale-memory", "scale-warm", "scale-busy"):
            run.results.cell(metric, peer.name).failed = str(error)
    else:
        _add(run, peer.name, figures)
    finally:
        server.stop()


def _add(run: Run, name: str, figures: Figures) -> None:
    right = f"{figures.busy_right} of {figures.busy} right"
    rows = {
        "scale-create": (figures.create_ms, f"p99 {quantile(figures.create_ms, 0.99):.1f} ms"),
        "scale-memory": ([figures.total_gb], _memory_line(figures)),
        "scale-warm-before": (figures.warm_before_ms, ""),
        "scale-warm": (figures.warm_after_ms, ""),
        "scale-busy": (figures.busy_ms, f"{right} in {figures.busy_s:.2f} s"),
    }
    for metric, (values, note) in rows.items():
        cell = run.results.add(metric, name, values)
        cell.lost = "; ".join(figures.faults[:3])
        cell.note(f"{figures.count} contexts")
        cell.note(note)


def _must_be_possible(server: Polyrepl, count: int) -> None:
    """Raise PeerError where kernels are spawned, not forked: it would take minutes and all the memory."""
    for _ in range(2):  # the first one may still be waiting for a fork server that boots
        context, answer = server.open()
        context.close()
    if answer.ms > _SLOW_MS and count * _SPAWNED_MB > available_mb() / 2:
        msg = f"a new context takes {answer.ms:.0f} ms: kernels are spawned, {count} of them do not fit"
        raise PeerError(msg)


def _memory_line(figures: Figures) -> str:
    each = figures.kernels_pss / figures.count, figures.kernels_private / figures.count
    return (
        f"per context {each[0]:.1f} MB PSS, {each[1]:.1f} MB private; other processes {figures.others_pss:.0f} MB, "
        f"server RSS {figures.server_rss:.0f} MB"
    )


def table(figures: Figures) -> list[tuple[str, str]]:
    """Return the figures as rows of a name and a text."""

    def spread(values: list[float]) -> str:
        parts = [f"{name} {quantile(values, at):.1f}" for name, at in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))]
        return f"{', '.join(parts)}, max {max(values):.1f} ms"

    return [
        ("contexts", str(figures.count)),
        ("creation to the first result", spread(figures.create_ms)),
        ("creations per second", f"{figures.count / figures.creating_s:.1f}"),
        ("warm `1+1` before", spread(figures.warm_before_ms)),
        ("warm `1+1` beside all of them", spread(figures.warm_after_ms)),
        ("memory of everything", f"{figures.total_gb:.2f} GB PSS"),
        ("memory", _memory_line(figures)),
        ("server's open files per context", f"{figures.fds_per_context:.2f}"),
        (f"{figures.busy} cells at once", f"{figures.busy_right} right in {figures.busy_s:.2f} s"),
        ("one of these cells", spread(figures.busy_ms)),
        ("deletion of all", f"{figures.delete_s:.2f} s"),
        ("left behind", f"{figures.processes_left} processes, {figures.fds_left} open files"),
    ]


def main(argv: list[str] | None = None) -> int:
    """Run it and print a table; return 1 when an answer was wrong or something was left behind."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--contexts", type=int, default=500, metavar="N")
    parser.add_argument("--busy", type=int, default=100, metavar="N", help="how many run a cell at once")
    parser.add_argument("--clients", type=int, default=1, metavar="N", help="how many create contexts at once")
    parser.add_argument("--code", default="", help="what each context runs first, as `import pandas`")
    parser.add_argument("--pool", action="store_true", help="leave the server's pools on")
    parser.add_argument("--polyrepl", default=str(ROOT / ".venv/bin/polyrepl"), metavar="PATH")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    options = parser.parse_args(argv)
    adopt_orphans()
    directory = Path(tempfile.mkdtemp(prefix="scale-"))
    server = PolyreplForMany(options.polyrepl, options.contexts, pooled=options.pool)
    try:
        server.start(directory, peers_environment(directory))
        run = Scale(server, options.contexts, options.busy, clients=options.clients, code=options.code)
        figures = run.run()
    finally:
        server.stop()
        end_everything()
        shutil.rmtree(directory, ignore_errors=True)
    for name, text in table(figures):
        print(f"{name:32} {text}")
    for fault in figures.faults[:20]:
        print(f"FAULT: {fault}")
    if options.json is not None:
        samples = {name: getattr(figures, name) for name in Figures.__dataclass_fields__}
        options.json.write_text(json.dumps(samples | {"total_gb": figures.total_gb}, indent=1) + "\n")
    return 1 if figures.faults else 0


if __name__ == "__main__":
    sys.exit(main())
