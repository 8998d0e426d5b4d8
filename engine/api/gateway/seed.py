"""The seed: a notebook whose code cells are run in new kernels, from a file or the web."""

from __future__ import annotations

import asyncio
import json

from engine.api.http.locations import read_location
from engine.errors import KernelStartFailed

_NAME = "the seed notebook"


class Seed:
    """`location`: a path, a file://, http:// or https:// URL, or None for no seed. A file is read each time, what is on the web
    once."""

    def __init__(self, location: str | None) -> None:
        self._location = location
        self._fetched: list[str] | None = None

    async def cells(self) -> list[str]:
        """The code cells in their order. Raises KernelStartFailed where there is no such notebook."""
        if self._location is None:
            return []
        return await asyncio.to_thread(self.read) if self._fetched is None else self._fetched

    def read(self) -> list[str]:
        """The same, read now: it blocks."""
        if self._location is None:
            return []
        try:
            cells = _code_cells(json.loads(read_location(self._location)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise KernelStartFailed(self._location, f"{_NAME} cannot be read: {error}") from None
        if self._location.startswith(("http://", "https://")):
            self._fetched = cells
        return cells


def _code_cells(notebook: dict[str, list[dict[str, str | list[str]]]]) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
