"""An execution: one cell as a resource, with an event log, a result at any moment, and an end that is reached once."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from sys import getsizeof
from typing import Any, Protocol, TypeVar

from msgspec import UNSET, UnsetType

from engine.contexts.answers import Answers
from engine.contexts.inheritance import Loss, notice_of
from engine.contexts.variables import changes_of
from engine.errors import InputNotExpected
from engine.following import follow
from engine.jupyter import Message
from engine.kernels import Run
from engine.kernels.checking import NOT_ASKED, Checked, explain
from engine.models import (
    TERMINAL,
    ContextState,
    Done,
    ErrorInfo,
    Event,
    Failed,
    FileChange,
    InputRequest,
    Item,
    ItemAdded,
    ItemUpdated,
    Logs,
    Result,
    Started,
    Status,
    VariableChanges,
)
from engine.options import DEFAULTS, ExecuteOptions
from engine.output import FindHint, Journal, Normalizer, OutputLimits, traceback_text
from engine.validation import check_text

_WEIGHED_EVERY = 64 * 1024  # bytes of messages
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be run. `timeout`: seconds, that of the options or the default."""

    code: str
    timeout: float
    options: ExecuteOptions = DEFAULTS

    @property
    def size(self) -> int:
        """Bytes of memory that it takes, roughly."""
        options = self.options
        size = getsizeof(self.code)
        if options.stdin:
            size += sum(map(getsizeof, options.stdin))
        if options.env_vars:
            size += sum(getsizeof(name) + getsizeof(value) for name, value in options.env_vars.items())
        return size

    def fingerprint(self, *identity: str | None) -> bytes:
        """Equal for requests that ask for the same."""
        asked = (identity, self.code, self.timeout, self.options.identity())
        return hashlib.sha256(repr(asked).encode("utf-8", "surrogatepass")).digest()


class ExecutionListener(Protocol):
    """Whoever wants to know that executions have ended, and how large they are."""

    def execution_grew(self, execution: Execution) -> None:
        """Called when it may hold more: after each 64 KiB of messages, and after each message that comes late."""

    def execution_ended(self, execution: Execution) -> None:
        """Called once for each, with its result complete."""


