"""The corpus: groups of cells as files in `cells/`, one group a file, in the percent format of notebooks.

A line `# %% title` begins a cell, lines `#: option value` (JSON values) right below it say how it is run, the rest is its code as
sent. What stands before the first cell describes the group; `#: fresh true` there asks for kernels of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CELLS = Path(__file__).parent / "cells"
_OPTION = "#: "
_CELL = "# %% "


@dataclass
class Options:
    """How a cell is run, and what of it cannot be the same in two runs of one kernel."""

    inputs: list[str] | None = None  # answers to the kernel's input requests; none: input is not allowed
    silent: bool = False
    store_history: bool = True
    stop_on_error: bool = False
    user_expressions: dict[str, str] = field(default_factory=dict)
    request: str = "execute_request"  # another request: the code is its code, with the cursor at the end
    content: dict[str, Any] = field(default_factory=dict)  # added to the request's content
    widget: str = ""  # instead of code to run: a message of the front end to the newest widget of this model
    until: str = ""  # stdout is complete when this text has come, which may be after the reply
    mask: list[str] = field(default_factory=list)  # regular expressions of what differs from run to run
    loose: str = ""  # why only the lines of the streams are compared, sorted and each once
    ends: list[str] = field(default_factory=list)  # the kernels that are expected to end: "stock", "lean"


@dataclass
class Cell:
    title: str
    code: str
    options: Options


@dataclass
class Group:
    name: str
    cells: list[Cell]
    fresh: bool


def load(path: Path) -> Group:
    head, *sections = _sections(path.read_text(encoding="utf-8"))
    fresh = f"{_OPTION}fresh true" in head
    group = Group(path.stem, [], fresh)
    for title, *lines in sections:
        settings, code = _options(lines)
        try:
            options = Options(**settings)
        except TypeError as error:
            msg = f"{path.name}, {title!r}: {error}"
            raise ValueError(msg) from None
        group.cells.append(Cell(title.removeprefix(_CELL).strip(), "\n".join(code).strip("\n"), options))
    titles = [cell.title for cell in group.cells]
    if len(set(titles)) < len(titles):
        msg = f"{path.name}: two cells have one title: {sorted(t for t in titles if titles.count(t) > 1)}"
        raise ValueError(msg)
    return group


def load_all() -> list[Group]:
    return [load(path) for path in sorted(CELLS.glob("*.ipy"))]


def _sections(text: str) -> Iterator[list[str]]:
    section: list[str] = []
    for line in text.split("\n"):
        if line.startswith(_CELL):
            yield section
            section = []
        section.append(line)
    yield section


def _options(lines: list[str]) -> tuple[dict[str, Any], list[str]]:
    settings: dict[str, Any] = {}
    for number, line in enumerate(lines):
        if not line.startswith(_OPTION):
            return settings, lines[number:]
        name, _, value = line.removeprefix(_OPTION).partition(" ")
        settings[name] = json.loads(value)
    return settings, []
