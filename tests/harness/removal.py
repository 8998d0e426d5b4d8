"""Removes the directories of kernels that are tested without a run directory."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.workspaces.removal import remove_tree


class Removal:
    """As `RunDir.remove`, once."""

    async def remove(self, path: Path) -> bool:
        return await asyncio.to_thread(remove_tree, path, seconds=30) is None
