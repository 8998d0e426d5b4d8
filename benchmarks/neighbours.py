"""What a context feels of its neighbours: `python -m benchmarks.neighbours` asks for `1+1` beside one hostile load after the other.

Each load is code or a client that tries to stop the server for everybody. The first ones are honest: nothing, and busy loops,
whose figures show what two contexts cost each other by sharing the machine's cores. Every load is repeated until its time is over.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.queues import SimpleQueue
from pathlib import Path

from .attacks import ATTACKS, Attack
from .client import HttpClient
from .loads import LOADS, Attacker
from .machine import ROOT, peers_environment
from .peer_polyrepl import Polyrepl
from .procs import PeakMemory, PeerError, adopt_orphans, end_everything
from .results import quantile

PAUSE = 0.01  # seconds between two calls of the neighbour
PREFIX = "attack: "  # what the names of attacks on isolation and limits begin with
PATIENCE = 60.0  # seconds for one call of the neighbour; a later answer counts as a failure


@dataclass(slots=True)
class Felt:
    """What the neighbour felt of one load: ms of each call, calls that failed, MB by which the server grew at most."""

    times: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    growth: float = 0.0
    notes: list[str] = field(default_factory=list)

    def at(self, share: float) -> float:
        return quantile(self.times, share) if self.times else float("inf")


@contextlib.contextmanager
def neighbour(port: int, felt: Felt) -> Iterator[None]:
    """Ask for `1+1` in a context of its own until the block ends."""
    over = threading.Event()
    http = HttpClient(port)
    context = http.json("POST", "/execute", {"code": "1+1"})["context_id"]

    def ask() -> None:
        while not over.wait(PAUSE):
            began = time.perf_counter()
            try:
                answer = http.json("POST", "/execute", {"code": "1+1", "context_id": context}, timeout=PATIENCE)
                if answer["status"] != "ok" or answer["items"][0]["text"] != "2":
                    felt.failures.append(str(answer)[:100])
            except (OSError, PeerError, LookupError) as error:
                felt.failures.append(f"{type(error).__name__}: {error}")
            felt.times.append((time.perf_counter() - began) * 1000)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with contextlib.suppress(OSError, PeerError):
            http.request("DELETE", f"/contexts/{context}", timeout=PATIENCE)
        http.close()


def measure(server: Polyrepl, name: str, seconds: float) -> Felt:
    """Run one load, in a process of its own so that it takes no time from the neighbour's client."""
    felt = Felt()
    processes = multiprocessing.get_context("fork")
    notes = processes.SimpleQueue()
    with PeakMemory(server.server.pid) as peak, neighbour(server.port, felt):
        attacking = processes.Process(target=_attack, args=(server.port, name, seconds, notes))
        attacking.start()
        felt.notes = notes.get()
        attacking.join()
    felt.growth = peak.growth
    return felt


def _attack(port: int, name: str, seconds: float, notes: SimpleQueue[list[str]]) -> None:
    attacker = Attacker(port, seconds)
    try:
        attacker.run("1")
        attacker.until = time.monotonic() + seconds
        if name in LOADS:
            LOADS[name](attacker)
        else:
            attack(attacker, ATTACKS[name.removeprefix(PREFIX)])
    except (OSError, PeerError, ValueError) as error:
        attacker.notes.append(f"{type(error).__name__}: {error}")
    finally:
        attacker.close()
        notes.put(attacker.notes)


def attack(attacker: Attacker, what: Attack) -> None:
    """Run an attack on isolation or limits in contexts of its own, a new one each time one has ended."""
    namespace = os.stat("/proc/self/ns/pid").st_ino
    http = HttpClient(attacker.port)
    while not attacker.is_over:
        body = {"language": what.language, **({"limits": dict(what.limits)} if what.limits else {})}
        status, data = http.request("POST", "/contexts", body, timeout=PATIENCE)
        if status != 201:
            attacker.notes.append(f"no context: {status} {data[:100]!r}")
            break
        context = json.loads(data)["id"]
        left = max(0.1, attacker.until - time.monotonic())
        answer = attacker.run(what.cell(left, namespace), what.language, context=context)
        if answer.get("status") not in ("ok", "died", "error"):
            attacker.notes.append(f"{answer.get('status')} {str(answer.get('error') or answer.get('message'))[:100]}")
        http.request("DELETE", f"/contexts/{context}", timeout=PATIENCE)
    http.close()


def table(results: dict[str, Felt]) -> list[str]:
    """Return the lines of the table. The ratio is the p99 over that of the first load."""
    lines = [
        f"{'load':28}{'calls':>7}{'failed':>8}{'p50':>8}{'p99':>9}{'max':>9}  ms{'p99 ratio':>12}{'server +MB':>12}"
    ]
    base = next(iter(results.values())).at(0.99)
    for name, felt in results.items():
        p50, p99, most = felt.at(0.5), felt.at(0.99), felt.at(1.0)
        lines.append(
            f"{name:28}{len(felt.times):>7}{len(felt.failures):>8}{p50:>8.1f}{p99:>9.1f}{most:>9.1f}    {p99 / base:>10.1f}x"
            f"{felt.growth:>11.0f}"
        )
    return lines


def main(argv: list[str] | None = None) -> int:
    """Run the loads on a server of its own and print a table; return 1 if a call of the neighbour failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neighbours", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, metavar="S", help="how long each load lasts")
    parser.add_argument("--only", nargs="+", metavar="LOAD", help="only these loads, after the first")
    parser.add_argument("--polyrepl", default=str(ROOT / ".venv/bin/polyrepl"), metavar="PATH")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every time as JSON")
    options = parser.parse_args(argv)
    names = [*LOADS, *(PREFIX + name for name in ATTACKS)]
    if options.only:
        if unknown := [name for name in options.only if name not in names]:
            parser.error(f"no such load: {', '.join(unknown)}; there are: {', '.join(names)}")
        names = [names[0], *(name for name in options.only if name != names[0])]
    adopt_orphans()
    directory = Path(tempfile.mkdtemp(prefix="neighbours-"))
    server = Polyrepl(options.polyrepl)
    results: dict[str, Felt] = {}
    try:
        # What a load leaves must not keep other servers of this machine from starting.
        server.start(directory, {**peers_environment(directory), "POLYREPL_RUN_DIR": str(directory / "run")})
        for name in names:
            results[name] = measure(server, name, options.seconds)
            for note in dict.fromkeys(results[name].failures[:3] + results[name].notes[:2]):
                print(f"{name}: {note}", file=sys.stderr)
        alive = server.is_alive()
    finally:
        server.stop()
        end_everything()
        shutil.rmtree(directory, ignore_errors=True)
    print("\n".join(table(results)))
    if options.json is not None:
        figures = {name: {"ms": felt.times, "failures": felt.failures} for name, felt in results.items()}
        options.json.write_text(json.dumps(figures) + "\n")
    if not alive:
        print("FAULT: the server died")
    return 0 if alive and not any(felt.failures for felt in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
