"""What the checker's process sends is taken as a stranger's: anything but an answer ends it, and is one kind of error."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from engine.kernels.checking.process import CheckerFailed, CheckerProcess
from engine.settings import Settings
from engine.workspaces import RunDir

pytestmark = pytest.mark.anyio


class Stranger(CheckerProcess):
    """Says that it is ready, and what it has been given to say, whatever it is asked."""

    said = b""
    _task: asyncio.Task[None] | None = None

    async def _launch(self, command: list[str], theirs: socket.socket) -> None:
        self._task = asyncio.create_task(self._talk(theirs.dup()))

    async def _talk(self, ours: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        with contextlib.suppress(OSError):  # the other side has heard enough
            writer.write(b'{"ready":true}\n')
            await reader.readline()
            writer.write(self.said)
            await writer.drain()
        writer.close()

    async def aclose(self) -> None:
        await super().aclose()
        if self._task is not None:
            await self._task


class NoFiles:
    async def answer(self, message: dict[str, Any]) -> None:
        return None


@pytest.fixture
async def stranger(run_dir: RunDir) -> AsyncIterator[Stranger]:
    backend: Any = SimpleNamespace(isolator=object())
    made = Stranger(Settings(), [backend], run_dir)
    await made.start()
    yield made
    await made.aclose()


async def test_an_answer_is_passed_on(stranger: Stranger):
    stranger.said = b'{"diagnostics":[]}\n'
    assert await stranger.ask({"cells": ["1"]}, NoFiles()) == {"diagnostics": []}


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{",
        b"nonsense\n",
        b"[]\n",
        b"{}\n",
        b'{"diagnostics":"\xff"}\n',
        b'{"diagnostics":' + b"[" * 500_000 + b"]" * 500_000 + b"}\n",
        b'{"diagnostics":"' + b"x" * (3 << 20) + b'"}\n',
    ],
    ids=["nothing", "half", "nonsense", "list", "empty", "bytes", "deep", "long"],
)
async def test_what_is_no_answer_is_an_error_of_the_checker(stranger: Stranger, said: bytes):
    stranger.said = said
    with pytest.raises(CheckerFailed):
        await stranger.ask({"cells": ["1"]}, NoFiles())
