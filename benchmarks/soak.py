"""Attacks and ordinary work mixed, for a long time: `python -m benchmarks.soak --minutes 30`.

Users work in both languages, and each of their answers is compared with the right one. Attackers run one attack after the other,
each in a context of its own. At the end all contexts are deleted, and nothing may be left that was not there before."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .attacks import ATTACKS
from .client import HttpClient
from .machine import ROOT, peers_environment
from .peer_polyrepl import Polyrepl
from .procs import PeerError, adopt_orphans, descendants, end_everything
from .run import say

PATIENCE = 120.0  # seconds for one answer
CALM = 120.0  # seconds that the server has at the end to put everything away
_ROUNDS = 12  # what a user does in one context before the next


@dataclass(slots=True)
class Tally:
    """What was done, and what was wrong."""

    done: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        with self.lock:
            self.done[what] += 1

    def fault(self, text: str) -> None:
        with self.lock:
            self.faults.append(text)
        say(f"FAULT: {text}")


class Caller:
    """One connection, whose answers are checked."""

    def __init__(self, port: int, tally: Tally, seed: int) -> None:
        self.http = HttpClient(port)
        self.tally = tally
        self.random = random.Random(seed)
        self.context = ""
        self.language = "python"

    def ask(self, method: str, path: str, body: Any = None, *, prefer: str = "") -> Any:
        status, data = self.http.request(method, path, body, timeout=PATIENCE, prefer=prefer)
        if status >= 300:
            msg = f"{method} {path.split('/')[-1]}: {status} {bytes(data[:200])!r}"
            raise PeerError(msg)
        return json.loads(data) if data else None

    def run(self, code: str, context: str = "", **fields: Any) -> Any:
        body = {"code": code, "language": self.language, "context_id": context or self.context, **fields}
        return self.ask("POST", "/execute", body)

    def expect(self, code: str, text: str, context: str = "") -> None:
        answer = self.run(code, context)
        items = answer["items"]
        if answer["status"] != "ok" or not items or items[0].get("text") != text:
            msg = f"{self.language} {code[:60]!r}: wanted {text}, got {json.dumps(answer)[:400]}"
            raise PeerError(msg)


class User(Caller):
    """Does what users do. The state of its context is known at each moment."""

    def session(self) -> None:
        self.language = self.random.choice(["python", "python", "typescript"])
        self.context = self.ask("POST", "/contexts", {"language": self.language})["id"]
        kept = self.random.randrange(10**9)
        assign = "kept = {}" if self.language == "python" else "let kept = {};"
        self.run(assign.format(kept))
        try:
            for _ in range(_ROUNDS):
                name = self.random.choice(list(_PYTHON if self.language == "python" else _BOTH))
                _WORK[name](self)
                self.tally.count(name)
                self.expect("kept", str(kept))
        finally:
            self.ask("DELETE", f"/contexts/{self.context}?language={self.language}")

    def add(self) -> None:
        a, b = self.random.randrange(10**6), self.random.randrange(10**6)
        self.expect(f"{a} + {b}", str(a + b))

    def print_much(self) -> None:
        count = self.random.randrange(1, 3000)
        code = f"print('x' * {count})" if self.language == "python" else f"console.log('x'.repeat({count}))"
        lines = self.run(code)["logs"]["stdout"]
        if lines != ["x" * count]:
            raise PeerError(f"{count} characters were printed, {len(''.join(lines))} came")

    def keep_files(self) -> None:
        text = f"file {self.random.random()}"
        self.ask("PUT", f"/contexts/{self.context}/files/up.txt?language={self.language}", text)
        code = "open('up.txt').read()" if self.language == "python" else "require('fs').readFileSync('up.txt', 'utf8')"
        self.expect(
            f"JSON.parse({code})" if self.language != "python" else f"__import__('json').loads({code})", f"'{text}'"
        )

    def time_out(self) -> None:
        answer = self.run("while True: pass" if self.language == "python" else "for (;;) {}", timeout_ms=300)
        if (answer["status"], answer["context_state"]) != ("timeout", "preserved"):
            raise PeerError(f"a timeout ended as {answer['status']}, {answer['context_state']}")

    def interrupt(self) -> None:
        code = (
            "import time\ntime.sleep(60)"
            if self.language == "python"
            else "await new Promise((done) => setTimeout(done, 60000))"
        )
        body = {"code": code, "language": self.language, "context_id": self.context}
        execution = self.ask("POST", "/execute", body, prefer="respond-async")["execution_id"]
        time.sleep(0.2)
        self.ask("POST", f"/executions/{execution}/interrupt")
        end = time.monotonic() + PATIENCE
        while (answer := self.ask("GET", f"/executions/{execution}"))["status"] in ("queued", "running"):
            if time.monotonic() > end:
                raise PeerError("an interrupted cell does not end")
            time.sleep(0.05)
        if answer["status"] != "interrupted":
            raise PeerError(f"an interrupt ended as {answer['status']}")

    def fail(self) -> None:
        if self.run("1 / 0" if self.language == "python" else "throw new Error('x')")["status"] != "error":
            raise PeerError("an error was none")

    def child(self) -> None:
        code = (
            "__import__('subprocess').check_output(['echo', 'child']).decode().strip()"
            if self.language == "python"
            else "require('child_process').execSync('echo child').toString().trim()"
        )
        self.expect(code, "'child'")

    def branch(self) -> None:
        number = self.random.randrange(10**6)
        self.run(f"mine = {number}")
        branch = self.ask("POST", f"/contexts/{self.context}/fork", {})["id"]
        try:
            self.run("mine += 1; open('branch.txt', 'w').write('branch')", branch)
            self.expect("mine", str(number + 1), branch)
            self.expect("mine", str(number))
        finally:
            self.ask("DELETE", f"/contexts/{branch}?language=python")

    def restore(self) -> None:
        number = self.random.randrange(10**6)
        self.run(f"mine = {number}")
        kept = self.ask("POST", f"/contexts/{self.context}/checkpoints", {})["checkpoint"]
        self.run("mine = None")
        self.ask("POST", f"/contexts/{self.context}/restore", {"checkpoint": kept})
        self.expect("mine", str(number))

    def plot(self) -> None:
        items = self.run("import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()")["items"]
        if not any(item.get("png", "").startswith("iVBOR") for item in items):
            raise PeerError("no plot")


_BOTH: Mapping[str, Callable[[User], None]] = {
    "add": User.add,
    "print": User.print_much,
    "files": User.keep_files,
    "timeout": User.time_out,
    "interrupt": User.interrupt,
    "error": User.fail,
    "child": User.child,
}
_PYTHON = {**_BOTH, "branch": User.branch, "restore": User.restore, "plot": User.plot}
_WORK = _PYTHON


class Attacker(Caller):
    """Runs attacks. Their answers may be anything but an error of the server."""

    def session(self) -> None:
        name = self.random.choice(list(ATTACKS))
        attack = ATTACKS[name]
        limits = {"limits": dict(attack.limits)} if attack.limits else {}
        self.language = attack.language
        self.context = self.ask("POST", "/contexts", {"language": attack.language, **limits})["id"]
        try:
            namespace = os.stat("/proc/self/ns/pid").st_ino
            self.run(attack.cell(self.random.uniform(0.5, 3), namespace), timeout_ms=5_000)
            self.tally.count(f"attack: {name}")
        finally:
            self.ask("DELETE", f"/contexts/{self.context}?language={attack.language}")


def _open_files(pid: int) -> Counter[str]:
    """How many open files of each kind a process has. Numbers in names are left out."""
    found: Counter[str] = Counter()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found[re.sub(r"[0-9a-f]{8,}|\d+", "N", os.readlink(f"/proc/{pid}/fd/{fd}"))] += 1
    return found


def _own_groups(pid: int) -> list[str]:
    """The control groups of a server, in which its kernels have theirs: it holds them open."""
    held = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            held.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return [path for path in held if path.startswith("/sys/fs/cgroup/")]


@dataclass(frozen=True, slots=True)
class Traces:
    """What a server has at one moment, counted."""

    counts: Mapping[str, int]

    @classmethod
    def of(cls, server: Polyrepl, run_dir: Path) -> Traces:
        pid = server.server.pid
        below = descendants(pid)
        return cls(
            {
                "processes": len(below),
                "strays": len([each for each in descendants(os.getpid()) if each != pid and each not in below]),
                "mounts": len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines()),
                "mounts here": len(Path("/proc/self/mountinfo").read_text().splitlines()),
                "control groups": sum(len(names) for home in _own_groups(pid) for _, names, _ in os.walk(home)),
                "directories": sum(len(names) for _, names, _ in os.walk(run_dir)),
                "files": sum(len(names) for _, _, names in os.walk(run_dir)),
                "open files": sum(_open_files(pid).values()),
                **{f"open {kind}": count for kind, count in _open_files(pid).items()},
                "shared memory": len(os.listdir("/dev/shm")) + len(Path("/proc/sysvipc/shm").read_text().splitlines()),
            }
        )

    def more_than(self, other: Traces) -> dict[str, tuple[int, int]]:
        """What there is more of than in `other`: name -> before, now."""
        return {
            name: (other.counts.get(name, 0), now)
            for name, now in self.counts.items()
            if now > other.counts.get(name, 0)
        }


def work(caller: Callable[[], Caller], over: threading.Event) -> None:
    """Do sessions until it is over. A fault is written down, and the next session begins on a new connection."""
    while not over.is_set():
        one = caller()
        try:
            while not over.is_set():
                one.session()  # type: ignore[attr-defined]
        except (PeerError, OSError, LookupError, ValueError) as error:
            one.tally.fault(f"{type(one).__name__} {one.language}: {type(error).__name__}: {error}")
        finally:
            one.http.close()


def soak(server: Polyrepl, run_dir: Path, minutes: float, *, users: int, attackers: int, seed: int) -> Tally:
    """Work, and look for what is left."""
    tally, over = Tally(), threading.Event()
    first = User(server.port, tally, seed)
    first.session()  # the first context starts what stays
    before = _settled(server, run_dir)
    say(f"before: {dict(before.counts)}")
    numbers = iter(range(seed + 1, 1 << 60))

    def someone(kind: type[Caller]) -> Callable[[], Caller]:
        return lambda: kind(server.port, tally, next(numbers))

    kinds: list[type[Caller]] = [User] * users + [Attacker] * attackers
    threads = [threading.Thread(target=work, args=(someone(kind), over)) for kind in kinds]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end and server.is_alive():
        time.sleep(min(60.0, max(0.1, end - time.monotonic())))
        say(f"{sum(tally.done.values())} done, {len(tally.faults)} faults")
    over.set()
    for thread in threads:
        thread.join(3 * PATIENCE)
    if not server.is_alive():
        tally.fault("the server died")
        return tally
    for each in first.ask("GET", "/contexts")["items"]:
        tally.fault(f"a context is left: {each['id']}")
    first.http.close()
    deadline = time.monotonic() + CALM
    while (more := Traces.of(server, run_dir).more_than(before)) and time.monotonic() < deadline:
        time.sleep(1)
    for name, (was, now) in more.items():
        tally.fault(f"{name}: {was} before, {now} after")
    return tally


def _settled(server: Polyrepl, run_dir: Path) -> Traces:
    """What there is when nothing changes any more."""
    last, since = Traces.of(server, run_dir), time.monotonic()
    end = time.monotonic() + 60
    while time.monotonic() - since < 5 and time.monotonic() < end:
        time.sleep(0.5)
        now = Traces.of(server, run_dir)
        if now != last:
            last, since = now, time.monotonic()
    return last


def main(argv: list[str] | None = None) -> int:
    """Soak a server of its own; return 1 if an answer was wrong or something is left."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, metavar="N")
    parser.add_argument("--users", type=int, default=3, metavar="N")
    parser.add_argument("--attackers", type=int, default=2, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--polyrepl", default=str(ROOT / ".venv/bin/polyrepl"), metavar="PATH")
    options = parser.parse_args(argv)
    adopt_orphans()
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    directory.chmod(0o711)
    server = Polyrepl(options.polyrepl)
    try:
        server.start(directory, {**peers_environment(directory), "POLYREPL_RUN_DIR": str(directory / "run")})
        tally = soak(
            server,
            directory / "run",
            options.minutes,
            users=options.users,
            attackers=options.attackers,
            seed=options.seed,
        )
    finally:
        server.stop()
        end_everything()
        with contextlib.suppress(OSError):
            shutil.rmtree(directory)
    for name, count in sorted(tally.done.items()):
        print(f"{count:8} {name}")
    print("\n".join(f"FAULT: {fault}" for fault in tally.faults[:50]) or "nothing wrong, nothing left")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
