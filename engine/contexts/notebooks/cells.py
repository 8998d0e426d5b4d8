"""A cell to be exported: what an execution says at one moment, so that a thread can write it while the execution goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.contexts import Execution
from engine.contexts.execution import milliseconds
from engine.models import ErrorInfo, Event, Gap, Item


@dataclass(frozen=True, slots=True)
class Cell:
    """One execution. `events`: all of its events; None where some are no longer kept, and the rest stands for them, without its order.

    `notes`: what is known of it that notebooks have no place for."""

    id: str
    language: str
    code: str
    status: str
    execution_count: int | None
    events: list[Event] | None
    stdout: str
    stderr: str
    items: list[Item]
    error: ErrorInfo | None
    notes: dict[str, object]

    @property
    def has_failed(self) -> bool:
        """Whether the code did not run to its end."""
        return self.status in ("error", "timeout", "interrupted", "died")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an export comes from, and what is missing in it: how many cells by language."""

    context_id: str
    languages: tuple[str, ...]  # of its cells, the one with the most cells first
    gone: Mapping[str, int] = field(default_factory=dict)  # no longer kept
    elsewhere: Mapping[str, int] = field(default_factory=dict)  # run by Jupyter clients, which keep them

    @property
    def missing(self) -> list[str]:
        """What is missing, a sentence each."""
        gone = [f"{_cells(count, name)} no longer kept." for name, count in self.gone.items() if count]
        elsewhere = [
            f"{_cells(count, name)} not recorded: Jupyter clients ran them, and have them."
            for name, count in self.elsewhere.items()
            if count
        ]
        return gone + elsewhere


def _cells(count: int, language: str) -> str:
    return f"{count} {'cell' if count == 1 else 'cells'} in {language} {'is' if count == 1 else 'are'}"


def snapshot(execution: Execution) -> Cell:
    """An execution as it stands now. Does not copy its outputs."""
    events: list[Event] | None = [event for _, event in execution.journal.read(0)]
    if execution.has_late_output or (events and isinstance(events[0], Gap)):
        events = None
    return Cell(
        id=execution.id,
        language=execution.language,
        code=execution.code or "",
        status=execution.status,
        execution_count=execution.execution_count,
        events=events,
        stdout=execution.stdout if events is None else "",
        stderr=execution.stderr if events is None else "",
        items=execution.raw_items if events is None else [],
        error=execution.error if events is None else None,
        notes=_notes(execution),
    )


def _notes(execution: Execution) -> dict[str, object]:
    notes = {
        "language": execution.language,
        "status": execution.status,
        "execution_id": execution.id,
        "duration_ms": milliseconds(execution.duration),
        "context_state": execution.context_state,
        "truncated": execution.was_truncated or None,
    }
    return {name: value for name, value in notes.items() if value is not None}
