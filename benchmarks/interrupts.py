"""Interrupts at random moments of cells of every kind: `python -m benchmarks.interrupts` sends 2,000 of them over HTTP.

After each interrupted cell a sentinel cell runs in the same context: it must be answered, rightly, by the same kernel
with the state of all cells before. Half of the sentinels already wait in the queue when the interrupt is sent.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .client import HttpClient, LateError
from .machine import ROOT, peers_environment
from .peer_polyrepl import Polyrepl
from .procs import PeerError, adopt_orphans, end_everything
from .results import quantile

PATIENCE = 15.0  # seconds for an answer; one that is not there by then is lost
LONGEST_DELAY = 0.06  # seconds; the cells run for about 40 ms, so some interrupts come too late, as they do in life

#: Code of about 40 ms by kind of cell (a loop in an async function 150: the inspector, which ends it, comes in after 60);
#: `input` is never answered, `answered` at a random moment.
KINDS: dict[str, dict[str, str]] = {
    "python": {
        "loop": "for step in range(700_000):\n    step * step",
        "await": "import asyncio\nfor step in range(8):\n    await asyncio.sleep(0.005)",
        "input": "answer = input('? ')",
        "answered": "answer = input('? ')\nanswer",
        "print": "for step in range(3000):\n    print(step, 'x' * 100)",
        "subprocess": "import subprocess\nsubprocess.run(['sleep', '0.04'])",
        "shell": "!sleep 0.04",
        "numpy": "square = numpy.ones((300, 300))\nfor step in range(40):\n    square @ square",
        "sleep": "import time\ntime.sleep(0.04)",
    },
    "typescript": {
        "loop": "for (const end = Date.now() + 40; Date.now() < end;) {}",
        "await": "for (let step = 0; step < 8; step++) await new Promise((done) => setTimeout(done, 5))",
        "input": "prompt('? ')",
        "answered": "prompt('? ')",
        "print": "for (let step = 0; step < 6000; step++) console.log(step, 'x'.repeat(100))",
        "subprocess": "require('child_process').execSync('sleep 0.04'); 0",
        "sleep": "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 40)",
        "function": "await (async () => { await null; for (const end = Date.now() + 150; Date.now() < end;) {} })()",
        "timer": "await new Promise((done) => setTimeout(() => { for (const end = Date.now() + 40; Date.now() < end;) {} done() }))",
        "stream": "for await (const part of (async function* () { for (let i = 0; i < 60_000; i++) yield i })()) {}",
        "display": "for (let step = 0; step < 1000; step++) display({ step })",
    },
}
#: numpy is imported here: an interrupt in the middle of its import leaves it unusable, as Python itself says.
_BEGIN = {
    "python": "import os\nimport numpy\nsentinels = 0\nos.getpid()",
    "typescript": "var sentinels = 0; process.pid",
}
_SENTINEL = {
    "python": "sentinels += 1\n({token}, sentinels, os.getpid())",
    "typescript": "sentinels += 1; [{token}, sentinels, process.pid]",
}
COLUMNS = ("interrupts", "interrupted", "ended before", "lost reply", "kernel died", "hit later", "state lost", "other")
FAULTS = COLUMNS[3:]


class StateLost(Exception):
    """The context cannot be used any further; the text is one of FAULTS."""


@dataclass(slots=True)
class Tally:
    """What happened, by kind; `latencies` are ms from the request of an interrupt to the interrupted cell's answer."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, what: str, example: str = "") -> None:
        with self.lock:
            self.counts.setdefault(kind, Counter())[what] += 1
            if what in FAULTS and len(self.examples) < 40:
                self.examples.append(f"{kind}: {what}: {example}")

    def add_latency(self, kind: str, milliseconds: float) -> None:
        with self.lock:
            self.latencies.setdefault(kind, []).append(milliseconds)

    @property
    def faults(self) -> int:
        return sum(counter[what] for counter in self.counts.values() for what in FAULTS)


