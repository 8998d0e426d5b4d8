"""From Jupyter messages to events and a result: pure, fed with messages in the order they came.

The rules: at most one item is primary (see primary.py); a display_id's update
replaces its item; clear_output clears the items and leaves the logs; limits keep the first and the last half and count the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import UNSET, UnsetType

from engine.jupyter import Message, Text, is_count, members_of, utf8_size
from engine.models import (
    Cleared,
    ErrorInfo,
    Event,
    Failed,
    InputRequest,
    Item,
    Logs,
    Stderr,
    Stdout,
    Truncation,
)
from engine.output.buffers import ItemBuffer, OutputLimits, StreamBuffer
from engine.output.engine_errors import EngineError, EngineFailed
from engine.output.terminal import ESCAPE

# CSI, OSC (ended by BEL or ST), and all other escape sequences: ECMA-48, 5.3-5.6, and ISO 2022
_MAX_ERROR_CHARS = 256 * 1024
_MAX_NAME_CHARS = 1024


FindHint = Callable[[tuple[str, str, str]], str | None]
"""Tells what to do about an error, from its name, value and traceback; None where there is nothing to say."""


class Normalizer:
    """Takes the messages of one execution and gives its events and, at any moment, its result."""

    def __init__(self, limits: OutputLimits, *, find_hint: FindHint | None = None) -> None:
        self._find_hint = find_hint
        self._streams = {name: StreamBuffer(limits.stream_share) for name in ("stdout", "stderr")}
        self._items = ItemBuffer(limits)
        self._error_bytes = 0  # before it was shortened, where it was
        self._error_size = 0
        self._clear_pending = False
        self._replied_error: tuple[str, str] | None = None  # name and value, where only the reply has told it so far
        self.error: ErrorInfo | None = None
        self.execution_count: int | None = None

    def feed(self, message: Message) -> list[Event]:
        """Take one message; returns the events it causes. Types that mean nothing here cause none."""
        match message.msg_type:
            case "stream":
                return self._stream(message.content, message.metadata)
            case "display_data" | "execute_result":
                return self._display(message)
            case "update_display_data":
                return self._update(message)
            case "clear_output":
                return self._clear(wait=bool(message.content.get("wait")))
            case "error":
                return self._error(message.content)
            case "execute_input":
                self._count(message.content)
            case "execute_reply":
                self._count(message.content)
                return self._reply(message.content)
            case "input_request":
                content = message.content
                prompt = str(content.get("prompt") or "")[:10_000]
                return [InputRequest(prompt=prompt, password=bool(content.get("password")))]
        return []

    def fail(self, error: ErrorInfo, cut: int = 0) -> Failed:
        """Record the error of the execution; a later one replaces it. `cut`: bytes that are missing in it."""
        hint = self._find_hint((error.name, error.value, error.traceback)) if self._find_hint else None
        if hint is not None:
            error.hint = hint
        kept = utf8_size(error.value) + utf8_size(error.traceback)
        self._error_bytes = kept + cut if cut else 0
        self._error_size = kept
        self.error = error
        event = EngineFailed if isinstance(error, EngineError) else Failed
        return event(name=error.name, value=error.value, traceback=error.traceback, hint=error.hint)

    def write(self, name: str, text: str) -> list[Event]:
        """Add text to a stream as if the kernel had sent it."""
        return self._stream({"name": name, "text": text}, {})

    def finish(self) -> list[Event]:
        """End of the cell: what the limits held back comes out now."""
        events: list[Event] = []
        for name, stream in self._streams.items():
            text, omitted = stream.release()
            if text:
                events.append(_stream_event(name, text, omitted))
        events += self._items.release()
        return events

    def items(self) -> list[Item]:
        return self._items.result()

    def raw_items(self) -> list[Item]:
        """The items as they came: primary are those of an execute_result, and nothing else."""
        return self._items.items()

    def logs(self) -> Logs:
        return Logs(stdout=self._streams["stdout"].lines(), stderr=self._streams["stderr"].lines())

    def text(self, name: str) -> str:
        """What was written to stdout or stderr, character by character."""
        return self._streams[name].text()

    def primary_index(self) -> int | UnsetType:
        return self._items.primary_index()

    def truncated(self) -> dict[str, Truncation] | UnsetType:
        found = {name: cut for name, stream in self._streams.items() if (cut := stream.truncation())}
        if cut := self._items.truncation():
            found["items"] = cut
        if self._error_bytes and self.error:
            kept = utf8_size(self.error.value) + utf8_size(self.error.traceback)
            found["error"] = Truncation(total_bytes=self._error_bytes, kept_bytes=kept)
        return found or UNSET

    @property
    def size(self) -> int:
        """Bytes held."""
        streams = sum(stream.kept_bytes for stream in self._streams.values())
        return streams + self._items.kept_bytes + self._error_size

    def cap(self) -> None:
        """Keep no more output than now; what comes is counted, as at any other limit."""
        for stream in self._streams.values():
            stream.cap()
        self._items.cap()

    def _stream(self, content: dict[str, Any], metadata: dict[str, Any]) -> list[Event]:
        name = "stderr" if content.get("name") == "stderr" else "stdout"
        text = content.get("text")
        omitted = metadata.get("omitted_bytes") if metadata else None
        missing = omitted if is_count(omitted) else 0
        stream = self._streams[name]
        if isinstance(text, Text):
            passed = [stream.add(part, 0 if number else missing) for number, part in enumerate(text.parts)]
        else:
            passed = [stream.add(text if isinstance(text, str) else str(text or ""), missing)]
        return self._cleared([_stream_event(name, part) for part in passed if part])

    def _display(self, message: Message) -> list[Event]:
        content = message.content
        is_primary = message.msg_type == "execute_result"
        if is_primary:
            self._count(content)
        # A clear_output(wait=True) acts first, so that the new item survives it.
        cleared = self._cleared([])
        return cleared + self._items.add(
            _bundle(content.get("data")),
            _item_metadata(content, message),
            is_primary=is_primary,
            display_id=_display_id(content),
            of_figure=is_primary and bool(message.metadata) and message.metadata.get("of_figure") is True,
        )

    def _update(self, message: Message) -> list[Event]:
        content = message.content
        display_id = _display_id(content)
        # Only an update that shows something new is output that a clear_output(wait=True) waits for.
        cleared = [] if self._items.knows(display_id) else self._cleared([])
        return cleared + self._items.update(display_id, _bundle(content.get("data")), _item_metadata(content, message))

    def _clear(self, *, wait: bool) -> list[Event]:
        self._clear_pending = True
        return [] if wait else self._cleared([])

    def _cleared(self, events: list[Event]) -> list[Event]:
        if not self._clear_pending:
            return events
        self._clear_pending = False
        self._items.clear()
        return [Cleared(), *events]

    def _count(self, content: dict[str, Any]) -> None:
        count = content.get("execution_count")
        if is_count(count):
            self.execution_count = count

    def _reply(self, content: dict[str, Any]) -> list[Event]:
        """A kernel may tell the error, and text to show (`?` in IPython pages it), in its reply only."""
        events: list[Event] = []
        payloads = content.get("payload")
        for payload in payloads if isinstance(payloads, list) else ():
            if isinstance(payload, dict) and payload.get("source") == "page":
                events += self._cleared([])
                events += self._items.add(_bundle(payload.get("data")), {}, is_primary=False, display_id=None)
        if content.get("status") == "error" and self.error is None:
            failed = self.fail(*_error_info(content))
            self._replied_error = (failed.name, failed.value)
            events.append(failed)
        return events

    def _error(self, content: dict[str, Any]) -> list[Event]:
        """The channels of a remote kernel have no common order: the reply can come first, and this tells the same again."""
        replied, self._replied_error = self._replied_error, None
        failed = self.fail(*_error_info(content))
        return [] if replied == (failed.name, failed.value) else [failed]


def strip_ansi(text: str) -> str:
    return ESCAPE.sub("", text) if "\x1b" in text else text


def _stream_event(name: str, text: str, omitted: int = 0) -> Event:
    event = Stderr if name == "stderr" else Stdout
    return event(text=text, omitted_bytes=omitted or UNSET)


def _name(ename: str) -> str:
    """A name on one line, which no terminal takes for a command."""
    return "".join(filter(str.isprintable, strip_ansi(ename[:_MAX_NAME_CHARS]))) or "Error"


def traceback_text(content: dict[str, Any]) -> str:
    """The traceback of an error message as one string, its parts joined by newlines; without the middle of a very long one."""
    return _shortened(_traceback(content))[0]


def _traceback(content: dict[str, Any]) -> list[str | Text]:
    found = content.get("traceback") or []
    lines = map(_text, found if isinstance(found, list) else [found])
    return [part for line in lines for part in (line, "\n")][:-1]


def _text(value: Any) -> str | Text:
    return value if isinstance(value, (str, Text)) else str(value)


def _shortened(texts: list[str | Text]) -> tuple[str, int]:
    """The texts as one, without its middle where it is long, and the bytes that are missing."""
    parts = [part for text in texts for part in (text.parts if isinstance(text, Text) else (text,))]
    length = sum(map(len, parts))
    if length <= _MAX_ERROR_CHARS:
        return "".join(parts), 0
    half = _MAX_ERROR_CHARS // 2
    head, tail = _first(parts, half)[:half], _first((part[::-1] for part in reversed(parts)), half)[:half][::-1]
    text = f"{head}\n[... {length - 2 * half} characters omitted ...]\n{tail}"
    size = sum(each.size if isinstance(each, Text) else utf8_size(each) for each in texts)
    return text, size - utf8_size(text)


def _first(parts: Iterable[str], chars: int) -> str:
    """So many characters of them, or somewhat more."""
    found: list[str] = []
    for part in parts:
        found.append(part)
        chars -= len(part)
        if chars <= 0:
            break
    return "".join(found)


def _error_info(content: dict[str, Any]) -> tuple[ErrorInfo, int]:
    """The error of a message, and the bytes that are missing in it."""
    value, value_cut = _shortened([_text(content.get("evalue") or "")])
    traceback, traceback_cut = _shortened(_traceback(content))
    hint = content.get("hint")
    info = ErrorInfo(
        name=_name(_shortened([_text(content.get("ename") or "")])[0]),
        value=strip_ansi(value),
        traceback=strip_ansi(traceback),
        hint=hint[:_MAX_NAME_CHARS] if isinstance(hint, str) else UNSET,
    )
    return info, value_cut + traceback_cut


def _bundle(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}


def _display_id(content: dict[str, Any]) -> str | None:
    transient = content.get("transient")
    display_id = transient.get("display_id") if isinstance(transient, dict) else None
    return display_id if isinstance(display_id, str) else None


def _item_metadata(content: dict[str, Any], message: Message) -> dict[str, Any]:
    """The bundle's own metadata, with what the kernel left out at its limits (in the message's, see runtimes/README.md)."""
    metadata = members_of(content.get("metadata"))
    if message.metadata and "omitted" in message.metadata:
        metadata["omitted"] = message.metadata["omitted"]
    return metadata
