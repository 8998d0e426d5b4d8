"""The seed: a notebook whose code cells are run in new kernels, from a file or the web."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path

from engine.errors import KernelStartFailed

_FETCH_TIMEOUT = 20.0  # seconds without a byte
_MAX_BYTES = 32 * 1024 * 1024
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


def read_location(location: str) -> bytes:
    """What is at a path or a URL. Raises OSError or ValueError."""
    if not location.startswith(("http://", "https://", "file://")):
        return Path(location).read_bytes()
    with urllib.request.urlopen(location, timeout=_FETCH_TIMEOUT) as response:  # noqa: S310 - its scheme was looked at
        raw: bytes = response.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        msg = f"it is larger than {_MAX_BYTES} bytes"
        raise ValueError(msg)
    return raw


def _code_cells(notebook: dict[str, list[dict[str, str | list[str]]]]) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