class Tester:
    """One client with one context at a time."""

    def __init__(self, port: int, language: str, tally: Tally, seed: int) -> None:
        self._http = HttpClient(port)
        self._language = language
        self._tally = tally
        self._random = random.Random(seed)
        self._context: str | None = None
        self._pid = 0
        self._sentinels = 0

    def interrupt(self, kind: str) -> None:
        """Interrupt one cell at a random moment, run the sentinel, and count what happened."""
        self._tally.add(kind, "interrupts")
        try:
            if self._context is None:
                self._begin()
            self._strike(kind)
        except StateLost as lost:
            self._tally.add(kind, *lost.args)
            self._give_up()
        except LateError as error:
            self._tally.add(kind, "lost reply", str(error))
            self._give_up()
        except (PeerError, OSError, LookupError, ValueError) as error:
            self._tally.add(kind, "other", f"{type(error).__name__}: {error}")
            self._give_up()

    def close(self) -> None:
        self._give_up()
        self._http.close()

    def _strike(self, kind: str) -> None:
        execution = self._start(KINDS[self._language][kind])
        token = self._random.randrange(1, 10**6)
        sentinel = self._start(_SENTINEL[self._language].format(token=token)) if self._random.random() < 0.5 else None
        delay = self._random.uniform(0.0, LONGEST_DELAY)
        if kind == "answered":
            time.sleep(self._random.uniform(0.0, delay))
            self._http.request("POST", f"/executions/{execution}/input", {"value": "x"}, timeout=PATIENCE)
        time.sleep(delay)
        asked = time.perf_counter()
        self._http.json("POST", f"/executions/{execution}/interrupt", timeout=PATIENCE)
        result = self._result(execution)
        ended = time.perf_counter()
        self._judge(kind, result, (ended - asked) * 1000)
        self._check(self._result(sentinel or self._start(_SENTINEL[self._language].format(token=token))), token)

    def _judge(self, kind: str, result: Any, milliseconds: float) -> None:
        status, error = result["status"], result.get("error", {})
        if status == "interrupted" or error.get("name") == "KeyboardInterrupt":
            self._tally.add(kind, "interrupted")
            self._tally.add_latency(kind, milliseconds)
        elif status == "ok":
            self._tally.add(kind, "ended before")
        elif status == "died":
            raise StateLost("kernel died", error.get("value", ""))
        elif status == "timeout":
            raise StateLost("lost reply", "the server's time limit ended it")
        else:
            self._tally.add(kind, "other", f"{status} {error.get('name')}: {error.get('value')}")

    def _check(self, result: Any, token: int) -> None:
        """The sentinel counts itself, so that a state that was lost and made anew would be seen too."""
        self._sentinels += 1
        found = [item.get("text", "") for item in result["items"]]
        numbers = [int(number) for number in re.findall(r"\d+", found[-1])] if found else []
        if numbers == [token, self._sentinels, self._pid] and result["status"] == "ok":
            return
        told = f"{result['status']} {numbers} {result.get('error', {}).get('value', '')}"
        if result["status"] == "interrupted" or result.get("error", {}).get("name") == "KeyboardInterrupt":
            raise StateLost("hit later", told)
        if result["status"] == "died" or result.get("context_state", "preserved") not in ("created", "preserved"):
            raise StateLost("kernel died", told)
        raise StateLost("state lost", f"{told}, not {[token, self._sentinels, self._pid]}")

    def _begin(self) -> None:
        body = {"code": _BEGIN[self._language], "language": self._language}
        result = self._http.json("POST", "/execute", body, timeout=60.0)
        self._context = result["context_id"]
        self._pid, self._sentinels = int(result["items"][0]["text"]), 0

    def _start(self, code: str) -> str:
        body = {"code": code, "language": self._language, "context_id": self._context}
        return str(self._http.json("POST", "/execute", body, prefer="respond-async")["execution_id"])

    def _result(self, execution: str) -> Any:
        """Follow the execution to its end and return its result; LateError after PATIENCE."""
        status, _ = self._http.request(
            "GET", f"/executions/{execution}/events", accept="application/x-ndjson", timeout=PATIENCE
        )
        if status != 200:
            msg = f"the events answered {status}"
            raise PeerError(msg)
        return self._http.json("GET", f"/executions/{execution}", timeout=PATIENCE)

    def _give_up(self) -> None:
        """Drop the context; the next interrupt gets a new one."""
        context, self._context = self._context, None
        if context is not None:
            try:
                self._http.json("DELETE", f"/contexts/{context}", timeout=30.0)
            except (PeerError, OSError) as error:
                self._tally.add("(deleting a context)", "other", str(error))


