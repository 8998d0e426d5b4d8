"""`polyrepl run`: one execution, shown in the terminal as it happens."""

from __future__ import annotations

import asyncio
import base64
import getpass
import re
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from msgspec import UNSET
from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from engine.cli.source import Source
from engine.contexts import END_OF_INPUT
from engine.core import Engine
from engine.errors import PolyreplError
from engine.log import configure
from engine.models import (
    Done,
    Failed,
    InputRequest,
    InstallationResult,
    Item,
    ItemAdded,
    ItemUpdated,
    Stderr,
    Stdout,
)
from engine.options import DEFAULTS, ExecuteOptions
from engine.packages import Remedies
from engine.settings import Settings

EXIT = {"ok": 0, "timeout": 124}
REMEDIES = Remedies(
    install="polyrepl run --package '{package}' ...",
    answer="Standard input holds the code. Give the code as a file or an argument, and the lines on standard input.",
)
_FILES = {"png": "png", "jpeg": "jpg", "pdf": "pdf"}


_STATUS = re.compile(r"-?\d{1,9}")  # that a process can be asked to end with
# In a notebook, exit() asks the frontend to leave, and the cell goes on. Code that is run once expects what scripts have.
_SCRIPT_NAMES = re.compile(r"\b(?:exit|quit|__file__)\b")
_AS_SCRIPT = "import sys as _sys\nexit = quit = _sys.exit\ndel _sys\n"


def run_once(
    settings: Settings,
    source: Source,
    *,
    language: str,
    options: ExecuteOptions = DEFAULTS,
    packages: Sequence[str] = (),
    save: Path | None = None,
) -> int:
    """Run code in a context of its own and show its events; returns the exit status."""
    configure(settings.log_level, settings.log_format)
    view = View(Console(highlight=False), save)
    try:
        return asyncio.run(_run(settings, source, view, language=language, options=options, packages=packages))
    except PolyreplError as error:
        view.complain(error.explanation)
    except OSError as error:
        view.complain(str(error))
    return 2


async def _run(
    settings: Settings,
    source: Source,
    view: View,
    *,
    language: str,
    options: ExecuteOptions,
    packages: Sequence[str],
) -> int:
    async with Engine(settings) as engine:
        context_id = f"run-{uuid.uuid4()}"
        if packages and not await install(engine, context_id, language, packages, view):
            return 2
        if engine.check_language(language).name == "python" and _SCRIPT_NAMES.search(source.code):
            prepared = _AS_SCRIPT + (f"__file__ = {source.file!r}" if source.file else "")
            preparing = options.replace(prepares=True, env_vars=None, timeout=None)
            await (await engine.execute(prepared, language=language, context_id=context_id, options=preparing)).wait()
        execution = await engine.execute(
            source.code,
            language=language,
            context_id=context_id,
            options=options,
            remedies=REMEDIES,
            interactive=not source.is_stdin,
        )
        async for entry in execution.follow():
            assert entry is not None
            match entry[1]:
                case InputRequest() as request:
                    execution.provide_input(await asyncio.to_thread(answer_of, request))
                case Failed(name="SystemExit", value=value):
                    return view.leave(value)
                case event:
                    view.show(event)
        return EXIT.get(execution.status, 1)


async def install(engine: Engine, context_id: str, language: str, packages: Sequence[str], view: View) -> bool:
    """Install packages into a context, which is made; returns whether they are there. What is wrong is shown."""
    await engine.create_context(language=language, context_id=context_id)
    result = await engine.installations.start(context_id, packages).wait()
    if result.status != "ok":
        view.show_installation(result)
    return result.status == "ok"


def answer_of(request: InputRequest) -> str:
    """A line of standard input, without its end."""
    if request.password and sys.stdin.isatty():
        return getpass.getpass(request.prompt)
    try:
        return input(request.prompt)
    except EOFError:
        return END_OF_INPUT


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
            case Failed(name=name, value=value, traceback=traceback, hint=hint):
                self.complain(traceback or f"{name}: {value}")
                if hint is not UNSET and hint not in traceback:
                    self.complain(f"Hint: {hint}")

    def show_installation(self, result: InstallationResult) -> None:
        """What was installed, or why not."""
        if result.error is not UNSET:
            self.complain(f"{result.error.message}\n{result.error.remediation}")
        for package in result.installed:
            self._console.print(Text(f"Installed {package.name} {package.version}"), soft_wrap=True)
        if result.status == "ok" and not result.installed:
            self._console.print("Nothing new was installed.")
        if result.restart_for:
            self.complain(f"The kernel keeps the earlier versions of {', '.join(result.restart_for)}.")

    def leave(self, value: str) -> int:
        """The exit status of code that has left with this value of a SystemExit, as Python has it: a text is shown, and means 1."""
        if value in ("", "None"):
            return 0
        if _STATUS.fullmatch(value):
            return int(value) & 0xFF
        self.complain(value)
        return 1

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