class Execution:
    """A cell's run. Its context drives it through `start`, `receive` and `end`; readers follow it.

    Invariant: it ends once. From then on its status and its request do not change, and what its kernel still says is output."""

    def __init__(
        self,
        request: Request,
        *,
        context_id: str,
        language: str,
        limits: OutputLimits,
        max_events: int,
        find_hint: FindHint | None = None,
        listener: ExecutionListener | None = None,
    ) -> None:
        self.id = str(uuid.uuid4())
        self.context_id = context_id
        self.language = language
        self.timeout = request.timeout
        self.status: Status = "queued"
        self.context_state: ContextState | None = None
        self.loss: Loss | None = None  # of the earlier state, which this answer is the first to tell
        self.interrupt_requested = self.deadline_passed = False
        self.revision = 0  # which result this is: it changes with each message that is taken in
        self.checkpoint: str | UnsetType = UNSET
        self.files: list[FileChange] | UnsetType = UNSET
        self.checked, self._checked_size = NOT_ASKED, 0
        self.journal = Journal(max_events=max_events, max_bytes=limits.output_bytes)
        self.request: Request | None = request
        self.code = None if request.options.prepares else request.code  # the user's, to be exported
        self.has_late_output = False  # which no event has told
        self._answers = Answers(request.options)
        self._wants_changes = request.options.variables
        self._changes: VariableChanges | UnsetType = UNSET
        self.limits = limits.within(request.options.max_output_bytes)
        self.warnings: list[str] = []  # about the request, for whoever wrote it
        self._normalizer = Normalizer(self.limits, find_hint=find_hint)
        self._listener = listener
        self._unweighed = 0  # bytes of messages since its listener was last told
        self._started_at = 0.0
        self._duration: float | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        return f"<Execution {self.id} {self.status}, {self.journal.last} events>"

    @property
    def location(self) -> str:
        """Its path in the API."""
        return f"/executions/{self.id}"

    @property
    def is_finished(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.status in TERMINAL

    @property
    def duration(self) -> float | None:
        """Seconds that the cell ran, so far or in all; None before it starts."""
        if self._duration is not None:
            return self._duration
        return time.perf_counter() - self._started_at if self._started_at else None

    @property
    def size(self) -> int:
        """Bytes held, roughly. While it waits or runs, its queue weighs the code."""
        code = getsizeof(self.code) if self.is_finished else 0
        return self._normalizer.size + self.journal.size + self._checked_size + code

    @property
    def was_truncated(self) -> bool:
        """Whether a limit has cut its output."""
        return self._normalizer.truncated() is not UNSET

    @property
    def stdout(self) -> str:
        """What it wrote, character by character; the result has the lines that a terminal would show."""
        return self._normalizer.text("stdout")

    @property
    def stderr(self) -> str:
        """As `stdout`."""
        return self._normalizer.text("stderr")

    @property
    def raw_items(self) -> list[Item]:
        """Its items as they came: primary are those of an execute_result. In the result, one of them is."""
        return self._normalizer.raw_items()

    @property
    def notice(self) -> str:
        """A line for stderr, in formats without `context_state`: that the state is lost. Empty if nothing is."""
        return notice_of(self.context_state, self.loss)

    @property
    def error(self) -> ErrorInfo | None:
        """What its code raised, if anything."""
        return self._normalizer.error

    @property
    def execution_count(self) -> int | None:
        """The kernel's counter, as soon as it has told it."""
        return self._normalizer.execution_count

    def start(self) -> None:
        """The cell is about to be handed to its kernel."""
        self.status = "running"
        self.revision += 1
        self._started_at = time.perf_counter()
        self.journal.append(Started(execution_id=self.id, context_id=self.context_id, language=self.language))

    def stop_clock(self) -> None:
        """The cell has stopped; its duration does not grow any more."""
        if self._started_at and self._duration is None:
            self._duration = time.perf_counter() - self._started_at

    def note_checked(self, checked: Checked) -> None:
        """What came of the check of its types."""
        self.checked, self._checked_size = checked, checked.size

    def attach(self, run: Run) -> None:
        """Its cell was handed to a kernel."""
        if not self.is_finished:
            self._answers.attach(run)

    def receive(self, message: Message) -> None:
        """Take a message of this cell; those after its end (threads that outlive it) add to its result."""
        self.revision += 1
        if self.is_finished:
            self._receive_late(message)
            return
        if self._wants_changes and message.msg_type == "execute_reply":
            self._changes = changes_of(message)
        size = message.size  # of an item as it came; other events are parts of a message, or shorter
        for event in self._normalizer.feed(message):
            if isinstance(event, InputRequest):
                if not self._answers.reply():
                    self.journal.append(event)
            elif isinstance(event, ItemAdded | ItemUpdated) and event.item.omitted is UNSET:
                self.journal.append(event, size)
                size = 1  # the next ones show the same item
            elif not (isinstance(event, Failed) and self.deadline_passed):
                self.journal.append(event)
        self._unweighed += message.size or _WEIGHED_EVERY  # unknown, of what did not come from the kernel
        if self._unweighed >= _WEIGHED_EVERY:
            self._tell_growth()

    def _tell_growth(self) -> None:
        self._unweighed = 0
        if self._listener is not None:
            self._listener.execution_grew(self)

    def cap(self) -> None:
        """Keep no more output than now; what comes is counted in `truncated`, and readers get a `Gap` instead of older events."""
        self.revision += 1
        self._normalizer.cap()
        self.journal.cap()

    def _receive_late(self, message: Message) -> None:
        """Output is added to the result; an error that comes now is output as well: the end is not changed.

        The events have ended with `done`, for every reader."""
        if message.msg_type == "error":
            self._normalizer.write("stderr", traceback_text(message.content) + "\n")
        elif message.msg_type not in ("execute_reply", "input_request"):
            self._normalizer.feed(message)
        self.has_late_output = True
        self._normalizer.finish()
        self._tell_growth()

    def provide_input(self, value: str) -> None:
        """Answer the pending input request. Raises InputNotExpected when there is none, and InvalidRequest."""
        if not self._answers.awaits_client:
            raise InputNotExpected(self.id, self.status)
        check_text("value", value)
        self._answers.provide(value)

    def end(self, status: Status, *, context_state: ContextState | None, error: ErrorInfo | None = None) -> None:
        """Reach the end. Only the first call counts."""
        if self.is_finished:
            return
        self.stop_clock()
        for event in self._normalizer.finish():
            self.journal.append(event)
        if error is not None:
            self.journal.append(self._normalizer.fail(error))
        self.status, self.context_state = status, context_state
        self.revision += 1
        self.request = None
        self._answers.close()
        found, primary = self.checked.diagnostics, self._normalizer.primary_index()
        hint = explain(self.error, found) if found else UNSET
        self.journal.append(Done(primary_index=primary, hint=hint, **self._outcome()))
        self.journal.close()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self._listener is not None:
            self._listener.execution_ended(self)

    def discard(self) -> None:
        """Let go of all output: nobody can ask for it, and whoever still follows it gets a `Gap`."""
        self.revision, self.code = self.revision + 1, None
        self.journal.discard()
        self._normalizer = Normalizer(self.limits)

    async def wait(self) -> None:
        """Return when the execution has ended. It always does: it has a deadline, and its queue is bounded."""
        if self.is_finished:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)

    def follow(self, after: int = 0, *, ping: float | None = None) -> AsyncIterator[tuple[int, Event] | None]:
        """Every event numbered above `after`, until the end; None after each `ping` seconds of silence."""
        return follow(self.journal, after, ping=ping)

    def result(self, logs: Logs | None = None) -> Result:
        """The execution as it stands now. `logs`: in place of its own, which may be long."""
        normalizer = self._normalizer
        return Result(
            execution_id=self.id,
            context_id=self.context_id,
            language=self.language,
            items=normalizer.items(),
            logs=logs or normalizer.logs(),
            error=normalizer.error or UNSET,
            **self._outcome(),
        )

    def _outcome(self) -> dict[str, Any]:
        """What the result and the last event have in common."""
        return {
            "status": self.status,
            "execution_count": _told(self.execution_count),
            "duration_ms": _told(milliseconds(self.duration)),
            "context_state": self.context_state or UNSET,
            "truncated": self._normalizer.truncated(),
            "variables": self._changes,
            "checkpoint": self.checkpoint,
            "files": self.files,
            "diagnostics": _told(self.checked.diagnostics),
            "unchecked": _told(self.checked.reason),
            "warnings": self.warnings or UNSET,
        }


def milliseconds(seconds: float | None) -> float | None:
    """As answers tell a duration."""
    return None if seconds is None else round(seconds * 1000, 3)


def _told(value: Value | None) -> Value | UnsetType:
    """As a field of an answer, which is absent when there is nothing to tell."""
    return UNSET if value is None else value
