"""Where the time of one warm request goes, from the client through server and kernel and back: `python -m benchmarks.profile`.

Functions at the boundaries of its steps are wrapped, in the client, in the server and, by a cell, in the kernel, so
that each call leaves two marks in time. A step is the time from one mark to the next. A second server without marks
gets the same requests in turn, which tells what the marks themselves cost.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import marks
from .client import HttpClient
from .machine import ROOT, facts, peers_environment
from .peer_polyrepl import Polyrepl
from .procs import PeerError, adopt_orphans, end_everything
from .results import quantile

_BLOCKS, _BLOCK = 10, 100
_WARM_UP = 300

CLIENT_POINTS = (
    ("benchmarks.client", "_Stream.send", "client-send"),
    ("benchmarks.client", "_Stream._fill", "client-read"),
)
KERNEL_POINTS = (
    ("polyrepl_kernel.stream", "StreamTransport.receive", "receive"),
    ("polyrepl_kernel.stream", "StreamTransport.flush", "flush"),
    ("polyrepl_kernel.execution", "Execution.run", "run"),
    ("polyrepl_kernel.execution", "Execution._transform", "transform"),
    ("polyrepl_kernel.execution", "Execution._run_sync", "cell"),
    ("polyrepl_kernel.execution", "Execution._tell_hooks", "hooks"),
    ("polyrepl_kernel.shell", "ZMQInteractiveShell.run_code", "code"),
    ("polyrepl_kernel.shell", "DisplayHook.__call__", "display"),
    ("IPython.core.interactiveshell", "InteractiveShell.run_ast_nodes", "nodes"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """What happens, and in which process, up to a mark; the last of its name in the request where `last`."""

    mark: str
    where: str
    what: str
    last: bool = False


STEPS = (
    Step("client-send.in", "client", "request built: headers and JSON"),
    Step("http.in", "between", "sent over loopback; the server wakes"),
    Step("asgi.in", "server", "HTTP parsed; the request's task begins"),
    Step("body.in", "server", "guard (host, origin, token) and routing"),
    Step("body.out", "server", "body read and validated"),
    Step("submit.out", "server", "execution made and put into the context's queue"),
    Step("request.in", "server", "the context's task begins; event `started`"),
    Step("write.in", "server", "execute_request built and encoded"),
    Step("receive.in", "between", "sent over the unix socket; the kernel wakes"),
    Step("receive.out", "kernel", "frame read"),
    Step("run.in", "kernel", "request's JSON read"),
    Step("transform.in", "kernel", "interrupts armed; `busy` and execute_input built"),
    Step("transform.out", "kernel", "IPython's input transformation"),
    Step("cell.in", "kernel", "does it await?"),
    Step("nodes.in", "kernel", "IPython's run_cell: hooks, history, syntax tree"),
    Step("code.in", "kernel", "IPython: compiled"),
    Step("display.in", "kernel", "user code runs"),
    Step("display.out", "kernel", "display hook: formatters, execute_result built"),
    Step("hooks.in", "kernel", "IPython's run_cell: the end"),
    Step("hooks.out", "kernel", "hooks after a cell (inline figures)"),
    Step("flush.in", "kernel", "execute_reply and `idle` built", last=True),
    Step("read.in", "between", "sent over the unix socket; the server wakes", last=True),
    Step("deliver.in", "server", "frames read", last=True),
    Step("end.in", "server", "messages parsed and normalized; the context's task wakes"),
    Step("encode.in", "server", "execution ended; the request's task wakes"),
    Step("encode.out", "server", "result made and encoded"),
    Step("http-send.in", "server", "response handed to uvicorn", last=True),
    Step("client-read.out", "between", "HTTP written and sent over loopback; the client wakes", last=True),
    Step("decoded", "client", "HTTP and JSON read"),
)
WHERE = ("client", "server", "kernel", "between")


class PolyreplProfiled(Polyrepl):
    """A server that marks its hot path."""

    name = "polyrepl, with marks"

    def __init__(self, path: Path) -> None:
        super().__init__(sys.executable)
        self.settings = {"PYTHONPATH": str(ROOT), "BENCH_MARKS": str(path)}

    def argv(self) -> list[str]:
        return [self.command, "-m", "benchmarks.profiled_server", "serve", "--port", str(self.port)]


class Client:
    """A context that gets `1+1` again and again."""

    def __init__(self, port: int) -> None:
        self._http = HttpClient(port)
        self._context = self._post("1+1")["context_id"]
        self.windows: list[tuple[int, int]] = []

    def block(self, count: int) -> list[float]:
        """Send `count` requests; returns their times in ms and keeps when they began and ended."""
        clock = time.perf_counter_ns
        body = {"code": "1+1", "context_id": self._context}
        windows = []
        for _ in range(count):
            began = clock()
            answer = self._http.json("POST", "/execute", body)
            windows.append((began, clock()))
            if answer["items"][0]["text"] != "2":
                msg = f"1+1 answered {answer}"
                raise PeerError(msg)
        self.windows += windows
        return [(ended - began) / 1e6 for began, ended in windows]

    def put_marks(self) -> None:
        """Wrap the kernel's functions, by a cell."""
        source = Path(marks.__file__).read_text()
        self._run(
            "import sys, types\nmarks = sys.modules['_bench_marks'] = types.ModuleType('_bench_marks')\n"
            f"exec({source!r}, marks.__dict__)\nmarks.wrap_all({KERNEL_POINTS!r})"
        )

    def write_marks(self, path: Path) -> None:
        self._run(f"marks.dump({str(path)!r})")

    def _run(self, code: str) -> None:
        answer = self._post(code, self._context)
        if answer["status"] != "ok":
            msg = f"the kernel has other functions than are to be marked: {answer['error']}"
            raise PeerError(msg)

    def _post(self, code: str, context: str | None = None) -> Any:
        body = {"code": code} if context is None else {"code": code, "context_id": context}
        return self._http.json("POST", "/execute", body)


