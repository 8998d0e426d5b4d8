"""Commands that are cancelled."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from engine.kernels.provisioners import run_command
from engine.kernels.provisioners.confinement import UNCONFINED
from engine.kernels.provisioners.spawn import SpawnProvisioner

pytestmark = pytest.mark.anyio


async def test_a_second_cancellation_leaves_nothing_of_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    begun, released = asyncio.Event(), asyncio.Event()
    cleanup = SpawnProvisioner.cleanup

    class Reader:
        def read_line(self, name: str, line: str) -> None:
            begun.set()

    async def note(self: SpawnProvisioner, restart: bool = False) -> None:
        await cleanup(self, restart)
        released.set()

    monkeypatch.setattr(SpawnProvisioner, "cleanup", note)
    command = ["/bin/sh", "-c", "echo begun; exec sleep 100"]
    running = asyncio.create_task(
        run_command(command, cwd=tmp_path, env=dict(os.environ), confinement=UNCONFINED, reader=Reader())
    )
    await begun.wait()
    running.cancel()
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
    async with asyncio.timeout(60):
        await released.wait()
