"""A stage: a server at one tier, a victim, a neighbour who must not notice anything, and contexts to attack from."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import psutil

from engine.settings import Settings
from tests.harness.client import Client, Json, Repl, Result
from tests.harness.server import Server
from tests.harness.waiting import wait_until
from tests.hostile.check import Outcome, with_facts

TOKEN = "token-that-no-context-may-see"
SECRET = "secret-of-the-operator"
VICTIM = """
import ctypes, os, socket
mark = {mark!r}
private = "victims-" + "memory"
open("private.txt", "w").write("private")
for place in ("/tmp", "/dev/shm", "/var/tmp"):
    try:
        with open(f"{{place}}/{{mark}}", "w") as file:
            file.write("private")
    except PermissionError as error:
        print(error)
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(15, mark[:15].encode(), 0, 0, 0)
libc.shmget({key}, 100, 0o1666)
libc.syscall({add_key}, b"user", mark.encode(), b"private", 7, -3)
listening = socket.socket(socket.AF_UNIX)
listening.bind("\\0" + mark)
listening.listen()
beside = socket.socket(socket.AF_UNIX)
beside.bind("victim.sock")
beside.listen()
print(os.getcwd())
"""
TYPESCRIPT_VICTIM = "process.title = {mark!r}; require('fs').writeFileSync('private.txt', 'private'); process.cwd()"
TYPESCRIPT = """
const facts = __facts__, fs = require('fs'), os = require('os'), net = require('net'), child = require('child_process');
async function reached(attempts) {
  const found = [];
  for (const [name, attempt] of Object.entries(attempts)) {
    try { if (await attempt()) found.push(name) } catch (error) { if (typeof error.code !== 'string') throw error }
  }
  return found;
}
async function attack() {%s}
try {
  const got = await attack();
  const open = Array.isArray(got) ? got.length > 0 : Boolean(got);
  console.log('\\n@' + JSON.stringify([open ? 'open' : 'stopped', String(got).slice(0, 600)]));
} catch (error) {
  if (typeof error.code !== 'string') throw error;
  console.log('\\n@' + JSON.stringify(['stopped', String(error).slice(0, 600)]));
}
"""
THROUGH_NODE = """
const ran = require('child_process').spawnSync(%s, ['-'], {input: %s, encoding: 'utf8', timeout: 60000, maxBuffer: 1 << 26});
console.log(ran.stdout); console.error(ran.stderr, ran.error ?? '');
"""


def offers(setting: str) -> bool:
    """Whether this version has a setting."""
    return setting in Settings.model_fields


class Unavailable(Exception):
    """A tier that this machine lacks, with the server's reason."""


