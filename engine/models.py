"""The values that leave the engine: events, items and results. Absent fields are omitted, never null."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Status = Literal["queued", "running", "ok", "error", "timeout", "interrupted", "died"]
# created: this one is the first of a new context; preserved: what earlier executions left is there; restarted: this one began on a
# fresh kernel, as the earlier state is gone; lost: this one lost it; rolled_back: this one failed, and the state is that from before it
ContextState = Literal["created", "preserved", "restarted", "lost", "rolled_back"]
InstallationStatus = Literal["ok", "error", "timeout", "cancelled"]
# copied: a branch has files of its own; shared: it works in the same directory, which the user named
Files = Literal["copied", "shared"]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # as what a kernel says of variables is checked
Name = Annotated[str, Meta(max_length=1000)]
Names = Annotated[list[Name], Meta(max_length=1000)]
TERMINAL: frozenset[str] = frozenset({"ok", "error", "timeout", "interrupted", "died"})


def encode(value: Any, encoder: msgspec.json.Encoder = msgspec.json.Encoder()) -> bytearray:  # noqa: B008 - it has no state
    """A value of any size as JSON. Raises MemoryError; `Encoder.encode` and orjson, whose buffers cannot grow then, crash the process."""
    buffer = bytearray()
    encoder.encode_into(value, buffer)
    return buffer


class Item(msgspec.Struct, omit_defaults=False, kw_only=True):
    """One output of a cell: its MIME bundle mapped to fields. Images and PDF are base64 text, `json` is JSON.

    `data` holds the values of a table by column, `chart` what a plot shows; both only where the request asked for them.
    `extra` holds every other MIME type; `omitted` the MIME types left out at a limit, with their sizes in bytes."""

    is_primary: bool
    text: str | UnsetType = UNSET
    html: str | UnsetType = UNSET
    markdown: str | UnsetType = UNSET
    svg: str | UnsetType = UNSET
    png: str | UnsetType = UNSET
    jpeg: str | UnsetType = UNSET
    pdf: str | UnsetType = UNSET
    latex: str | UnsetType = UNSET
    json: Any | UnsetType = UNSET
    javascript: str | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET
    chart: dict[str, Any] | UnsetType = UNSET
    extra: dict[str, Any] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    omitted: dict[str, int] | UnsetType = UNSET


class _Stored:
    """A field that holds JSON as the kernel sent it, or has it for each of its members; who looks at it parses it, encoders do not."""

    def __init__(self, slot: Any) -> None:
        self.slot = slot

    def __get__(self, item: Item | None, owner: type[Item]) -> Any:
        value = self if item is None else self.slot.__get__(item)
        if type(value) is dict and any(isinstance(each, msgspec.Raw) for each in value.values()):
            return {name: _parsed(each) for name, each in value.items()}
        return _parsed(value)

    def __set__(self, item: Item, value: Any) -> None:
        self.slot.__set__(item, value)


def _parsed(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value


for _name in ("json", "data", "chart", "extra", "metadata"):
    setattr(Item, _name, _Stored(vars(Item)[_name]))


def stored(item: Item, field: str) -> Any:
    """A field of an item to be encoded: JSON in it may be `msgspec.Raw`."""
    found = vars(Item)[field]
    return found.slot.__get__(item) if isinstance(found, _Stored) else getattr(item, field)


class Logs(msgspec.Struct):
    """Lines without their newlines; a carriage return overwrites its line, as on a terminal."""

    stdout: list[str]
    stderr: list[str]


class ErrorInfo(msgspec.Struct):
    """The error of a cell. `traceback` is one string without ANSI sequences; `hint` says what to do, such as how to install a package."""

    name: str
    value: str
    traceback: str
    hint: str | UnsetType = UNSET


class Truncation(msgspec.Struct):
    """What a limit cut: how much there was and how much is kept (bytes; `items` also counts)."""

    total_bytes: int
    kept_bytes: int
    total: int | UnsetType = UNSET
    kept: int | UnsetType = UNSET


class Variable(msgspec.Struct, kw_only=True, repr_omit_defaults=True):
    """A variable of a context. `type` is qualified, but for builtins; `preview` is one line; `size_bytes` counts no contents of
    containers. `shape`, `dtype` and `columns` (the first ones) are those of arrays and tables, `length` that of containers."""

    name: Name
    type: Name
    kind: Literal["module", "class", "function", "value"]
    preview: Name
    shape: Annotated[list[Count], Meta(max_length=100)] | UnsetType = UNSET
    length: Count | UnsetType = UNSET
    size_bytes: Count | UnsetType = UNSET
    dtype: Name | UnsetType = UNSET
    columns: Annotated[list[Name], Meta(max_length=100)] | UnsetType = UNSET


class VariableList(msgspec.Struct, kw_only=True):
    """Variables by name. `total` counts all that match; `truncated`: more of them follow, ask `after` the last name."""

    items: Annotated[list[Variable], Meta(max_length=1000)]
    total: Count
    truncated: bool


class VariableChanges(msgspec.Struct, kw_only=True):
    """Names of the variables that an execution made, changed and removed. `omitted` counts those beyond the first 1000."""

    created: Names
    changed: Names
    removed: Names
    omitted: Count | UnsetType = UNSET


class FileInfo(msgspec.Struct, kw_only=True):
    """What is at a path, relative to the working directory. `modified` is ISO 8601, UTC."""

    path: str
    type: Literal["file", "directory", "symlink", "other"]
    size: int
    modified: str


class FileList(msgspec.Struct, kw_only=True):
    """Files by path. `truncated`: more of them follow, ask `after` the last path."""

    items: list[FileInfo]
    truncated: bool


class FileChange(msgspec.Struct, kw_only=True):
    """A file that an execution made, changed or deleted. `size`: bytes of what is there now."""

    path: str
    change: Literal["created", "changed", "deleted"]
    size: int | UnsetType = UNSET


class Result(msgspec.Struct, kw_only=True):
    """An execution as its readers see it, at any moment of its life."""

    execution_id: str
    context_id: str
    language: str
    status: Status
    items: list[Item]
    logs: Logs
    error: ErrorInfo | UnsetType = UNSET
    execution_count: int | UnsetType = UNSET
    duration_ms: float | UnsetType = UNSET
    context_state: ContextState | UnsetType = UNSET
    truncated: dict[str, Truncation] | UnsetType = UNSET
    variables: VariableChanges | UnsetType = UNSET
    checkpoint: str | UnsetType = UNSET
    files: list[FileChange] | UnsetType = UNSET


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
    """The last event. `primary_index` names the primary item, if there is one."""

    status: Status
    execution_count: int | UnsetType = UNSET
    duration_ms: float | UnsetType = UNSET
    context_state: ContextState | UnsetType = UNSET
    truncated: dict[str, Truncation] | UnsetType = UNSET
    primary_index: int | UnsetType = UNSET
    variables: VariableChanges | UnsetType = UNSET
    checkpoint: str | UnsetType = UNSET
    files: list[FileChange] | UnsetType = UNSET


AnyEvent = Started | Stdout | Stderr | ItemAdded | ItemUpdated | Cleared | InputRequest | Failed | Gap | Done


class PackageInfo(msgspec.Struct):
    """A package that is installed."""

    name: str
    version: str


class InstallationError(msgspec.Struct):
    """Why an installation failed, and what to do about it."""

    name: str
    message: str
    remediation: str


class InstallationResult(msgspec.Struct, kw_only=True, repr_omit_defaults=True):
    """How an installation of packages ended. `installed`: all that is new, also what was needed besides; `restart_for`: those of which
    the kernel may have loaded another version, which it uses until the context is restarted; `log`: the last lines of the output."""

    context_id: str
    language: str
    tool: str
    status: InstallationStatus
    installed: list[PackageInfo]
    restart_for: list[str]
    log: list[str]
    duration_ms: float
    error: InstallationError | UnsetType = UNSET


class Installing(Event, tag="installing"):
    """An installation has begun; what its tool prints follows as stdout and stderr."""

    context_id: str
    language: str
    tool: str
    packages: list[str]


class Installed(Event, tag="installed"):
    """The last event of an installation, however it ended."""

    result: InstallationResult


class ContextInfo(msgspec.Struct, kw_only=True, repr_omit_defaults=True):
    """A context as listed. `state`: starting, idle, busy or dead; `name`, `tags`: a client's labels. Times are ISO 8601, UTC."""

    id: str
    language: str
    cwd: str
    kernel: str
    state: str
    created_at: str
    last_activity: str
    queued: int
    execution_count: int
    isolation: str | UnsetType = UNSET
    network: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET


