"""The zygote's own side, over its socket: it refuses what it cannot do, reaps what ends, and goes with its server."""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine.settings import Settings
from tests.harness.waiting import wait_until
from tests.real.kernels.forks import is_there

LAUNCHER = Path(__file__).resolve().parents[3] / "runtimes/python/launch.py"
DEADLINE = 60.0
GOOD: dict[str, Any] = {"op": "spawn", "id": 1, "cwd": "/", "env": {"PATH": os.defpath}, "tag": "t1", "confinement": {}}

_FORK_AWAY = """
import os, sys, time
sys.modules['polyrepl_kernel.prctl'].take_orphans(False)  # as for a branch
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(0)
"""


_BRANCH = _FORK_AWAY.replace("time.sleep", "sys.modules['polyrepl_kernel.prctl'].name_process('pr-branch'); time.sleep")
# A program that leaves its session, its parent, its environment and its name behind.
_DAEMON = """
import subprocess, sys
code = '''
import ctypes, os, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
ctypes.CDLL(None).prctl(15, b"harmless", 0, 0, 0)
time.sleep(1000)
'''
subprocess.run([sys.executable, "-S", "-c", code], env={})
"""


class ZygoteProcess:
    """A zygote and its server's end of the socket."""

    def __init__(self, *arguments: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, str(LAUNCHER), "--zygote", str(theirs.fileno()), *arguments]
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd="/")
        self.socket = ours
        self.socket.settimeout(DEADLINE)
        self.streams: list[socket.socket] = []
        self.hello, _ = self.receive()

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        data, fds, _, _ = socket.recv_fds(self.socket, 1 << 18, 16)
        return json.loads(data), fds

    def send(self, message: Any, fds: list[int] | None = None) -> None:
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([data], rights)

    def spawn(self, message: dict[str, Any] | None = None, *, drop: int = 0) -> tuple[dict[str, Any], list[int]]:
        """Ask for a kernel and return the answer. Its stream is kept, its output goes nowhere."""
        ours, theirs = socket.socketpair()
        self.streams.append(ours)
        null = os.open(os.devnull, os.O_RDWR)
        pipes = [*os.pipe(), *os.pipe()]
        try:
            self.send(message or GOOD, [theirs.fileno(), null, *pipes][drop:])
        finally:
            theirs.close()
            for fd in (null, *pipes):
                os.close(fd)
        return self.receive()

    def children(self) -> set[int]:
        return set(map(int, Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()))

    def close(self) -> None:
        self.socket.close()
        for stream in self.streams:
            stream.close()
        assert self.process.wait(DEADLINE) == 0


@pytest.fixture(scope="module")
def zygote() -> Iterator[ZygoteProcess]:
    made = ZygoteProcess("--preload", "json,no_such_module")
    yield made
    made.close()


def answers(zygote: ZygoteProcess) -> bool:
    """Whether it still forks kernels."""
    answer, (pidfd,) = zygote.spawn()
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    notice, _ = zygote.receive()
    return (answer["op"], notice["op"], notice["pid"]) == ("spawned", "exit", answer["pid"])


def wait_for_child(parent: int, name: str) -> int:
    """The child of a process that has this name, once there is one."""
    found: list[int] = []

    def look() -> bool:
        pids = map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
        with suppress(OSError):
            found[:] = [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text() == f"{name}\n"]
        return bool(found)

    wait_until(look)
    return found[0]


def execute(stream: socket.socket, code: str) -> None:
    """Send an execute_request (the frames are described in runtimes/README.md)."""
    header = {"msg_id": "m1", "msg_type": "execute_request", "session": "s", "version": "5.4"}
    parts = [json.dumps(part).encode() for part in (header, {}, {}, {"code": code})]
    sizes = [len(part) for part in parts]
    stream.sendall(struct.pack("<IBBH4I", 20 + sum(sizes), 1, 0, 4, *sizes) + b"".join(parts))


