"""A notebook that is read to be run: its code cells with their languages, and the document to put their outputs into."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.contexts.notebooks.notebook import KERNELSPECS, Output

_BY_KERNEL = {spec[0]: name for name, spec in KERNELSPECS.items()}
_OTHER_NAMES = {"ipython": "python", "ipython3": "python", "polyrepl-python": "python"}


class BadNotebook(Exception):
    """The file is no notebook that can be run; the message says why."""


@dataclass(slots=True)
class CodeCell:
    """A code cell. `language`: a name of a language or of a kernelspec; `number`: its place among all cells, from 1.

    `may_fail`, `is_skipped`: what its tags ask for (`raises-exception`, `skip-execution`), as nbclient understands them."""

    cell: dict[str, Any]
    number: int
    code: str
    language: str

    @property
    def _tags(self) -> list[Any]:
        tags = _metadata(self.cell).get("tags")
        return tags if isinstance(tags, list) else []

    @property
    def may_fail(self) -> bool:
        return "raises-exception" in self._tags

    @property
    def is_skipped(self) -> bool:
        return "skip-execution" in self._tags or not self.code.strip()

    def fill(self, outputs: list[Output], execution_count: int | None) -> None:
        """Put what a run gave into the document."""
        self.cell["outputs"], self.cell["execution_count"] = outputs, execution_count


class Document:
    """A notebook of nbformat 4. What is not run stays as it is."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content

    @property
    def languages(self) -> list[str]:
        """What the notebook says of the language of its cells, the most exact first: kernelspec, its language, language_info."""
        metadata = _metadata(self.content)
        kernelspec, info = metadata.get("kernelspec"), metadata.get("language_info")
        return [
            _language(name)
            for described, field in ((kernelspec, "name"), (kernelspec, "language"), (info, "name"))
            if isinstance(described, dict) and isinstance(name := described.get(field), str) and name
        ]

    def code_cells(self, language: str = "python") -> Iterator[CodeCell]:
        """The code cells in order. `language`: of those that name none."""
        for number, cell in enumerate(self.content["cells"], 1):
            if cell["cell_type"] == "code":
                yield CodeCell(cell, number, _source(cell), _named(cell) or language)

    def clear(self) -> None:
        """Take away the outputs of earlier runs, so that what is not run does not look as if it was."""
        for each in self.code_cells():
            each.fill([], None)

    def encode(self) -> str:
        """The file."""
        return json.dumps(self.content, ensure_ascii=False, indent=1) + "\n"


def read_notebook(text: str) -> Document:
    """Raises BadNotebook."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise BadNotebook("it is not JSON") from None
    if not isinstance(content, dict) or "nbformat" not in content:
        raise BadNotebook("it has no nbformat")
    if content["nbformat"] != 4:
        raise BadNotebook(f"it has nbformat {content['nbformat']!r}; `jupyter nbconvert --to notebook` makes it 4")
    cells = content.get("cells")
    if not isinstance(cells, list):
        raise BadNotebook("it has no list of cells")
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
            raise BadNotebook(f"cell {number} has no cell_type")
        source = cell.get("source", "")
        if not (isinstance(source, str) or (isinstance(source, list) and all(isinstance(e, str) for e in source))):
            raise BadNotebook(f"the source of cell {number} is no text")
    return Document(content)


def _metadata(holder: dict[str, Any]) -> dict[str, Any]:
    found = holder.get("metadata")
    return found if isinstance(found, dict) else {}


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def _named(cell: dict[str, Any]) -> str | None:
    """The language that a cell names: as we write it, VS Code, .NET Interactive and Polyglot Notebooks, or SoS."""
    metadata = _metadata(cell)
    for holder, field in (
        ("polyrepl", "language"),
        ("vscode", "languageId"),
        ("polyglot_notebook", "kernelName"),
        ("dotnet_interactive", "language"),
    ):
        described = metadata.get(holder)
        if isinstance(described, dict) and isinstance(name := described.get(field), str) and name:
            return _language(name)
    kernel = metadata.get("kernel")
    return _language(kernel) if isinstance(kernel, str) and kernel else None


def _language(name: str) -> str:
    return _BY_KERNEL.get(name) or _OTHER_NAMES.get(name.lower()) or name
