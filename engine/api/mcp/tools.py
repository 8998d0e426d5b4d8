"""Tools for models: what an agent can ask of the engine, each with the types of its arguments and of its answer.

One table, from which the MCP dialect serves and `engine.api.mcp.definitions` describes them to model vendors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.errors import FieldError, InvalidRequest
from engine.models import BranchInfo, ContextInfo, Diagnostic, FileInfo, FileList, InstallationResult, VariableList
from engine.options import BODY_FIELDS, ExecuteOptions, from_body
from engine.validation import MAX_NAME

ContextId = Annotated[
    str, Meta(description="Id of the context, of letters, digits and ._:~-. A missing context is created.")
]
KnownContext = Annotated[str, Meta(description="Id of the context.")]
ExecutionId = Annotated[str, Meta(description="The execution_id that execute_code returned.")]
LanguageName = Annotated[
    str, Meta(description="Language: python (default), typescript, javascript, or another available language.")
]
FilePath = Annotated[str, Meta(description="Path relative to the context's working directory.")]


class Arguments(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of what a tool is called with."""


class ExecuteCodeArguments(Arguments):
    """What is no option of the execution."""

    code: Annotated[str, Meta(description="Source code. The result includes the value of its last expression.")]
    language: LanguageName = "python"
    context_id: ContextId | None = None
    background: Annotated[
        bool, Meta(description="Return at once. Call get_execution for the result. For long runs.")
    ] = False

    def options(self) -> ExecuteOptions:
        return from_body(self, _OPTIONS)


# The options of an execution that models are offered.
_OPTIONS = ("timeout", "env_vars", "check")


def _option(name: str) -> tuple[str, Any, Any]:
    """An option as an argument. Not every vendor takes patterns of keys."""
    field = BODY_FIELDS[name]
    kind = dict[str, str] if get_origin(get_args(field.type)[0]) is Mapping else field.type
    return field.name, Annotated[kind, Meta(description=field.description)] | None, None


ExecuteCode: type[ExecuteCodeArguments] = msgspec.defstruct(  # type: ignore[assignment]  # of that base
    "ExecuteCode",
    map(_option, _OPTIONS),
    bases=(ExecuteCodeArguments,),
    module=__name__,
    kw_only=True,
    forbid_unknown_fields=True,
)


class GetExecution(Arguments):
    execution_id: ExecutionId
    wait_ms: Annotated[
        int, Meta(ge=0, le=60_000, description="Maximum wait for the end, in milliseconds. At most 60000.")
    ] = 0


class Interrupt(Arguments):
    execution_id: ExecutionId


class CreateContext(Arguments):
    context_id: ContextId | None = None
    language: LanguageName = "python"


class ListContexts(Arguments):
    pass


class DeleteContext(Arguments):
    context_id: KnownContext


class InstallPackages(Arguments):
    context_id: KnownContext
    packages: Annotated[
        list[str],
        Meta(description="Names for pip or npm, each with a version if needed: polars, httpx[http2]>=0.28, lodash@4."),
    ]
    language: LanguageName | None = None
    timeout_ms: (
        Annotated[int, Meta(ge=1, description="Time limit in milliseconds. Default: the server's maximum.")] | None
    ) = None


class ListVariables(Arguments):
    context_id: KnownContext
    language: LanguageName | None = None
    match: Annotated[str, Meta(max_length=MAX_NAME, description="Only names that contain this.")] = ""


class ForkContext(Arguments):
    context_id: KnownContext
    new_context_id: Annotated[str, Meta(description="Id of the copy. Default: a new id.")] | None = None


class ListFiles(Arguments):
    context_id: KnownContext
    path: Annotated[str, Meta(description="Directory. Default: the working directory.")] = ""
    recursive: Annotated[bool, Meta(description="Include the contents of directories.")] = False


class ReadFile(Arguments):
    context_id: KnownContext
    path: FilePath


class WriteFile(Arguments):
    context_id: KnownContext
    path: FilePath
    content: Annotated[str, Meta(description="Content of the file: text, or base64 with that encoding.")]
    encoding: Annotated[Literal["text", "base64"], Meta(description="Encoding of `content`.")] = "text"


class DeleteFile(Arguments):
    context_id: KnownContext
    path: FilePath


class ShownError(msgspec.Struct, kw_only=True):
    name: str
    value: str
    traceback: str
    hint: str | UnsetType = UNSET


class ShownItem(msgspec.Struct, kw_only=True):
    """One output: its text, and all MIME types that it came as."""

    is_primary: bool
    mime_types: list[str]
    text: str | UnsetType = UNSET


class ShownFile(msgspec.Struct, kw_only=True):
    path: str
    change: Literal["created", "changed", "deleted"]
    size: int | UnsetType = UNSET


class ShownExecution(msgspec.Struct, kw_only=True):
    """An execution. Texts hold no ANSI sequences; `truncated`: something was too long, and resources hold all of it."""

    execution_id: str
    context_id: str
    language: str
    status: Literal["queued", "running", "ok", "error", "timeout", "interrupted", "died"]
    stdout: str
    stderr: str
    items: list[ShownItem]
    truncated: bool
    error: ShownError | UnsetType = UNSET
    execution_count: int | UnsetType = UNSET
    duration_ms: float | UnsetType = UNSET
    context_state: Literal["created", "preserved", "restarted", "lost", "rolled_back"] | UnsetType = UNSET
    checkpoint: str | UnsetType = UNSET
    files: list[ShownFile] | UnsetType = UNSET
    diagnostics: list[Diagnostic] | UnsetType = UNSET
    unchecked: str | UnsetType = UNSET


