"""`polyrepl repl`: cells from a terminal into a context, with input(), live output and Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from rich.console import Console

from engine.cli.prompt import Prompt, keys_kept
from engine.cli.repl_sessions import LocalSession, RemoteSession, Session, errors_of_server
from engine.cli.run import View
from engine.core import Engine
from engine.errors import PolyreplError
from engine.log import configure
from engine.models import Done, Event, Failed, InputRequest, Stderr, Stdout
from engine.settings import Settings
from polyrepl import AsyncClient, ClientError


def run_repl(
    settings: Settings,
    *,
    language: str,
    url: str | None,
    token: str | None,
    context_id: str | None,
    timeout: float,
    save: Path | None,
) -> int:
    """Read, run, show, until Ctrl-D; returns the exit status."""
    configure(settings.log_level, settings.log_format)
    view = View(Console(highlight=False), save)
    if not sys.stdin.isatty():
        view.complain(
            "The REPL reads from a terminal, and this is none: `polyrepl run` takes code from a pipe or a file."
        )
        return 2
    try:
        with keys_kept():
            asyncio.run(_main(settings, language, url, token, context_id, timeout, view))
    except PolyreplError as error:
        view.complain(error.explanation)
    except OSError as error:
        view.complain(str(error))
    else:
        return 0
    return 2


async def _main(
    settings: Settings,
    language: str,
    url: str | None,
    token: str | None,
    context_id: str | None,
    timeout: float,
    view: View,
) -> None:
    opened = _local(settings, language, context_id) if url is None else _remote(url, token, language, context_id)
    async with opened as (session, name, where):
        await Repl(session, view, language=name, timeout=timeout).run(f"{name} in {where}; exit() or Ctrl-D leaves")


@contextlib.asynccontextmanager
async def _local(settings: Settings, language: str, context_id: str | None) -> AsyncIterator[tuple[Session, str, str]]:
    async with Engine(settings) as engine:
        context = await engine.create_context(language=language, context_id=context_id)
        name = context.language.name
        yield LocalSession(engine, context.id, name), name, "a context of its own"


@contextlib.asynccontextmanager
async def _remote(
    url: str, token: str | None, language: str, context_id: str | None
) -> AsyncIterator[tuple[Session, str, str]]:
    """A context that was named stays when the REPL is left; one of our own making is ended."""
    async with AsyncClient(url, token=token) as client:
        with errors_of_server():
            context = await client.contexts.create(language, context_id=context_id or f"repl-{uuid.uuid4()}")
        try:
            yield RemoteSession(client, context.id, context.language), context.language, f"{context.id} on {url}"
        finally:
            if context_id is None:
                with contextlib.suppress(ClientError):
                    await client.contexts.delete(context.id, language=context.language)


# Lines that are for the REPL. Options are for pip itself, in the kernel.
_LEAVING = frozenset({"exit", "exit()", "quit", "quit()", ".exit"})
_INSTALLING = re.compile(r"[%!]?(?:pip3? |npm )?install((?: ++[\w@][^\s'\"();]*+)++)")


class Repl:
    """Reads a cell, runs it, shows what comes, and begins anew. `timeout`: seconds a cell may run."""

    def __init__(self, session: Session, view: View, *, language: str, timeout: float) -> None:
        self._session = session
        self._view = view
        self._timeout = timeout
        self._can_install = language in ("python", "typescript")
        self._prompt = Prompt(session, language)
        self._running: asyncio.Task[None] | None = None
        self._interrupts: set[asyncio.Task[None]] = set()
        self._question: asyncio.Task[None] | None = None
        self._at_line_start = True

    async def run(self, greeting: str) -> None:
        print(greeting)  # noqa: T201 - a terminal is what this is for
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._on_sigint)
        try:
            while True:
                with contextlib.suppress(KeyboardInterrupt):
                    code = await self._prompt.cell()
                    if code.strip() in _LEAVING:
                        return
                    await self._cell(code)
        except EOFError:
            return
        finally:
            self._prompt.close()

    def _on_sigint(self) -> None:
        """Prompts read Ctrl-C as a key: the signal is for the cell that runs, or has just ended, and for what was to follow."""
        self._prompt.forget_typed()
        if self._running is None:
            return
        if self._interrupts:
            self._running.cancel()  # said again: the server does not answer
            return
        task = asyncio.create_task(self._interrupt())
        self._interrupts.add(task)
        task.add_done_callback(self._interrupts.discard)

    async def _cell(self, code: str) -> None:
        """Run one cell. What is wrong with it, or with the way to the server, is said, and the REPL goes on."""
        if not code.strip():
            return
        installing = _INSTALLING.fullmatch(code.strip()) if self._can_install else None
        running = self._follow(code) if installing is None else self._install(installing[1].split())
        self._running = asyncio.create_task(running)
        try:
            await asyncio.wait({self._running})
            if self._running.cancelled():
                self._view.complain("The cell is not waited for any longer; it may still run.")
            else:
                self._running.result()
        finally:
            self._running.cancel()
            self._running = None
            for task in self._interrupts:
                task.cancel()
        self._begin_line()

    async def _follow(self, code: str) -> None:
        try:
            async for event in self._session.run(code, timeout=self._timeout):
                await self._show(event)
        except PolyreplError as error:
            self._view.complain(error.explanation)
        finally:
            await self._withdraw_question()

    async def _install(self, packages: list[str]) -> None:
        """Install packages into the context, whether or not its code has a network."""
        try:
            self._view.show_installation(await self._session.install(packages))
        except PolyreplError as error:
            self._view.complain(error.explanation)

    async def _show(self, event: Event) -> None:
        if isinstance(event, (InputRequest, Failed, Done)):
            await self._withdraw_question()
        match event:
            case InputRequest():
                self._question = asyncio.create_task(self._answer(event))
            case Stdout(text=text) | Stderr(text=text):
                self._view.show(event)
                self._at_line_start = text.endswith("\n")
            case Done(context_state="lost"):
                self._view.complain("The state of the context was lost.")
            case Done(context_state="restarted"):
                self._view.complain("This ran in a new kernel: the state of the context was lost.")
            case Failed(name="SystemExit"):
                self._view.complain(
                    "SystemExit: the code has ended, and the kernel still runs. Leave the REPL with exit() or Ctrl-D."
                )
            case _:
                self._begin_line()
                self._view.show(event)

    def _begin_line(self) -> None:
        if not self._at_line_start:
            print()  # noqa: T201
            self._at_line_start = True

    async def _answer(self, request: InputRequest) -> None:
        """Ask for the line that the cell waits for; Ctrl-C stops the cell, Ctrl-D gives it an empty line."""
        self._at_line_start = True
        try:
            await self._session.provide_input(await self._prompt.answer(request))
        except KeyboardInterrupt:
            await self._interrupt()
        except EOFError:
            await self._session.provide_input("")

    async def _withdraw_question(self) -> None:
        """The cell has ended, or has got its line: nobody waits for an answer any more."""
        question, self._question = self._question, None
        if question is None:
            return
        question.cancel()
        try:
            await question
        except asyncio.CancelledError:
            pass
        except PolyreplError as error:
            self._view.complain(error.explanation)

    async def _interrupt(self) -> None:
        try:
            await self._session.interrupt()
        except PolyreplError as error:
            self._view.complain(error.explanation)
