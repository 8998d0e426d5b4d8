"""A spawner or a zygote as its server has it, boxes that it makes, and what runs in them; every wait has a deadline."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / "runtimes/python"
DEADLINE = 30.0
UID = 50_017
_ORDINARY = 1000
_MADE = 2


class User(NamedTuple):
    """Who the server is, and the Python that this user can read."""

    uid: int
    python: str

    @property
    def is_root(self) -> bool:
        return self.uid == 0

    @property
    def kernel_uid(self) -> int:
        """The user that a process in a box has."""
        return UID if self.is_root else self.uid


def root() -> User:
    """Skips the test unless we are root."""
    if os.geteuid() != 0:
        pytest.skip("only root can be root")
    return User(0, sys.executable)


def ordinary() -> User:
    """Skips the test if an ordinary user can read no Python here, or may not make user namespaces."""
    if os.geteuid() != 0:
        return User(os.geteuid(), sys.executable)
    for python in (sys.executable, "/usr/bin/python3"):
        code = f"import json, os; os.stat({str(PYTHON / 'spawn.py')!r})"
        with suppress(OSError):
            found = subprocess.run([python, "-I", "-c", code], capture_output=True, cwd="/", **_as(_ORDINARY))
            if found.returncode == 0:
                return User(_ORDINARY, python)
    pytest.skip("an ordinary user can read no Python, or not this directory")


def _as(uid: int) -> dict[str, Any]:
    return {} if uid == os.geteuid() else {"user": uid, "group": uid, "extra_groups": []}


class Box:
    """A box, by the server's end of its socket."""

    def __init__(self, ours: socket.socket) -> None:
        self.socket = ours
        ours.settimeout(DEADLINE)
        data, self.fds, _, _ = socket.recv_fds(ours, 1 << 16, _MADE)
        self.said = json.loads(data)
        if self.fds:
            assert ours.recv(16) == b"ready"

    @property
    def pidfd(self) -> int:
        return self.fds[0]

    @property
    def processes(self) -> set[int]:
        """The numbers in the box of what runs there, by the descriptor of its /proc."""
        return {int(name) for name in os.listdir(self.fds[1]) if name.isdigit()}

    def report(self) -> tuple[int, int, int]:
        """What init says next: pid, wait status, max RSS."""
        data = self.socket.recv(64)
        assert len(data) == 16
        return struct.unpack("<IIQ", data)

    def ended(self) -> bool:
        """Wait for init's end."""
        return bool(select.select([self.pidfd], [], [], DEADLINE)[0])

    def close(self) -> None:
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []


class Ran(NamedTuple):
    """A process that was started: the answer, what it wrote, and the notice of its end."""

    answer: dict[str, Any]
    output: str
    notice: dict[str, Any]

    def json(self) -> Any:
        assert self.answer["op"] == "spawned", self.answer
        assert self.notice["status"] == 0, self.output
        return json.loads(self.output)