def run(port: int, language: str, kinds: list[str], count: int, contexts: int, seed: int) -> Tally:
    """Send `count` interrupts, spread evenly over the kinds, from `contexts` clients at once."""
    tally = Tally()
    order = [kinds[number % len(kinds)] for number in range(count)]
    random.Random(seed).shuffle(order)

    def client(place: int) -> None:
        tester = Tester(port, language, tally, seed + place)
        for kind in order[place::contexts]:
            tester.interrupt(kind)
        tester.close()

    threads = [threading.Thread(target=client, args=(place,)) for place in range(contexts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tally


def table(tally: Tally, kinds: list[str]) -> list[str]:
    """Return the lines of the table, kinds in their order and the sum last."""
    lines = [f"{'kind':12}" + "".join(f"{name:>14}" for name in COLUMNS) + f"{'ms p50/p95/max':>20}"]
    total: Counter[str] = Counter()
    every: list[float] = []
    for kind in [*kinds, *(extra for extra in tally.counts if extra not in kinds)]:
        counts, latencies = tally.counts.get(kind, Counter()), tally.latencies.get(kind, [])
        total += counts
        every += latencies
        lines.append(_row(kind, counts, latencies))
    return [*lines, _row("all", total, every)]


def _row(kind: str, counts: Counter[str], latencies: list[float]) -> str:
    spread = [quantile(latencies, at) for at in (0.5, 0.95, 1.0)] if latencies else []
    times = "/".join(f"{value:.0f}" for value in spread) or "-"
    return f"{kind:12}" + "".join(f"{counts[name]:>14}" for name in COLUMNS) + f"{times:>20}"


def main(argv: list[str] | None = None) -> int:
    """Run it on a server of its own and print a table; return 1 on any fault."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interrupts", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, metavar="N", help="interrupts over all kinds")
    parser.add_argument("--contexts", type=int, default=4, metavar="N", help="contexts at work at once")
    parser.add_argument("--language", default="python", choices=KINDS)
    parser.add_argument("--kinds", nargs="+", metavar="KIND", help="only these kinds of cells")
    parser.add_argument(
        "--seed", type=int, default=None, help="of the random moments; printed, so that it can be repeated"
    )
    parser.add_argument("--polyrepl", default=str(ROOT / ".venv/bin/polyrepl"), metavar="PATH")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write counts and latencies as JSON")
    options = parser.parse_args(argv)
    known = list(KINDS[options.language])
    kinds = options.kinds or known
    if unknown := [kind for kind in kinds if kind not in known]:
        parser.error(f"no such kind: {', '.join(unknown)}; there are: {', '.join(known)}")
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    adopt_orphans()
    directory = Path(tempfile.mkdtemp(prefix="interrupts-"))
    server = Polyrepl(options.polyrepl)
    started = time.monotonic()
    try:
        server.start(directory, peers_environment(directory))
        tally = run(server.port, options.language, kinds, options.count, options.contexts, seed)
        alive = server.is_alive()
    finally:
        server.stop()
        end_everything()
        shutil.rmtree(directory, ignore_errors=True)
    print("\n".join(table(tally, kinds)))
    for example in tally.examples:
        print(f"FAULT: {example}")
    print(f"{options.language}, seed {seed}, {time.monotonic() - started:.0f} s, {tally.faults} faults")
    if not alive:
        print("FAULT: the server died")
    if options.json is not None:
        figures = {"counts": tally.counts, "latencies_ms": tally.latencies, "examples": tally.examples, "seed": seed}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if alive and tally.faults == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