def test_it_greets_with_what_it_has(zygote: ZygoteProcess):
    hello = zygote.hello
    assert (hello["op"], hello["pid"]) == ("hello", zygote.process.pid)
    assert hello["preloaded"] == ["json"]
    assert hello["failed"] == {"no_such_module": "ModuleNotFoundError: No module named 'no_such_module'"}
    assert hello["threads"] == 1
    assert hello["watched"]
    assert all(os.stat(path).st_mtime_ns == mtime for path, mtime in hello["watched"].items())


def test_the_default_packages_are_loaded_without_a_thread() -> None:
    names = Settings().preload
    zygote = ZygoteProcess("--preload", ",".join(names))
    assert zygote.hello["preloaded"] == names
    assert zygote.hello["threads"] == 1
    zygote.close()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"op": "dance"}, "unknown op 'dance'"),
        ({"op": None}, "unknown op None"),
        ({"cwd": "relative"}, "cwd is an absolute path"),
        ({"cwd": None}, "cwd is an absolute path"),
        ({"cwd": "/a\0b"}, "cwd is an absolute path"),
        ({"env": []}, "env is an object of strings"),
        ({"env": {"A": 1}}, "env is an object of strings"),
        ({"env": {"A=B": "c"}}, "env is an object of strings"),
        ({"env": {"A": "\0"}}, "env is an object of strings"),
        ({"env": {"": "c"}}, "env is an object of strings"),
        ({"tag": ""}, "tag is 1 to 12"),
        ({"tag": "x" * 13}, "tag is 1 to 12"),
        ({"tag": "a/b"}, "tag is 1 to 12"),
        ({"confinement": []}, "a confinement is an object"),
        ({"confinement": {"walls": 4}}, "unknown confinement 'walls'; known: rlimits, hidden"),
        ({"confinement": {"hidden": "yes"}}, "hidden is true or false"),
        ({"argv": "ls"}, "argv is a list of strings"),
        ({"argv": ["ls"], "stream_fd": "3"}, "stream_fd is a number"),
        ({"confinement": {"rlimits": 4}}, "rlimits is an object"),
        ({"confinement": {"rlimits": {"LUCK": [1, 1]}}}, "unknown rlimit 'LUCK'"),
        ({"confinement": {"rlimits": {"CORE": 1}}}, "rlimit CORE is a pair of numbers"),
        ({"confinement": {"rlimits": {"CORE": [1, -2]}}}, "rlimit CORE is a pair of numbers"),
        ({"confinement": {"rlimits": {"CORE": [True, 1]}}}, "rlimit CORE is a pair of numbers"),
        ({"op": "adopt", "pid": "1"}, "pid is a number above 1"),
        ({"op": "adopt", "pid": 1}, "pid is a number above 1"),
        ({"op": "adopt", "pid": os.getpid()}, "is not our child"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_by_name(zygote: ZygoteProcess, change: dict[str, Any], error: str):
    answer, fds = zygote.spawn({**GOOD, "id": "n5", **change})
    assert (answer["op"], answer["id"]) == ("failed", "n5")
    assert error in answer["error"]
    assert fds == []
    assert answers(zygote)


@pytest.mark.parametrize("data", [b"nonsense", b"[]", b"7", b"\xff", b"[" * 10_000, b"x" * 200_000], ids=len)
def test_what_is_no_request_at_all_is_refused_too(zygote: ZygoteProcess, data: bytes):
    zygote.send(data)
    answer, _ = zygote.receive()
    assert (answer["op"], answer["id"]) == ("failed", None)
    assert answers(zygote)


def test_descriptors_that_are_missing_or_too_many_are_refused_and_closed(zygote: ZygoteProcess):
    before = len(os.listdir(f"/proc/{zygote.process.pid}/fd"))
    for drop in range(1, 7):
        answer, _ = zygote.spawn(drop=drop)
        assert answer["error"] == f"{6 - drop} descriptors instead of 6"
    zygote.send(GOOD, [0] * 30)
    answer, _ = zygote.receive()
    assert answer["op"] == "failed"
    assert answers(zygote)
    assert len(os.listdir(f"/proc/{zygote.process.pid}/fd")) == before


def test_signals_that_are_meant_for_the_server_do_not_end_it(zygote: ZygoteProcess):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        zygote.process.send_signal(number)
    assert answers(zygote)


def test_no_process_is_left_as_a_zombie(zygote: ZygoteProcess):
    pidfds = [zygote.spawn()[1][0] for _ in range(5)]
    assert len(zygote.children()) == 5
    for pidfd in pidfds:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
    notices = [zygote.receive()[0] for _ in pidfds]
    assert {os.waitstatus_to_exitcode(notice["status"]) for notice in notices} == {-signal.SIGKILL}
    assert all(notice["peak_bytes"] > 1_000_000 for notice in notices)
    assert zygote.children() == set()


@pytest.mark.parametrize("when", ["while it lives", "when it has died"])
def test_what_a_kernel_left_behind_can_become_a_kernel(zygote: ZygoteProcess, when: str):
    answer, (pidfd,) = zygote.spawn()
    os.close(pidfd)
    execute(zygote.streams[-1], _FORK_AWAY)
    wait_until(lambda: len(zygote.children()) == 2)
    (branch,) = zygote.children() - {answer["pid"]}
    if when == "when it has died":
        os.kill(branch, signal.SIGKILL)
        wait_until(lambda: len(zygote.children()) == 1)
    zygote.send({"op": "adopt", "id": 2, "pid": branch})
    assert zygote.receive()[0] == {"op": "adopted", "id": 2, "pid": branch}
    if when == "while it lives":
        os.kill(branch, signal.SIGKILL)
    notice, _ = zygote.receive()
    assert (notice["op"], notice["pid"], notice["status"]) == ("exit", branch, signal.SIGKILL)
    os.kill(answer["pid"], signal.SIGKILL)
    assert zygote.receive()[0]["pid"] == answer["pid"]


def test_what_a_kernel_left_behind_ends_with_it_whatever_it_is_called(zygote: ZygoteProcess):
    answer, (pidfd,) = zygote.spawn()
    os.close(pidfd)
    execute(zygote.streams[-1], _DAEMON)
    daemon = wait_for_child(answer["pid"], "harmless")
    os.kill(answer["pid"], signal.SIGKILL)
    assert zygote.receive()[0]["pid"] == answer["pid"]
    wait_until(lambda: not is_there(daemon))
    assert answers(zygote)


def test_a_branch_that_is_announced_outlives_the_end_of_other_kernels(zygote: ZygoteProcess):
    answer, (pidfd,) = zygote.spawn()
    os.close(pidfd)
    zygote.send({"op": "expect", "tags": ["branch"]})
    execute(zygote.streams[-1], _BRANCH)
    branch = wait_for_child(zygote.process.pid, "pr-branch")
    assert answers(zygote)
    assert branch in zygote.children()
    zygote.send({"op": "adopt", "id": 3, "pid": branch})
    assert zygote.receive()[0] == {"op": "adopted", "id": 3, "pid": branch}
    for pid in (branch, answer["pid"]):
        os.kill(pid, signal.SIGKILL)
        assert zygote.receive()[0]["pid"] == pid


def test_everything_of_it_ends_when_the_server_is_gone():
    zygote = ZygoteProcess()
    pids = []
    for _ in range(3):
        answer, (pidfd,) = zygote.spawn()
        pids.append(answer["pid"])
        os.close(pidfd)
    os.kill(pids[0], signal.SIGSTOP)  # it could not react itself
    zygote.socket.close()
    assert zygote.process.wait(DEADLINE) == 0
    wait_until(lambda: not any(map(is_there, pids)))
    zygote.close()


def test_a_kernel_ends_when_its_client_is_gone_though_the_zygote_is_not():
    zygote = ZygoteProcess()
    answer, (pidfd,) = zygote.spawn()
    os.close(pidfd)
    zygote.streams.pop().close()
    assert zygote.receive()[0]["pid"] == answer["pid"]
    zygote.close()