@dataclass(slots=True)
class Profile:
    """Times in ms: of whole requests with and without marks, and of each step, request by request."""

    marked: list[float]
    plain: list[float]
    steps: list[list[float]]


def measure(directory: Path) -> Profile:
    """Start both servers, send the requests, and take the marks apart."""
    environment = peers_environment(directory)
    files = directory / "server.json", directory / "kernel.json"
    plain, marked = Polyrepl(str(ROOT / ".venv/bin/polyrepl")), PolyreplProfiled(files[0])
    try:
        plain.start(directory / "plain", environment)
        marked.start(directory / "marked", environment)
        times: dict[str, list[float]] = {"plain": [], "marked": []}
        clients = {"plain": Client(plain.port), "marked": Client(marked.port)}
        for client in clients.values():
            client.block(_WARM_UP)
            client.windows.clear()
        clients["marked"].put_marks()
        marks.wrap_all(CLIENT_POINTS)
        for number in range(_BLOCKS):
            for name in ("plain", "marked") if number % 2 else ("marked", "plain"):
                times[name] += clients[name].block(_BLOCK)
        windows = clients["marked"].windows
        clients["marked"].write_marks(files[1])
        os.kill(marked.server.pid, signal.SIGUSR1)
        marked.server.wait_until(files[0].exists)
    finally:
        plain.stop()
        marked.stop()
    found = [(name, at) for path in files for name, at in json.loads(path.read_text())]
    return Profile(times["marked"], times["plain"], _take_apart([*marks.MARKS, *found], windows))


def _take_apart(found: list[tuple[str, int]], windows: list[tuple[int, int]]) -> list[list[float]]:
    """Return, step by step, the ms of each request."""
    found = sorted(found, key=lambda mark: mark[1])
    steps: list[list[float]] = [[] for _ in STEPS]
    place = 0
    for began, ended in windows:
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        while place < len(found) and found[place][1] <= ended:
            name, at = found[place]
            place += 1
            if at >= began:
                first.setdefault(name, at)
                last[name] = at
        last["decoded"] = first["decoded"] = ended
        before = began
        for number, step in enumerate(STEPS):
            at = (last if step.last else first).get(step.mark, 0)
            if not at:
                msg = f"a request left no mark {step.mark}"
                raise PeerError(msg)
            steps[number].append((at - before) / 1e6)
            before = at
    return steps


def report(profile: Profile, where: dict[str, str]) -> str:
    """Return the profile as markdown."""
    total = statistics.median(profile.marked)
    middles = [statistics.median(values) for values in profile.steps]
    places = {place: sum(m for m, step in zip(middles, STEPS, strict=True) if step.where == place) for place in WHERE}
    lines = [
        "# Where the time of a warm request goes",
        "",
        "Written by `python -m benchmarks.profile --write`. The request is `POST /execute` with `1+1` in a context that",
        "exists, one after the other on one connection; the way is client, server, kernel and back. Times are in ms.",
        "",
        *(f"- {name}: {where[name]}" for name in ("date", "machine", "python", "commit")),
        f"- requests: {len(profile.marked)}; median {total:.2f}, p95 {quantile(profile.marked, 0.95):.2f}",
        f"- the same on a server without marks, in alternation: median {statistics.median(profile.plain):.2f}, "
        f"p95 {quantile(profile.plain, 0.95):.2f}; the difference is what the marks cost, and chance",
        "- " + ", ".join(f"{place} {value:.2f}" for place, value in places.items()) + f"; sum {sum(middles):.2f}",
        "",
        "| where | step | median | p95 | share |",
        "|---|---|---|---|---|",
    ]
    for step, values, middle in zip(STEPS, profile.steps, middles, strict=True):
        share = middle / sum(middles)
        lines.append(f"| {step.where} | {step.what} | {middle:.3f} | {quantile(values, 0.95):.3f} | {share:.0%} |")
    lines += [
        "",
        "A step lasts from the mark of the one before to its own: `STEPS` in `benchmarks/profile.py` names the functions.",
        "Steps `between` processes hold system calls, the wake-up of a sleeping process and its event loop; on an idle",
        "machine much of that is the processor leaving its sleep. Steps that need no answer, such as the end of the",
        "kernel's turn after its last write, run beside the next ones and are in none.",
        "",
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Measure and print, or write docs/profile.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/profile.md")
    options = parser.parse_args(argv)
    adopt_orphans()
    where = facts(Path(sys.executable))
    directory = Path(tempfile.mkdtemp(prefix="profile-"))
    try:
        text = report(measure(directory), where)
    finally:
        end_everything()
        shutil.rmtree(directory, ignore_errors=True)
    print(text)
    if options.write:
        (ROOT / "docs" / "profile.md").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
