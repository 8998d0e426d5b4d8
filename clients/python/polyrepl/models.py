# Generated from engine/models by clients/python/generate.py: change that, and run this.
"""The values of the API, as dataclasses. A field that the server left out is `UNSET`."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from polyrepl.values import UNSET, UnsetType, Value


class Completion(Value):
    """One way to go on. `type` is the kernel's word: function, keyword, path, ...; empty where it says none."""

    text: str
    type: str


class Completions(Value):
    """What may stand between `cursor_start` and `cursor_end` (characters of the code)."""

    matches: list[Completion]
    cursor_start: int
    cursor_end: int


class Inspection(Value):
    """What is known of a name: MIME types and their values."""

    found: bool
    data: dict[str, Any]


class Completeness(Value):
    """`status`: complete, incomplete (then `indent` is that of the next line), invalid or unknown."""

    status: Literal["complete", "incomplete", "invalid", "unknown"]
    indent: str = ""


Count = int
Name = str
Names = list[Name]


class ContextInfo(Value):
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
    limits: dict[str, float] | UnsetType = UNSET
    isolation: str | UnsetType = UNSET
    network: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET


class Obstacle(Value):
    """Something of a context that a copy of its process does not have. `kind`: thread, task, socket, pipe, process, database, ..."""

    kind: Name
    name: Name


class BranchInfo(ContextInfo):
    """A context that was made as a copy of another. `checkpoint`: of which of its states, where that is not the present one."""

    branched_from: str
    files: Files
    not_carried: list[Obstacle]
    checkpoint: str | UnsetType = UNSET


class CheckpointInfo(Value):
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
    warnings: list[str] | UnsetType = UNSET


class LanguageInfo(Value):
    """A language a request may name. `reason` tells why it is not available."""

    name: str
    aliases: list[str]
    kernel: str
    available: bool
    version: str | UnsetType = UNSET
    display_name: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class Diagnostic(Value):
    """A place in the code as it was sent, and what is wrong there. Lines and columns count from 1; `code` is that of TypeScript."""

    line: int
    column: int
    end_line: int
    end_column: int
    code: int
    severity: Literal["error", "warning", "suggestion", "message"]
    message: str


class Event(Value):
    """Base of what happens during an execution; its number is given by the log that holds it."""


class Started(Event):
    """The cell was handed to its kernel."""

    type_tag: ClassVar[str] = "started"
    execution_id: str
    context_id: str
    language: str


class Stdout(Event):
    """`omitted_bytes` were left out before this text, at a limit."""

    type_tag: ClassVar[str] = "stdout"
    text: str
    omitted_bytes: int | UnsetType = UNSET


class Stderr(Event):
    """`omitted_bytes` were left out before this text, at a limit."""

    type_tag: ClassVar[str] = "stderr"
    text: str
    omitted_bytes: int | UnsetType = UNSET


class ItemAdded(Event):
    """`index` names the item in later events; it is not its place in the result."""

    type_tag: ClassVar[str] = "item"
    index: int
    item: Item


class ItemUpdated(Event):
    """The item of that `index` is replaced by this one (update_display_data)."""

    type_tag: ClassVar[str] = "item_update"
    index: int
    item: Item


class Cleared(Event):
    """All items so far are gone (clear_output). Logs stay."""

    type_tag: ClassVar[str] = "clear"


class InputRequest(Event):
    """The code waits in input(). `password`: what is typed must not be shown."""

    type_tag: ClassVar[str] = "input_request"
    prompt: str
    password: bool


class Failed(Event):
    """The code raised an exception."""

    type_tag: ClassVar[str] = "error"
    name: str
    value: str
    traceback: str
    hint: str | UnsetType = UNSET


class Gap(Event):
    """The reader asked for events that are no longer kept; `missed` of them."""

    type_tag: ClassVar[str] = "gap"
    missed: int


class Done(Event):
    """The last event. `primary_index` names the primary item, if there is one; `hint` is one for the error, found after that was sent."""

    type_tag: ClassVar[str] = "done"
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
Files = Literal["copied", "shared"]


class FileInfo(Value):
    """What is at a path, relative to the working directory. `modified` is ISO 8601, UTC."""

    path: str
    type: Literal["file", "directory", "symlink", "other"]
    size: int
    modified: str


class FileList(Value):
    """Files by path. `truncated`: more of them follow, ask `after` the last path."""

    items: list[FileInfo]
    truncated: bool


class FileChange(Value):
    """A file that an execution made, changed or deleted. `size`: bytes of what is there now."""

    path: str
    change: Literal["created", "changed", "deleted"]
    size: int | UnsetType = UNSET


class Item(Value):
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


InstallationStatus = Literal["ok", "error", "timeout", "cancelled"]


class PackageInfo(Value):
    """A package that is installed."""

    name: str
    version: str


class InstallationError(Value):
    """Why an installation failed, and what to do about it."""

    name: str
    message: str
    remediation: str


class InstallationResult(Value):
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


class Installing(Event):
    """An installation has begun; what its tool prints follows as stdout and stderr."""

    type_tag: ClassVar[str] = "installing"
    context_id: str
    language: str
    tool: str
    packages: list[str]


class Installed(Event):
    """The last event of an installation, however it ended."""

    type_tag: ClassVar[str] = "installed"
    result: InstallationResult


Status = Literal["queued", "running", "ok", "error", "timeout", "interrupted", "died"]
ContextState = Literal["created", "preserved", "restarted", "lost", "rolled_back"]
TERMINAL: frozenset[str] = frozenset({"ok", "error", "timeout", "interrupted", "died"})


class Logs(Value):
    """Lines without their newlines; a carriage return overwrites its line, as on a terminal."""

    stdout: list[str]
    stderr: list[str]


class ErrorInfo(Value):
    """The error of a cell. `traceback` is one string without ANSI sequences; `hint` says what to do, such as how to install a package."""

    name: str
    value: str
    traceback: str
    hint: str | UnsetType = UNSET


class Truncation(Value):
    """What a limit cut: how much there was and how much is kept (bytes; `items` also counts)."""

    total_bytes: int
    kept_bytes: int
    total: int | UnsetType = UNSET
    kept: int | UnsetType = UNSET


class Result(Value):
    """An execution as its readers see it, at any moment of its life. `unchecked`: why there are no `diagnostics` though asked for."""

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
    diagnostics: list[Diagnostic] | UnsetType = UNSET
    unchecked: str | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET


class Variable(Value):
    """A variable of a context. `type` is qualified, but for builtins; `preview` is one line; `size_bytes` counts no contents of
    containers. `shape`, `dtype` and `columns` (the first ones) are those of arrays and tables, `length` that of containers."""

    name: Name
    type: Name
    kind: Literal["module", "class", "function", "value"]
    preview: Name
    shape: list[Count] | UnsetType = UNSET
    length: Count | UnsetType = UNSET
    size_bytes: Count | UnsetType = UNSET
    dtype: Name | UnsetType = UNSET
    columns: list[Name] | UnsetType = UNSET


class VariableList(Value):
    """Variables by name. `total` counts all that match; `truncated`: more of them follow, ask `after` the last name."""

    items: list[Variable]
    total: Count
    truncated: bool


class VariableChanges(Value):
    """Names of the variables that an execution made, changed and removed. `omitted` counts those beyond the first 1000."""

    created: Names
    changed: Names
    removed: Names
    omitted: Count | UnsetType = UNSET
