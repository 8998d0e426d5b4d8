"""The formats of an export: what writes each, and how its file is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engine.contexts.notebooks.cells import Cell, Origin
from engine.contexts.notebooks.notebook import NotebookWriter
from engine.contexts.notebooks.page import PageWriter
from engine.contexts.notebooks.scripts import LANGUAGES, ScriptWriter


class Writer(Protocol):
    """Writes a file in pieces: the beginning, each cell in its turn, the end."""

    def begin(self) -> bytes: ...
    def cell(self, cell: Cell) -> bytes: ...
    def gone(self, number: int) -> bytes:
        """Say in the place of a cell that it is no longer kept. `number`: its place, from 1."""

    def end(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Format:
    """`languages`: those that it can hold; None for all."""

    name: str
    media_type: str
    languages: frozenset[str] | None = None


FORMATS = {
    "ipynb": Format("ipynb", "application/x-ipynb+json"),
    "py": Format("py", "text/x-python; charset=utf-8", LANGUAGES["py"]),
    "ts": Format("ts", "application/typescript; charset=utf-8", LANGUAGES["ts"]),
    "html": Format("html", "text/html; charset=utf-8"),
}


def writer(kind: Format, origin: Origin) -> Writer:
    """What writes an export in this format."""
    match kind.name:
        case "ipynb":
            return NotebookWriter(origin)
        case "html":
            return PageWriter(origin)
    return ScriptWriter(origin, kind.name)