class Parent:
    """A spawner, or a zygote, and the server's end of its socket."""

    def __init__(
        self, user: User, script: str = "spawn.py", *arguments: str, world: int | None = -1, path: str = ""
    ) -> None:
        """`world`: the descriptor of an ordinary user's; -1: a new one; None: none. `path`: where modules are found, too."""
        self.user = user
        self.place = Path(tempfile.mkdtemp(prefix="isolation-"))
        self.place.chmod(0o711)
        self._slots = 0
        own = self.place / "own"
        own.mkdir()
        if os.geteuid() == 0:
            os.chown(own, user.uid, user.uid)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        flags = ["-I", "-S"] if script == "spawn.py" else []
        inside = [] if world is None or user.is_root else ["--world", "new" if world < 0 else str(world)]
        command = [user.python, *flags, str(PYTHON / script), "--zygote", str(theirs.fileno()), *arguments]
        given = [theirs.fileno(), *([world] if world is not None and world >= 0 else [])]
        with theirs:
            self.process = subprocess.Popen(
                [*command, *inside],
                pass_fds=given, stdin=subprocess.DEVNULL, cwd="/", env={"PATH": os.defpath, "TMPDIR": str(own), "HOME": str(own), "PYTHONPATH": path},
                **_as(user.uid),
            )  # fmt: skip
        self.socket = ours
        ours.settimeout(DEADLINE * 2)
        self.hello, self.fds = self.receive()

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        data, fds, _, _ = socket.recv_fds(self.socket, 1 << 18, 16)
        assert data, "it has ended"
        return json.loads(data), fds

    def send(self, message: dict[str, Any], fds: list[int]) -> None:
        socket.send_fds(self.socket, [json.dumps(message).encode()], fds)

    def directory(self, mode: int = 0o700) -> Path:
        """A new directory that belongs to what runs in boxes."""
        self._slots += 1
        made = self.place / f"slot{self._slots}"
        made.mkdir(mode=mode)
        if os.geteuid() == 0:
            os.chown(made, self.user.kernel_uid, self.user.kernel_uid)
        return made

    def plan(self, **changes: Any) -> dict[str, Any]:
        """What a box is to be: with the Python of the user."""
        scratch = self.place / "scratch"
        scratch.mkdir(exist_ok=True, mode=0o755)
        places = [str(PYTHON)]
        if self.user.python == sys.executable:
            places += [sys.prefix, sys.base_prefix]
        uid = {"uid": UID} if self.user.is_root else {}
        return {"root": str(scratch), "read": places, "write": [], "network": "none", **uid, **changes}

    def ask(self, plan: Any) -> tuple[dict[str, Any], Box | None]:
        """Ask for a box; there is none where the answer is a refusal."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.send({"op": "box", "id": 7, "plan": plan}, [theirs.fileno()])
        answer, _ = self.receive()
        assert answer["id"] == 7
        if answer["op"] != "boxing":
            ours.close()
            return answer, None
        return answer, Box(ours)

    def box(self, **changes: Any) -> Box:
        answer, box = self.ask(self.plan(**changes))
        assert box is not None, answer
        assert box.said == {"made": True}
        return box

    def confinement(self, **changes: Any) -> dict[str, Any]:
        """All there is, for a process in a box."""
        uid = {"uid": UID} if self.user.is_root else {}
        landlock = {"read": [], "write": [str(self.place)], "network": False}
        return {"box": True, **uid, "no_new_privs": True, "seccomp": True, "landlock": landlock, **changes}

    def start(
        self,
        box: Box | None,
        argv: list[str],
        *,
        confinement: dict[str, Any],
        fds: tuple[int, ...] = (),
        cwd: str = "/",
    ) -> tuple[dict[str, Any], list[int], int, socket.socket]:
        """The answer with its descriptors, a reader of what the process writes, and its stream."""
        ours, theirs = socket.socketpair()
        null = os.open(os.devnull, os.O_RDWR)
        reader, writer = os.pipe2(os.O_CLOEXEC)
        message = {
            "op": "spawn", "id": 1, "cwd": cwd, "env": {"PATH": "/usr/bin:/bin", "HOME": "/tmp"}, "tag": "t1",
            "confinement": confinement, "argv": argv,
        }  # fmt: skip
        entrance = [box.pidfd] if box is not None and confinement.get("box") else []
        try:
            self.send(message, [theirs.fileno(), null, reader, writer, reader, writer, *entrance, *fds])
        finally:
            theirs.close()
            os.close(null)
            os.close(writer)
        return *self.receive(), reader, ours

    def run(
        self, box: Box | None, argv: list[str], *, fds: tuple[int, ...] = (), cwd: str = "/", **changes: Any
    ) -> Ran:
        """Run a program to its end."""
        confinement = changes["confinement"] if "confinement" in changes else self.confinement(**changes)
        answer, pidfds, reader, stream = self.start(box, argv, confinement=confinement, fds=fds, cwd=cwd)
        with stream, open(reader, errors="replace") as output:
            for fd in pidfds:
                os.close(fd)
            if answer["op"] != "spawned":
                return Ran(answer, "", {})
            text = output.read()
        notice, _ = self.receive()
        return Ran(answer, text, notice)

    def python(self, box: Box | None, code: str, **given: Any) -> Ran:
        """Run Python code in a box to its end."""
        return self.run(box, [self.user.python, "-I", "-S", "-c", textwrap.dedent(code)], **given)

    def close(self) -> None:
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        assert self.process.wait(DEADLINE) == 0
        shutil.rmtree(self.place, ignore_errors=True)
