"""What happens during an execution."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from engine.models.diagnostics import Diagnostic
from engine.models.files import FileChange
from engine.models.items import Item
from engine.models.results import ContextState, Status, Truncation
from engine.models.variables import VariableChanges


class Event(msgspec.Struct, tag_field="type", kw_only=True, repr_omit_defaults=True):
    """Base of what happens during an execution; its number is given by the log that holds it."""


class Started(Event, tag="started"):
    """The cell was handed to its kernel."""

    execution_id: str
    context_id: str
    language: str


class Stdout(Event, tag="stdout"):
    """`omitted_bytes` were left out before this text, at a limit."""

    text: str
    omitted_bytes: int | UnsetType = UNSET


class Stderr(Event, tag="stderr"):
    """`omitted_bytes` were left out before this text, at a limit."""

    text: str
    omitted_bytes: int | UnsetType = UNSET


class ItemAdded(Event, tag="item"):
    """`index` names the item in later events; it is not its place in the result."""

    index: int
    item: Item


class ItemUpdated(Event, tag="item_update"):
    """The item of that `index` is replaced by this one (update_display_data)."""

    index: int
    item: Item


class Cleared(Event, tag="clear"):
    """All items so far are gone (clear_output). Logs stay."""


class InputRequest(Event, tag="input_request"):
    """The code waits in input(). `password`: what is typed must not be shown."""

    prompt: str
    password: bool


class Failed(Event, tag="error"):
    """The code raised an exception."""

    name: str
    value: str
    traceback: str
    hint: str | UnsetType = UNSET


class Gap(Event, tag="gap"):
    """The reader asked for events that are no longer kept; `missed` of them."""

    missed: int


class Done(Event, tag="done"):
    """The last event. `primary_index` names the primary item, if there is one; `hint` is one for the error, found after that was sent."""

    status: Status
    execution_count: int | UnsetType = UNSET
    duration_ms: float | UnsetType = UNSET
    context_state: ContextState | UnsetType = UNSET
    truncated: dict[str, Truncation] | UnsetType = UNSET
    primary_index: int | UnsetType = UNSET
    variables: VariableChanges | UnsetType = UNSET
    checkpoint: str | UnsetType = UNSET
    files: list[FileChange] | UnsetType = UNSET
    diagnostics: list[Diagnostic] | UnsetType = UNSET
    unchecked: str | UnsetType = UNSET
    hint: str | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET


AnyEvent = Started | Stdout | Stderr | ItemAdded | ItemUpdated | Cleared | InputRequest | Failed | Gap | Done
