"""A world of scripted kernels in a stepping loop, and all that the interleaving test has to know of it."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.contexts.observers import Observer
from engine.core import Engine
from engine.jupyter.client_frames import ClientMessage, Outgoing
from engine.jupyter.messages import Channel, encode_header
from engine.kernels.channels.fake import FakeChannels
from engine.kernels.kernel import Kernel
from engine.kernels.provisioners.fake import Die, FakeKernel, FakeProvisioner, Hold, Say
from engine.kernels.stock import Member
from engine.settings import Settings
from engine.workspaces.workspace import Workspace
from tests.unit.contexts.stepping import SteppingLoop

FAIL = Say("error", {"ename": "ValueError", "evalue": "boom", "traceback": ["boom"]})
SCRIPT: dict[str, Sequence[Any]] = {
    "hold": [Hold()],
    "stubborn": [Hold(ignore_interrupts=True)],
    "fail": [FAIL],
    "die": [Die()],
    "fork_request": [Say("fork_reply", {"status": "ok"})],
    "variables_request": [Say("variables_reply", {"status": "ok", "items": [], "total": 0, "truncated": False})],
}
QUIET = 15.0  # seconds: longer than every wait in the engine


class Client(Observer):
    """A client of a kernel's channels."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.sent: list[Outgoing] = []
        self.done = 0
        self.reason: str | None = None

    def deliver(self, message: Outgoing) -> None:
        self.sent.append(message)

    def take(self) -> list[Outgoing]:
        taken, self.sent = self.sent, []
        return taken

    def note_done(self, *, is_cell: bool) -> None:
        self.done += 1

    def end(self, reason: str) -> None:
        self.reason = reason


class Installer:
    """Takes its time, and installs nothing."""

    async def install(self, packages: object, workspace: Workspace, command: object) -> Any:
        await asyncio.sleep(0.5)
        if workspace.is_gone:
            asyncio.get_running_loop().call_exception_handler({"message": "an installation outlives its context"})
        raise ValueError("nothing is installed here")


class Adopting:
    """In the place of what adopts branches: a kernel of its own, which has run what its source has."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    async def adopt(
        self,
        language: Any,
        stream: Any,
        *,
        source: Kernel,
        directory: Path,
        workspace: Workspace,
        pipes: Any,
        timeout: float,
    ) -> Kernel:
        stream.close()
        for fd in pipes.values():
            os.close(fd)
        inherited = list(fake_of(source).requests)
        try:
            kernel: Kernel = await self._backend.start(language, Workspace(directory, directory, directory))
        finally:
            shutil.rmtree(directory)
        fake_of(kernel).requests[:0] = inherited
        return kernel


def fake_of(kernel: Kernel | None) -> FakeKernel:
    found = kernel._provisioner._kernel  # type: ignore[union-attr]
    assert isinstance(found, FakeKernel)
    return found


def codes(fake: FakeKernel) -> list[str]:
    return [content["code"] for content, _ in fake.requests if not content["silent"]]


def cell_request(code: str) -> ClientMessage:
    return request("execute_request", Channel.SHELL, f'{{"code": "{code}", "silent": false}}')


def request(msg_type: str, channel: Channel, content: str = "{}") -> ClientMessage:
    header = encode_header(msg_type)
    return ClientMessage(channel, json.loads(header)["msg_id"], msg_type, [header, b"{}", b"{}", content.encode()])


class World:
    """An engine over scripted kernels in a stepping loop, and all that a test has to know of it."""

    def __init__(self, run_dir: Path, **settings: Any) -> None:
        self.loop = SteppingLoop()
        self.script = dict(SCRIPT)
        self.fakes: list[FakeKernel] = []
        self.run_dir = run_dir
        values = {
            "pool_max": 0,
            "interrupt_grace": 0.3,
            "default_timeout": 5.0,
            "context_idle_timeout": 1e6,
            **settings,
        }
        with self.loop.running():
            self.engine = Engine(
                Settings(run_dir=run_dir, **values),
                provisioner=FakeProvisioner.of(self.script, self.fakes),
                channels=FakeChannels,
            )
            self.loop.run(self.engine.__aenter__())
            backend: Any = self.engine.check_language("python").backend
            backend._server_env = {}
            backend.adopt = Adopting(backend).adopt
            self.loop.settle(1)
        self.tasks = asyncio.all_tasks(self.loop)
        self.numbers = itertools.count()

    def close(self) -> None:
        with self.loop.running():
            self.loop.run(self.engine.aclose())
            self.loop.settle(QUIET)
        assert not self.loop.errors, self.loop.errors

    def pooled(self) -> list[Member]:
        return [member for stock in self.engine.pool._stocks.values() for member in stock.ready]

    def check_nothing_left(self) -> None:
        """Raises AssertionError where a kernel, a directory or a task has outlived what it was for."""
        gauge = self.engine.metrics.checkpoints._value.get()
        assert gauge == 0, f"{gauge} checkpoints are counted"
        pooled = self.pooled()
        living = [fake for fake in self.fakes if not fake._stopped]
        assert set(living) == {fake_of(member.kernel) for member in pooled}, "a kernel lives on"
        if self.engine.run_dir is not None and self.engine.run_dir.path.exists():
            roots = {member.workspace.slot.path for member in pooled}
            assert set(self.engine.run_dir.contexts.iterdir()) == roots, "a directory of a context is left"
            assert len(os.listdir(self.engine.run_dir.kernels)) == len(pooled), "a directory of a kernel is left"
        if pooled:
            return  # they have tasks of their own
        left = asyncio.all_tasks(self.loop) - self.tasks
        assert not left, f"tasks are left: {left}"
        assert not self.loop.errors, self.loop.errors
        self.fakes[:] = living
