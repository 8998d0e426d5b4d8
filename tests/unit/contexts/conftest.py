"""Engines whose scripted kernels can be branched."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.core import Engine
from engine.kernels.kernel import Kernel
from engine.kernels.local import Local
from engine.kernels.provisioners.fake import Die, Hold, Say
from engine.languages import Language
from engine.workspaces.workspace import Workspace

READY = Say("stream", {"name": "stdout", "text": "ready\n"})
FAIL = Say("error", {"ename": "ValueError", "evalue": "boom", "traceback": ["boom"]})
FORKED = Say("fork_reply", {"status": "ok", "not_carried": [{"kind": "native_thread", "name": "blas (1)"}]})
REFUSED = Say("fork_reply", {"status": "error", "obstacles": [{"kind": "thread", "name": "poller"}]})
SCRIPT = {"loop": [READY, Hold()], "stubborn": [READY, Hold(ignore_interrupts=True)], "die": [Die()], "fail": [FAIL]}
ABLE = {**SCRIPT, "fork_request": [FORKED]}


@pytest.fixture
def adopted(monkeypatch: pytest.MonkeyPatch) -> list[Kernel]:
    """Branches are scripted kernels of their own, started where a real one would be adopted. Returns those that were made."""
    made: list[Kernel] = []

    async def adopt(
        self: Local,
        language: Language,
        stream: socket.socket,
        *,
        source: Kernel,
        directory: Path,
        workspace: Workspace,
        pipes: Mapping[str, int],
        timeout: float,
    ) -> Kernel:
        stream.close()
        for fd in pipes.values():
            os.close(fd)
        made.append(await self.start(language, Workspace(directory, directory, directory)))
        return made[-1]

    monkeypatch.setattr(Local, "adopt", adopt)
    return made


@pytest.fixture
async def engine(fake_engine, adopted) -> Callable[..., Awaitable[Engine]]:
    async def start(script: Mapping[str, Any] = ABLE, **settings: Any) -> Engine:
        fake = await fake_engine(script, **{"pool_max": 0, **settings})
        return fake.engine

    return start