class Neighbour(threading.Thread):
    """Asks for `1+1` in a context of its own, all the time. Every answer must be right."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self.wrong: list[str] = []
        self.answers = 0
        self._repl = Repl(client, "python")
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.02):
            try:
                answer = self._repl.run("1+1")
                if (answer.status, answer.text) != ("ok", "2") or answer["context_state"] == "lost":
                    self.wrong.append(str(answer)[:300])
            except Exception as error:
                self.wrong.append(f"{type(error).__name__}: {error}")
            self.answers += 1

    def must_be_well(self) -> None:
        """Wait for one more answer; all so far must be right."""
        before = self.answers
        wait_until(lambda: self.answers > before + 1 or self.wrong, what="the neighbour gets an answer")
        assert not self.wrong, self.wrong[:3]

    def end(self) -> None:
        self._over.set()
        self.join(60)


class Stage:
    """Everything that one tier's checks need. `facts` are what an attacker could know."""

    def __init__(self, tier: str, *, env: Mapping[str, str] | None = None, **settings: str) -> None:
        self.tier = tier
        self.as_root = os.geteuid() == 0
        self._ends = contextlib.ExitStack()
        self.machine_before = self.machine()
        self.home = Path(tempfile.mkdtemp(prefix="hostile-", dir="/tmp"))
        self._ends.callback(shutil.rmtree, self.home, ignore_errors=True)
        self.secrets = self._operators_files()
        given = {"token": TOKEN, "log_level": "info", "interrupt_grace": "0.5", **settings}
        if tier != "none" or offers("isolation"):
            given["isolation"] = tier
        env = {
            **(env or {}),
            "HOME": str(self.home),
            "SECRET_OF_THE_OPERATOR": SECRET,
            "DATABASE_URL": f"postgres://{SECRET}@localhost/",
        }
        try:
            self.server = self._ends.enter_context(Server(settings=given, env=env))
            try:
                self.server.url  # noqa: B018 - waits for it
            except AssertionError as error:
                lines = [line for line in self.server.log_text.splitlines() if re.match(r"[\w.]+: |polyrepl: ", line)]
                raise Unavailable(lines[-1] if lines else str(error)[-2000:]) from None
            self.client = self._ends.enter_context(contextlib.closing(self.server.client()))
            self.client.http.timeout = 100
            self._attackers: dict[str, Repl] = {}
            self.neighbour = Neighbour(self.client)
            self.neighbour.start()
            self._ends.callback(self.neighbour.end)
            self.facts = self._facts()
        except BaseException:
            self._ends.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        key = self.facts["shm_key"]
        self._ends.close()
        with contextlib.suppress(OSError):
            self.remove_shared_memory(key)
        for place in ("/tmp", "/dev/shm", "/var/tmp"):
            Path(place, self.facts["mark"]).unlink(missing_ok=True)

    def _operators_files(self) -> list[str]:
        found = []
        for name in (".ssh/id_ed25519", ".netrc", ".npmrc", ".config/polyrepl/token", ".bash_history", "server.log"):
            path = self.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# {SECRET}\n")
            path.chmod(0o600)
            found.append(str(path))
        return found

    def _facts(self) -> Json:
        mark = f"victim-{self.tier[:4]}{os.getpid() % 1000}"
        key = 7_300_000 + os.getpid() % 99_000
        add_key = 217 if os.uname().machine == "aarch64" else 248
        self.victim = Repl(self.client, "python")
        answer = self.victim.run(VICTIM.format(mark=mark, key=key, add_key=add_key))
        assert answer.status == "ok", answer
        where = answer.stdout[-1]
        self.script_victim = Repl(self.client, "typescript")
        answer = self.script_victim.run(TYPESCRIPT_VICTIM.format(mark=mark[:14] + "t"))
        assert answer.status == "ok", answer
        second = str(answer.text).strip("'\"`")
        processes = {"server": self.server.pid, "zygote": self.server.zygote().pid}
        for each in psutil.Process(self.server.pid).children():
            if "spawn.py" in " ".join(each.cmdline()):
                processes["spawner"] = each.pid
        processes |= self._kernels({mark[:15]: "victim", mark[:14] + "t": "typescript victim"})
        outside = self._ends.enter_context(socket.socket(socket.AF_UNIX))
        outside.bind(f"\0outside-{mark}")
        outside.listen()
        on_tcp = self._ends.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.on_udp = self._ends.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.on_udp.bind(("127.0.0.1", 0))
        self.on_udp.setblocking(False)
        port = int(self.server.url.rpartition(":")[2])
        run_dir = str(self.server.run_dir)
        listed = Path("/proc/net/unix").read_text().splitlines()
        sockets = [line.split()[7] for line in listed if len(line.split()) > 7]
        return {
            "root": self.as_root,
            "mounts": os.stat("/proc/self/ns/mnt").st_ino,
            "mark": mark,
            "processes": processes,
            "abstract": f"outside-{mark}",
            "abstract_of_another": mark,
            "sockets": [*{path for path in sockets if path.startswith(run_dir)}, f"{where}/victim.sock"],
            "run_dir": run_dir,
            "home_of_contexts": f"{run_dir}/contexts",
            "home": str(self.home),
            "secrets": self.secrets,
            "secret": SECRET,
            "victims": [f"{where}/private.txt", f"{second}/private.txt"],
            "token": TOKEN,
            "port": port,
            "tcp": on_tcp.getsockname()[1],
            "udp": self.on_udp.getsockname()[1],
            "shm_key": key,
            "interpreter": os.path.realpath(sys.executable),
            "packages": os.path.dirname(os.path.dirname(psutil.__file__)),
        }

    def _kernels(self, names: dict[str, str]) -> dict[str, int]:
        """The processes below the server that have these names."""
        found = {}
        for each in psutil.Process(self.server.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, OSError):
                name = Path(f"/proc/{each.pid}/status").read_text().split("\n", 1)[0].partition("\t")[2]
                found |= {names[name]: each.pid} if name in names and names[name] not in found else {}
        assert sorted(found) == sorted(names.values()), (names, found)
        return found

    def new(self, language: str, **fields: Any) -> Repl:
        repl = Repl(self.client, language)
        if fields:
            self.client.create(language, repl.id, **fields)
        return repl

    @contextlib.contextmanager
    def other(self, language: str, **fields: Any) -> Iterator[Repl]:
        """A context that ends with the block."""
        repl = self.new(language, **fields)
        try:
            yield repl
        finally:
            self.client.delete(repl.id, language)

    def attacker(self, language: str) -> Repl:
        return self._attackers.setdefault(language, self.new(language))

    def run(self, language: str, code: str, **fields: Any) -> Result:
        return self.attacker(language).run(code, **fields)

    def value(self, language: str, code: str) -> str:
        answer = self.run(language, code)
        assert answer.text is not None, answer
        return answer.text

    def attack(self, source: str, language: str) -> Outcome:
        """Run an attack in Python: in a Python context itself, or in a child process of a TypeScript context."""
        # The parent of a child process of Node is the context's own kernel.
        source = with_facts(source, self.facts | ({"parent": 0} if language == "typescript" else {}))
        if language == "typescript":
            python = next(path for path in ("/usr/bin/python3", sys.executable) if os.path.exists(path))
            source = THROUGH_NODE % (json.dumps(python), json.dumps(source))
        return outcome_of(self.run(language, source, timeout_ms=60_000))

    def typescript_attack(self, source: str) -> Outcome:
        text = (TYPESCRIPT % source).replace("__facts__", json.dumps(self.facts))
        return outcome_of(self.run("typescript", text, timeout_ms=60_000))

    def damage(self) -> list[str]:
        """What an attack has done to others: nothing, if all is well."""
        found = [f"{name} is gone" for name, pid in self.facts["processes"].items() if not psutil.pid_exists(pid)]
        if self.victim.run("private").text != "'victims-memory'":
            found.append("the victim has lost its state")
        for path in self.facts["victims"]:
            if Path(path).read_text() != "private":
                found.append(f"{path} was changed")
        return found

    @staticmethod
    def machine() -> tuple[list[str], ...]:
        """What hostile code as root could take away from everybody: mounts and devices."""
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        return mounts, sorted(os.listdir("/dev"))

    def secret_reached(self, data: bytes) -> bool:
        return SECRET.encode() in data

    def files(self, repl: Repl, path: str) -> str:
        return f"/contexts/{repl.id}/files/{path}?language={repl.language}"

    @staticmethod
    def remove_shared_memory(key: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        number = libc.shmget(key, 0, 0)
        if number >= 0:
            libc.shmctl(number, 0, None)


def outcome_of(answer: Result) -> Outcome:
    """How an attack ended, from the last line that it printed."""
    text = "\n".join(answer.stdout)
    found = re.findall(r"^@(\[.*\])$", text, re.MULTILINE)
    assert found, f"the attack did not report: {answer.status} {answer.get('error')} {text[-500:]} {answer.stderr[-8:]}"
    return Outcome(*json.loads(found[-1]))
