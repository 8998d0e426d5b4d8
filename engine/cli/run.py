"""`polyrepl run`: one execution, shown in the terminal as it happens."""

from __future__ import annotations

import asyncio
import base64
import sys
from pathlib import Path
from typing import TextIO

from msgspec import UNSET
from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from engine.core import Engine
from engine.errors import PolyreplError
from engine.log import configure
from engine.models import Done, Failed, InputRequest, Item, ItemAdded, ItemUpdated, Stderr, Stdout
from engine.options import DEFAULTS, ExecuteOptions
from engine.settings import Settings

_EXIT = {"ok": 0, "timeout": 124}
_FILES = {"png": "png", "jpeg": "jpg", "pdf": "pdf"}


def run_once(
    settings: Settings, code: str, *, language: str, options: ExecuteOptions = DEFAULTS, save: Path | None = None
) -> int:
    """Run code in a context of its own and show its events; returns the exit status."""
    configure(settings.log_level, settings.log_format)
    view = View(Console(highlight=False), save)
    try:
        return asyncio.run(_run(settings, code, view, language=language, options=options))
    except PolyreplError as error:
        view.complain(error.explanation)
    except OSError as error:
        view.complain(str(error))
    return 2


async def _run(settings: Settings, code: str, view: View, *, language: str, options: ExecuteOptions) -> int:
    async with Engine(settings) as engine:
        execution = await engine.execute(code, language=language, options=options, interactive=sys.stdin.isatty())
        async for entry in execution.follow():
            assert entry is not None
            event = entry[1]
            if isinstance(event, InputRequest):
                execution.provide_input(await asyncio.to_thread(input, event.prompt))
            else:
                view.show(event)
        return _EXIT.get(execution.status, 1)


class View:
    """Shows events; what a terminal cannot show is named, and saved where a directory for it is given."""

    def __init__(self, console: Console, save: Path | None) -> None:
        self._console = console
        self._save = save
        self._saved = 0

    def complain(self, text: str) -> None:
        Console(stderr=True, highlight=False, style="red").print(Text(text), soft_wrap=True)

    def show(self, event: object) -> None:
        match event:
            case Done(diagnostics=diagnostics, unchecked=unchecked):
                for each in diagnostics or ():
                    self.complain(f"{each.line}:{each.column} - {each.severity} TS{each.code}: {each.message}")
                if unchecked is not UNSET:
                    self.complain(unchecked)
            case Stdout(text=text):
                self._write(sys.stdout, text)
            case Stderr(text=text):
                self._write(sys.stderr, text)
            case ItemAdded(item=item) | ItemUpdated(item=item):
                self._item(item)
            case Failed(name=name, value=value, traceback=traceback):
                self.complain(traceback or f"{name}: {value}")

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        print(text, end="", flush=True, file=stream)

    def _item(self, item: Item) -> None:
        for name, suffix in _FILES.items():
            value = getattr(item, name)
            if isinstance(value, str):
                self._image(name, suffix, base64.b64decode(value))
                break  # the same picture in several forms
        if isinstance(item.svg, str):
            self._image("svg", "svg", item.svg.encode())
        if isinstance(item.markdown, str):
            self._console.print(Markdown(item.markdown))
        elif isinstance(item.text, str):
            self._console.print(Text(item.text), soft_wrap=True)
        elif isinstance(item.html, str):
            self._console.print(Text(item.html), soft_wrap=True)

    def _image(self, name: str, suffix: str, content: bytes) -> None:
        where = "use --save DIR to keep it"
        if self._save is not None:
            self._save.mkdir(parents=True, exist_ok=True)
            self._saved += 1
            path = self._save / f"output-{self._saved}.{suffix}"
            path.write_bytes(content)
            where = str(path)
        self._console.print(Text(f"[{name}, {len(content)} bytes: {where}]", style="dim"), soft_wrap=True)
