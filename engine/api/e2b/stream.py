"""The E2B dialect's answer to a run: one JSON object per line, as it happens, and what a vanished client means."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET
from starlette.types import Receive, Scope, Send

from engine.api.e2b.sandboxes import is_gone
from engine.api.http.peers import peer_of
from engine.api.http.streaming import PING_INTERVAL, Disconnect
from engine.contexts import Execution
from engine.core import Engine
from engine.errors import NotFound
from engine.models import Cleared, Event, Failed, Gap, Item, ItemAdded, ItemUpdated, Stderr, Stdout, encode, stored
from engine.output import EngineFailed
from engine.packages import traceback_with_hint

_FIELDS = (
    "text",
    "html",
    "markdown",
    "svg",
    "png",
    "jpeg",
    "pdf",
    "latex",
    "json",
    "javascript",
    "data",
    "chart",
)  # fmt: skip
_OMITTED = "application/vnd.polyrepl.omitted+json"  # in `extra`: MIME types left out at a limit, with their bytes
# What the kernel's end is called there, whatever ended it.
_RESTARTS = frozenset({"KernelDied", "ContextRestarted"})

Line = dict[str, Any]


class Lines:
    """An ASGI response that follows an execution to its end; it is interrupted when the client goes away.

    When the sandbox was killed, the connection breaks off, as that of a machine that has ended: the SDKs look whether the sandbox is
    there, and say that it was killed."""

    def __init__(self, engine: Engine, execution: Execution, sandbox_id: str) -> None:
        self._engine = engine
        self._execution = execution
        self._sandbox_id = sandbox_id
        self._has_count = False
        self._updated: dict[int, Item] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with Disconnect(receive, self._interrupt) as disconnect:
            async for entry in self._execution.follow(ping=PING_INTERVAL):
                if disconnect.happened:
                    return
                if entry and self._is_end_of_sandbox(entry[1]) and (peer := peer_of(scope)) is not None:
                    peer.evict("killed")
                    await disconnect.wait()
                    return
                await self._send(send, self._lines(entry[1]) if entry else [{"type": "keepalive"}])
        if not disconnect.happened:
            await self._send(send, self._last_lines())
            await send({"type": "http.response.body", "body": b""})

    def _is_end_of_sandbox(self, event: Event) -> bool:
        return isinstance(event, EngineFailed) and is_gone(self._engine, self._sandbox_id)

    async def _interrupt(self) -> None:
        with contextlib.suppress(NotFound):  # its context was deleted, and the execution with it
            await self._engine.interrupt(self._execution.id)

    async def _send(self, send: Send, lines: Iterator[Line] | list[Line]) -> None:
        body = b"".join(encode(line) + b"\n" for line in (*self._count(), *lines))
        if body:
            await send({"type": "http.response.body", "body": body, "more_body": True})

    def _count(self) -> list[Line]:
        """The cell's number, once, as soon as it is known: before anything that the cell shows."""
        count = self._execution.execution_count
        if count is None or self._has_count:
            return []
        self._has_count = True
        return [{"type": "number_of_executions", "execution_count": count}]

    def _lines(self, event: Event) -> Iterator[Line]:
        match event:
            case Stdout(text=text, omitted_bytes=omitted):
                yield _text_line("stdout", text, omitted or 0)
            case Stderr(text=text, omitted_bytes=omitted):
                yield _text_line("stderr", text, omitted or 0)
            case ItemAdded(item=item):
                yield _result_line(item)
            case ItemUpdated(index=index, item=item):
                self._updated[index] = item
            case Cleared():
                self._updated.clear()
            case Failed():
                yield _error_line(event)
            case Gap(missed=missed):
                yield _text_line("stderr", f"[... {missed} outputs omitted: they were read too slowly ...]\n", 0)

    def _last_lines(self) -> Iterator[Line]:
        """What was displayed and changed later is told once more, as it is in the end; clients can only add results.

        A loss of the state is told on stderr."""
        if self._execution.notice:
            yield _text_line("stderr", self._execution.notice, 0)
        for item in self._updated.values():
            yield _result_line(item)
        yield {"type": "end_of_execution"}


def _text_line(name: str, text: str, omitted: int) -> Line:
    if omitted:
        text = f"\n[... {omitted} bytes omitted ...]\n{text}"
    return {"type": name, "text": text, "timestamp": datetime.now(UTC).isoformat()}


def _result_line(item: Item) -> Line:
    line: Line = {"type": "result"}
    for field in _FIELDS:
        value = stored(item, field)
        if value is not UNSET:
            line[field] = _without_quotes(value) if field == "text" else value
    found = stored(item, "extra")
    extra = dict(found) if found is not UNSET else {}
    if item.omitted is not UNSET:
        extra[_OMITTED] = item.omitted
    return {**line, "extra": extra, "is_main_result": item.is_primary}


def _without_quotes(text: str) -> str:
    """A string's repr loses its quotes: one pair."""
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if is_quoted else text


def _error_line(event: Failed) -> Line:
    if isinstance(event, EngineFailed) and event.name in _RESTARTS:
        reason = f"{event.name}: {event.value}"
        return {"type": "error", "name": "ContextRestarting", "value": "Context was restarted", "traceback": reason}
    return {"type": "error", "name": event.name, "value": event.value, "traceback": traceback_with_hint(event)}
