"""The prompt of a REPL: cells and answers from a terminal, with history and completion. No key is lost, also of those
that are typed while a cell runs or the kernel is asked something."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, is_searching
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input.typeahead import clear_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPress, KeyPressEvent
from prompt_toolkit.key_binding.key_processor import KeyProcessor
from prompt_toolkit.keys import Keys
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.patch_stdout import patch_stdout
from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]  # it has no annotations
from pygments.util import ClassNotFound  # type: ignore[import-untyped]

from engine.cli.repl_sessions import Session
from engine.errors import PolyreplError
from engine.models import InputRequest

_ASK_TIMEOUT = 2.0  # seconds; nobody waits longer for a completion, or for a line to be taken
_MAX_SHOWN = 200  # completions
_TAB = "    "
_IFLAG, _LFLAG, _CC = 0, 3, 6  # places in what termios tells


@contextlib.contextmanager
def keys_kept() -> Iterator[None]:
    """Have the terminal keep what is typed between the prompts as it was typed, for the next of them; Ctrl-C is a signal, still.

    As terminals are by themselves they would edit what is typed into lines: Enter becomes another character, Ctrl-D the end of an
    input that nobody reads, what is beyond 4095 characters falls away, and all of it appears amid the output."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    kept = termios.tcgetattr(terminal)
    kept[_IFLAG] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR)
    kept[_LFLAG] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
    kept[_CC][termios.VMIN], kept[_CC][termios.VTIME] = 1, 0
    kept[_CC][termios.VSUSP] = b"\0"  # who comes back from a stop would find the terminal as the shell left it
    termios.tcsetattr(terminal, termios.TCSANOW, kept)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


class Prompt:
    """Asks for cells of one language, and for what cells ask for. Raises KeyboardInterrupt for Ctrl-C, EOFError for Ctrl-D."""

    def __init__(self, session: Session, language: str) -> None:
        self._session = session
        self._language = language
        self._is_asking = False
        self._held: list[KeyPress] = []
        self._lines: PromptSession[str] = PromptSession(
            multiline=True,
            history=_history(language),
            lexer=_lexer(language),
            key_bindings=self._bindings(),
            prompt_continuation=lambda width, number, wrapped: "... ".rjust(width),
        )

    async def cell(self) -> str:
        """A whole cell, or what the user takes for one."""
        code = await self._lines.prompt_async(f"{self._language}> ", handle_sigint=False)
        self._expect_pastes()
        return code

    async def answer(self, request: InputRequest) -> str:
        """A line for input(). What is printed meanwhile stands above it."""
        asking: PromptSession[str] = PromptSession(history=InMemoryHistory())
        try:
            with patch_stdout(raw=True):
                return await asking.prompt_async(request.prompt, is_password=request.password, handle_sigint=False)
        finally:
            self._expect_pastes()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._lines.output.disable_bracketed_paste()
        self._lines.output.flush()

    def _expect_pastes(self) -> None:
        """Have the terminal mark what is pasted while a cell runs as it does at a prompt: its lines are one cell."""
        self._lines.output.enable_bracketed_paste()
        self._lines.output.flush()

    def forget_typed(self) -> None:
        """Drop what was typed ahead and read with the last cell's end; what was not read yet the terminal has dropped at Ctrl-C."""
        clear_typeahead(self._lines.input)

    def _bindings(self) -> KeyBindings:
        bindings = KeyBindings()

        @bindings.add("enter", filter=~is_searching)
        def _(event: KeyPressEvent) -> None:
            self._ask(event, self._enter)

        @bindings.add("tab")
        def _(event: KeyPressEvent) -> None:
            if event.current_buffer.document.current_line_before_cursor.strip():
                self._ask(event, self._complete)
            else:
                event.current_buffer.insert_text(_TAB)

        @bindings.add("escape", "enter")
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @bindings.add(Keys.Any, filter=Condition(lambda: self._is_asking), eager=True, save_before=lambda event: False)
        def _(event: KeyPressEvent) -> None:
            if event.key_sequence[0].key is Keys.ControlC:
                event.app.exit(exception=KeyboardInterrupt, style="class:aborting")
            else:
                self._held += event.key_sequence

        return bindings

    def _ask(self, event: KeyPressEvent, question: Callable[[Buffer], Coroutine[None, None, None]]) -> None:
        """Ask the kernel something. The keys that come meanwhile mean what they mean after its answer: they wait for it. Only
        Ctrl-C does not: it drops the cell, and them."""

        async def ask() -> None:
            try:
                await question(event.current_buffer)
            finally:
                self._is_asking = False
                held, self._held = self._held, []
                event.key_processor.feed_multiple(held, first=True)
            event.key_processor.process_keys()
            event.app.invalidate()

        self._held = self._taken(event.key_processor)
        self._is_asking = True
        event.app.create_background_task(ask())

    @staticmethod
    def _taken(processor: KeyProcessor) -> list[KeyPress]:
        """The keys that wait, taken at once where they can be: key by key a long text would take its time, for each line again."""
        if any(key.key is Keys.ControlC for key in processor.input_queue):
            return []
        places = [key for key in processor.input_queue if key.key is Keys.CPRResponse]
        taken = processor.empty_queue()
        processor.feed_multiple(places)  # the terminal's word where its cursor is, which the drawing waits for
        return taken

    async def _enter(self, buffer: Buffer) -> None:
        """Run the cell if it is whole, and begin its next line if it is not; an empty last line ends a block."""
        if buffer.document.text_after_cursor.strip():
            buffer.newline()
            return
        indent = await self._next_indent(buffer.text)
        if indent is None:
            buffer.validate_and_handle()
        else:
            buffer.document = Document(f"{buffer.text}\n{indent}")

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

    async def _complete(self, buffer: Buffer) -> None:
        """Write on as far as the kernel's completions agree, or show them."""
        text, cursor = buffer.text, buffer.cursor_position
        try:
            async with asyncio.timeout(_ASK_TIMEOUT):
                found = await self._session.complete(text, cursor)
        except (PolyreplError, TimeoutError):
            return
        names = list(dict.fromkeys(match.text for match in found.matches))
        common = os.path.commonprefix(names)  # noqa: RUF071 - of names, not of paths
        typed = text[found.cursor_start : cursor]
        if len(names) == 1 or (len(common) > len(typed) and common.startswith(typed)):
            written = text[: found.cursor_start] + common
            buffer.document = Document(written + text[found.cursor_end :], len(written))
        elif names:
            await run_in_terminal(lambda: _list(names))


def _list(names: list[str]) -> None:
    """Print names in columns."""
    shown = names[:_MAX_SHOWN]
    width = max(map(len, shown)) + 2
    columns = max(1, os.get_terminal_size(sys.stdout.fileno()).columns // width)
    rows = -(-len(shown) // columns)
    for row in range(rows):
        print("".join(name.ljust(width) for name in shown[row::rows]).rstrip())  # noqa: T201 - a terminal is what this is for
    if len(names) > len(shown):
        print(f"and {len(names) - len(shown)} more")  # noqa: T201


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