class ExecutionStatus(msgspec.Struct, kw_only=True):
    execution_id: str
    status: str


class ContextList(msgspec.Struct, kw_only=True):
    items: list[ContextInfo]


class FileContent(msgspec.Struct, kw_only=True):
    """A file. `content` is cut where it is long (`truncated`); its resource holds all of it."""

    path: str
    size: int
    encoding: Literal["text", "base64"]
    content: str
    truncated: bool


class Deleted(msgspec.Struct, kw_only=True):
    deleted: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: how models are told of it, what it takes and gives, and what it may do."""

    name: str
    title: str
    description: str
    arguments: type[Arguments]
    answer: type[msgspec.Struct]
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False
    open_world: bool = False


TOOLS: tuple[Tool, ...] = (
    Tool(
        "execute_code",
        "Run code",
        "Run code in a persistent context, like a notebook cell: variables, imports and files stay. Omit context_id for a new "
        "context. Pass the returned context_id to continue in it. Plots and images are returned as images. "
        "A timeout stops the code and keeps the state.",
        ExecuteCode,
        ShownExecution,
        open_world=True,
    ),
    Tool(
        "get_execution",
        "Get an execution",
        "Get the status of an execution and its output so far. With wait_ms, wait for its end.",
        GetExecution,
        ShownExecution,
        read_only=True,
        idempotent=True,
    ),
    Tool(
        "interrupt_execution",
        "Stop an execution",
        "Stop running or waiting code. The context keeps its state.",
        Interrupt,
        ExecutionStatus,
        idempotent=True,
    ),
    Tool(
        "create_context",
        "Create a context",
        "Create a context for one language, or find it, and wait until it is ready.",
        CreateContext,
        ContextInfo,
        idempotent=True,
    ),
    Tool(
        "list_contexts",
        "List contexts",
        "List all contexts with their language, state and last activity.",
        ListContexts,
        ContextList,
        read_only=True,
        idempotent=True,
    ),
    Tool(
        "delete_context",
        "Delete a context",
        "Delete a context in all its languages, with its variables and files.",
        DeleteContext,
        Deleted,
        destructive=True,
        idempotent=True,
    ),
    Tool(
        "install_packages",
        "Install packages",
        "Install packages into a context, from PyPI for Python and from npm for TypeScript, and wait until they can be imported. "
        "Works without a network of the context. Code cannot install packages itself if the context has no network.",
        InstallPackages,
        InstallationResult,
        idempotent=True,
        open_world=True,
    ),
    Tool(
        "list_variables",
        "List variables",
        "List the variables of a context, with type, shape, size and a preview.",
        ListVariables,
        VariableList,
        read_only=True,
        idempotent=True,
    ),
    Tool(
        "fork_context",
        "Copy a context",
        "Copy a live context with its variables and files, to try something without changes to the original. Python only.",
        ForkContext,
        BranchInfo,
    ),
    Tool(
        "list_files",
        "List files",
        "List the files in the working directory of a context.",
        ListFiles,
        FileList,
        read_only=True,
        idempotent=True,
    ),
    Tool(
        "read_file",
        "Read a file",
        "Read a file. Files that are not text are returned as base64, and images also as images.",
        ReadFile,
        FileContent,
        read_only=True,
        idempotent=True,
    ),
    Tool(
        "write_file",
        "Write a file",
        "Write a file in the working directory of a context. An existing file is replaced.",
        WriteFile,
        FileInfo,
        destructive=True,
        idempotent=True,
    ),
    Tool(
        "delete_file",
        "Delete a file",
        "Delete a file in the working directory of a context.",
        DeleteFile,
        Deleted,
        destructive=True,
        idempotent=True,
    ),
)
BY_NAME = {tool.name: tool for tool in TOOLS}

_FIELD = re.compile(r"Object (?:missing required|contains unknown) field `(.*?)`")


def _place(text: str) -> tuple[str, str]:
    """What msgspec says is wrong, and where."""
    message, found, place = text.rpartition(" - at `$")
    return (message, place.removeprefix(".").removesuffix("`")) if found else (text, "")


def check_arguments(tool: Tool, given: Any) -> Arguments:
    """The arguments, as their type; null stands for a field that is left out, as vendors' strict modes have it.

    Raises InvalidRequest that names the field and what is allowed."""
    if isinstance(given, dict):
        given = {name: value for name, value in given.items() if value is not None}
    try:
        return msgspec.convert(given, tool.arguments)
    except msgspec.ValidationError as error:
        message, place = _place(str(error))
        named = _FIELD.match(message)
        if named:
            place = f"{place}.{named[1]}".lstrip(".")
            allowed = ", ".join(tool.arguments.__struct_fields__) or "none"
            message = "is required" if "missing" in message else f"is not known; allowed: {allowed}"
        raise InvalidRequest(FieldError(place or "arguments", message)) from None
