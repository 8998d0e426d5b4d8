"""`polyrepl repl` (layer 10): lines from a terminal into a context, with history, completion, input() and live output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import has_completions, is_searching
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.shortcuts import CompleteStyle
from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]  # it has no annotations
from pygments.util import ClassNotFound  # type: ignore[import-untyped]
from rich.console import Console

from engine.client import AsyncClient
from engine.core import Engine
from engine.errors import PolyreplError
from engine.log import configure
from engine.models import Done, InputRequest, Stderr, Stdout
from engine.repl_sessions import LocalSession, RemoteSession, Session
from engine.settings import Settings
from engine.terminal import View

_ASK_TIMEOUT = 2.0  # seconds; nobody waits longer for a completion, or for a line to be taken
_TAB = "    "


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
    """Read, run, show, until the end of the input; returns the exit status."""
    configure(settings.log_level, settings.log_format)
    view = View(Console(highlight=False), save)
    try:
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
        await Repl(session, view, language=name, timeout=timeout).run(f"{name} in {where}; Ctrl-D leaves")


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
        context = await client.contexts.create(language, context_id=context_id or f"repl-{uuid.uuid4()}")
        try:
            yield RemoteSession(client, context.id, context.language), context.language, f"{context.id} on {url}"
        finally:
            if context_id is None:
                with contextlib.suppress(PolyreplError):
                    await client.contexts.delete(context.id, language=context.language)


class Repl:
    """Reads a cell, runs it, shows what comes, and begins anew. `timeout`: seconds a cell may run."""

    def __init__(self, session: Session, view: View, *, language: str, timeout: float) -> None:
        self._session = session
        self._view = view
        self._language = language
        self._timeout = timeout
        self._typed_ahead = ""
        self._entering = asyncio.Lock()
        self._at_line_start = True
        self._lines: PromptSession[str] = PromptSession(
            multiline=True,
            history=_history(language),
            completer=_KernelCompleter(session),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            lexer=_lexer(language),
            key_bindings=self._bindings(),
            prompt_continuation=lambda width, number, wrapped: "... ".rjust(width),
        )

    async def run(self, greeting: str) -> None:
        print(greeting)  # noqa: T201 - a terminal is what this is for
        while True:
            try:
                text, self._typed_ahead = self._typed_ahead, ""
                code = await self._lines.prompt_async(f"{self._language}> ", default=text)
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if code.strip():
                await self._cell(code)

    async def _cell(self, code: str) -> None:
        """Run one cell. What is wrong with it, or with the way to the server, is said, and the REPL goes on."""
        interrupts: set[asyncio.Task[None]] = set()

        def interrupt() -> None:
            interrupts.add(asyncio.create_task(self._interrupt()))

        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            await self._show(code)
        except PolyreplError as error:
            self._view.complain(error.explanation)
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            if interrupts:
                await asyncio.wait(interrupts)
        if not self._at_line_start:
            print()  # noqa: T201
            self._at_line_start = True

    async def _show(self, code: str) -> None:
        async for event in self._session.run(code, timeout=self._timeout):
            match event:
                case InputRequest():
                    await self._answer(event)
                case Stdout(text=text) | Stderr(text=text):
                    self._view.show(event)
                    self._at_line_start = text.endswith("\n")
                case Done(context_state="lost" | "restarted" as state):
                    self._view.complain(f"The state of the context was lost ({state}).")
                case _:
                    if not self._at_line_start:
                        print()  # noqa: T201
                        self._at_line_start = True
                    self._view.show(event)

    async def _answer(self, request: InputRequest) -> None:
        """Ask for the line that the cell waits for; Ctrl-C stops the cell, Ctrl-D gives it an empty line."""
        asking: PromptSession[str] = PromptSession(history=InMemoryHistory())
        self._at_line_start = True
        try:
            value = await asking.prompt_async(request.prompt, is_password=request.password, handle_sigint=False)
        except KeyboardInterrupt:
            await self._interrupt()
        except EOFError:
            await self._session.provide_input("")
        else:
            await self._session.provide_input(value)

    async def _interrupt(self) -> None:
        try:
            await self._session.interrupt()
        except PolyreplError as error:
            self._view.complain(error.explanation)

    def _bindings(self) -> KeyBindings:
        bindings = KeyBindings()

        @bindings.add("enter", filter=~is_searching & ~has_completions)
        async def _(event: KeyPressEvent) -> None:
            await self._enter(event.current_buffer)

        @bindings.add("enter", filter=has_completions)
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.complete_state = None

        @bindings.add("tab")
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if buffer.document.current_line_before_cursor.strip():
                _complete(buffer)
            else:
                buffer.insert_text(_TAB)

        @bindings.add("escape", "enter")
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        return bindings

    async def _enter(self, buffer: Buffer) -> None:
        """Run the cell if it is whole, and begin its next line if it is not; an empty last line ends a block.

        Keys go on coming while the kernel is asked: they stay behind the line's end, or belong to the next cell."""
        async with self._entering:
            text = buffer.text
            if buffer.document.text_after_cursor.strip():
                buffer.newline()
                return
            indent = await self._next_indent(text)
            ahead = buffer.text[len(text) :] if buffer.text.startswith(text) else ""
            if indent is not None:
                line = f"{text}\n{indent}"
                buffer.document = Document(line + ahead)
                return
            self._typed_ahead = ahead
            buffer.document = Document(text)
            buffer.validate_and_handle()

    async def _next_indent(self, text: str) -> str | None:
        """That of the line that must follow; None where the cell can run, or the kernel does not say."""
        if not text.strip():
            return None
        try:
            async with asyncio.timeout(_ASK_TIMEOUT):
                answer = await self._session.is_complete(text)
        except (PolyreplError, TimeoutError):
            return None
        return answer.indent if answer.status == "incomplete" else None


class _KernelCompleter(Completer):
    """Asks the kernel."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> list[Completion]:
        return []  # the prompt asks asynchronously

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        cursor = document.cursor_position
        try:
            async with asyncio.timeout(_ASK_TIMEOUT):
                found = await self._session.complete(document.text, cursor)
        except (PolyreplError, TimeoutError):
            return
        for match in found.matches:
            yield Completion(match.text, start_position=found.cursor_start - cursor, display_meta=match.type)


def _complete(buffer: Buffer) -> None:
    if buffer.complete_state:
        buffer.complete_next()
    else:
        buffer.start_completion(insert_common_part=True)


def _history(language: str) -> History:
    """What was typed, of this language, in the directory that XDG has for state."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    path = Path(base) / "polyrepl"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = path / f"history-{language}"
        file.touch(mode=0o600)
    except OSError as error:
        print(f"No history: {error}", file=sys.stderr)  # noqa: T201
        return InMemoryHistory()
    return FileHistory(str(file))


def _lexer(language: str) -> PygmentsLexer | None:
    try:
        return PygmentsLexer(type(get_lexer_by_name(language)))
    except ClassNotFound:
        return None