class Obstacle(msgspec.Struct):
    """Something of a context that a copy of its process does not have. `kind`: thread, task, socket, pipe, process, database, ..."""

    kind: Name
    name: Name


class BranchInfo(ContextInfo, kw_only=True):
    """A context that was made as a copy of another. `checkpoint`: of which of its states, where that is not the present one."""

    branched_from: str
    files: Files
    not_carried: list[Obstacle]
    checkpoint: str | UnsetType = UNSET


class CheckpointInfo(msgspec.Struct, kw_only=True, repr_omit_defaults=True):
    """A state of a context that it can return to. `memory_bytes`: what only this state holds, now; `state`: ready or lost."""

    checkpoint: str
    context_id: str
    language: str
    created_at: str
    execution_count: int
    state: str
    files: Files
    file_bytes: int
    not_carried: list[Obstacle]
    name: str | UnsetType = UNSET
    memory_bytes: int | UnsetType = UNSET


class LanguageInfo(msgspec.Struct, kw_only=True, repr_omit_defaults=True):
    """A language a request may name. `reason` tells why it is not available."""

    name: str
    aliases: list[str]
    kernel: str
    available: bool
    version: str | UnsetType = UNSET
    display_name: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class Completion(msgspec.Struct):
    """One way to go on. `type` is the kernel's word: function, keyword, path, ...; empty where it says none."""

    text: str
    type: str


class Completions(msgspec.Struct):
    """What may stand between `cursor_start` and `cursor_end` (characters of the code)."""

    matches: list[Completion]
    cursor_start: int
    cursor_end: int


class Inspection(msgspec.Struct):
    """What is known of a name: MIME types and their values."""

    found: bool
    data: dict[str, Any]


class Completeness(msgspec.Struct):
    """`status`: complete, incomplete (then `indent` is that of the next line), invalid or unknown."""

    status: Literal["complete", "incomplete", "invalid", "unknown"]
    indent: str = ""
