"""A box as the server sees it: what its init sends is checked, and nothing that it sends harms more than the box."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.kernels.isolation import Box
from engine.kernels.provisioners import Exit, ZygoteFailed
from engine.workspaces import Anchor, Slot

pytestmark = pytest.mark.anyio


INITS: list[socket.socket] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while INITS:
        INITS.pop().close()


class Spawner:
    """Keeps the other end of a box's socket; the test is its init."""

    def __init__(self) -> None:
        self.plan: Mapping[str, Any] = {}
        self.asked = asyncio.Event()
        self.init: socket.socket
        self.boxes: set[object] = set()
        self.let_go = self.boxes.discard

    async def box(self, plan: Mapping[str, Any], fd: int) -> None:
        self.plan = plan
        self.init = socket.socket(fileno=os.dup(fd))
        INITS.append(self.init)
        self.asked.set()

    def say(self, message: bytes, *fds: int) -> None:
        socket.send_fds(self.init, [message], fds)


class Watcher:
    def __init__(self) -> None:
        self.told: asyncio.Future[Exit | None] = asyncio.get_running_loop().create_future()

    def note_exit(self, ended: Exit) -> None:
        self.told.set_result(ended)

    def note_zygote_gone(self) -> None:
        self.told.set_result(None)


def new_box(tmp_path: Path) -> Box:
    return Box(Slot(tmp_path, Anchor(tmp_path)), tmp_path / "k", network="none")


async def made(tmp_path: Path) -> tuple[Box, Spawner]:
    box, spawner = new_box(tmp_path), Spawner()
    making = asyncio.create_task(box.make(spawner, {"root": "/r"}))  # type: ignore[arg-type]
    await spawner.asked.wait()
    pidfd, proc = os.pidfd_open(os.getpid()), os.open("/proc", os.O_RDONLY)
    spawner.say(b'{"made": true}', pidfd, proc)
    os.close(pidfd)
    os.close(proc)
    spawner.say(b"ready")
    async with asyncio.timeout(30):
        await making
    return box, spawner


async def test_a_box_is_ready_when_its_init_says_so(tmp_path: Path) -> None:
    box, spawner = await made(tmp_path)
    assert box.is_ready
    assert box.init_pid == os.getpid()
    assert spawner.plan == {"root": "/r"}
    assert spawner.boxes == {box}
    box.close()
    assert spawner.boxes == set()
    assert spawner.init.recv(1) == b""


async def test_the_part_that_fails_is_named(tmp_path: Path) -> None:
    box, spawner = new_box(tmp_path), Spawner()
    making = asyncio.create_task(box.make(spawner, {}))  # type: ignore[arg-type]
    await spawner.asked.wait()
    spawner.say(json.dumps({"error": "proc: Operation not permitted"}).encode())
    with pytest.raises(ZygoteFailed, match="proc: Operation not permitted"):
        await making
    assert not box.is_ready


@pytest.mark.parametrize("nonsense", [b"{}", b"[]", b"\xff", b'{"made": true}', b"x" * 5000])
async def test_an_init_that_sends_nonsense_is_no_init(tmp_path: Path, nonsense: bytes) -> None:
    box, spawner = new_box(tmp_path), Spawner()
    making = asyncio.create_task(box.make(spawner, {}))  # type: ignore[arg-type]
    await spawner.asked.wait()
    spawner.say(nonsense)
    with pytest.raises(ZygoteFailed, match="no message"):
        await making


async def test_the_end_of_a_branch_is_what_init_reports(tmp_path: Path) -> None:
    box, spawner = await made(tmp_path)
    watcher = Watcher()
    box.watch(7, watcher, has_ended=False)
    spawner.say(struct.pack("<IIQ", 7, signal.SIGKILL, 2048))
    async with asyncio.timeout(30):
        assert await watcher.told == Exit(-signal.SIGKILL, 2048 * 1024)
    box.close()


async def test_a_report_that_was_quicker_is_kept_for_a_branch_that_has_ended(tmp_path: Path) -> None:
    box, spawner = await made(tmp_path)
    spawner.say(struct.pack("<IIQ", 8, 3 << 8, 1))
    last = Watcher()
    box.watch(9, last, has_ended=False)
    spawner.say(struct.pack("<IIQ", 9, 0, 1))
    async with asyncio.timeout(30):
        await last.told
    alive, ended = Watcher(), Watcher()
    box.watch(8, alive, has_ended=False)  # another process with a number that was used before
    assert not alive.told.done()
    spawner.say(struct.pack("<IIQ", 8, 0, 1))
    async with asyncio.timeout(30):
        assert (await alive.told) == Exit(0, 1024)
    spawner.say(struct.pack("<IIQ", 8, 3 << 8, 1))
    again = Watcher()
    box.watch(10, again, has_ended=False)
    spawner.say(struct.pack("<IIQ", 10, 0, 1))
    async with asyncio.timeout(30):
        await again.told
    box.watch(8, ended, has_ended=True)
    assert ended.told.result() == Exit(3, 1024)
    box.close()


async def test_the_box_ends_with_its_last_kernel(tmp_path: Path) -> None:
    box, spawner = await made(tmp_path)
    watcher = Watcher()
    box.watch(7, watcher, has_ended=False)
    box.join()
    box.join()
    box.leave()
    assert box.is_ready
    box.leave()
    assert not box.is_ready
    assert watcher.told.result() is None
    assert spawner.init.recv(1) == b""


async def test_a_process_of_another_parent_is_no_branch(tmp_path: Path) -> None:
    box, _ = await made(tmp_path)
    pidfd = os.pidfd_open(os.getppid())
    try:
        with pytest.raises(ProcessLookupError):
            box.inner_pid(pidfd, os.getppid())
    finally:
        os.close(pidfd)
        box.close()


async def test_a_child_of_a_stranger_with_the_number_of_an_ended_init_is_no_branch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda pidfd, number: sent.append(number))
    box, spawner = new_box(tmp_path), Spawner()
    making = asyncio.create_task(box.make(spawner, {}))  # type: ignore[arg-type]
    await spawner.asked.wait()
    init = await asyncio.create_subprocess_exec("sleep", "60")
    pidfd, proc = os.pidfd_open(init.pid), os.open("/proc", os.O_RDONLY)
    spawner.say(b'{"made": true}', pidfd, proc)
    spawner.say(b"ready")
    async with asyncio.timeout(30):
        await making
        init.kill()
        await init.wait()
    box.init_pid = os.getpid()  # as if the number were used again
    child = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        box.join()
        box.join()
        box.leave()
        assert sent == []
        with pytest.raises(ProcessLookupError):
            box.inner_pid(pidfd, child.pid)
    finally:
        child.kill()
        await child.wait()
        os.close(pidfd)
        os.close(proc)
        box.close()
