"""`polyrepl run` of a notebook: its cells one after the other in one context, and the executed notebook."""

from __future__ import annotations

import asyncio
import os
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from engine.cli.run import EXIT, REMEDIES, View, answer_of, install
from engine.contexts import Execution
from engine.contexts.notebooks import BadNotebook, CodeCell, Document, outputs_of, read_notebook, snapshot
from engine.core import Engine
from engine.errors import PolyreplError
from engine.log import configure
from engine.models import InputRequest, to_builtins
from engine.options import DEFAULTS, ExecuteOptions
from engine.settings import Settings


def run_notebook(
    settings: Settings,
    text: str,
    name: str,
    *,
    language: str | None = None,
    options: ExecuteOptions = DEFAULTS,
    packages: Sequence[str] = (),
    save: Path | None = None,
    allows_errors: bool = False,
) -> int:
    """Run the code cells of a notebook and show their events; returns the exit status.

    `language`: of cells that name none, in place of the notebook's. `save`: where the executed notebook goes, a file whose name ends
    with .ipynb, or a directory, which gets the images too. It is written even if a cell fails."""
    configure(settings.log_level, settings.log_format)
    target, images = _places(save, name)
    view = View(Console(highlight=False), images)
    try:
        document = read_notebook(text)
        replay = _Replay(document, view, options, allows_errors=allows_errors)
        try:
            return asyncio.run(replay.run(settings, language, packages))
        finally:
            if target is not None and replay.has_begun:
                _write(target, document.encode())
    except BadNotebook as error:
        view.complain(f"Cannot run {name}: {error}")
    except PolyreplError as error:
        view.complain(error.explanation)
    except OSError as error:
        view.complain(str(error))
    return 2


def _places(save: Path | None, name: str) -> tuple[Path | None, Path | None]:
    """The file of the executed notebook, and the directory of the images."""
    if save is None or save.suffix == ".ipynb":
        return save, None
    return save / os.path.basename(name), save


def _write(path: Path, text: str) -> None:
    """All of it, or nothing: the notebook that was read may be the one that is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        part = Path(folder, path.name)
        part.write_text(text, encoding="utf-8")
        part.replace(path)


class _Replay:
    """One run of a document, whose cells get the outputs. `has_begun`: whether there is something to save."""

    def __init__(self, document: Document, view: View, options: ExecuteOptions, *, allows_errors: bool) -> None:
        self._document = document
        self._view = view
        self._options = options
        self._allows_errors = allows_errors
        self._context_id = f"run-{uuid.uuid4()}"
        self.has_begun = False

    async def run(self, settings: Settings, language: str | None, packages: Sequence[str]) -> int:
        async with Engine(settings) as engine:
            default = language or _known(engine, self._document)
            cells = list(self._document.code_cells(default))
            for cell in cells:  # before the first one runs
                if not cell.is_skipped and engine.languages.find(cell.language) is None:
                    names = ", ".join(engine.capabilities.names())
                    raise BadNotebook(f"cell {cell.number} is in {cell.language!r}, which is none of {names}")
            if packages and not await install(engine, self._context_id, default, packages, self._view):
                return 2
            self.has_begun = True
            self._document.clear()
            return await self._run_all(engine, [cell for cell in cells if not cell.is_skipped])

    async def _run_all(self, engine: Engine, cells: Sequence[CodeCell]) -> int:
        for place, cell in enumerate(cells, 1):
            execution = await self._run(engine, cell)
            done = snapshot(execution)
            cell.fill(to_builtins(outputs_of(done)), done.execution_count)
            if execution.status == "ok":
                continue
            if execution.status != "died" and (self._allows_errors or cell.may_fail):
                continue
            left = len(cells) - place
            what = f"Cell {cell.number} ended with {execution.status}."
            self._view.complain(f"{what} Cells after it that were not run: {left}" if left else what)
            return EXIT.get(execution.status, 1)
        return 0

    async def _run(self, engine: Engine, cell: CodeCell) -> Execution:
        execution = await engine.execute(
            cell.code,
            language=cell.language,
            context_id=self._context_id,
            options=self._options,
            remedies=REMEDIES,
            interactive=True,
        )
        async for entry in execution.follow():
            assert entry is not None  # pings are not asked for
            if isinstance(entry[1], InputRequest):
                execution.provide_input(await asyncio.to_thread(answer_of, entry[1]))
            else:
                self._view.show(entry[1])
        return execution


def _known(engine: Engine, document: Document) -> str:
    """The first language that the notebook names and that there is; python where it names none."""
    names = document.languages or ["python"]
    return next((name for name in names if engine.languages.find(name) is not None), names[0])
