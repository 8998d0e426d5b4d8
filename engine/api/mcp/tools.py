"""Tools for models: what an agent can ask of the engine, each with the schemas of its arguments and of its answer.

One table, from which the MCP dialect serves and `polyrepl tools` writes definitions for the APIs of model vendors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.errors import FieldError, InvalidRequest
from engine.models import BranchInfo, ContextInfo, FileInfo, FileList, VariableList

Vendor = Literal["openai", "anthropic", "mcp"]
ContextId = Annotated[
    str, Meta(description="Id of the context: any name of letters, digits and ._:~-; made when there is none of it.")
]
KnownContext = Annotated[str, Meta(description="Id of the context.")]
ExecutionId = Annotated[str, Meta(description="Id that execute_code answered with.")]
LanguageName = Annotated[str, Meta(description="python (default), typescript, javascript, or another that is offered.")]
FilePath = Annotated[str, Meta(description="Path relative to the context's working directory.")]


class Arguments(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of what a tool is called with."""


class ExecuteCode(Arguments):
    code: Annotated[str, Meta(description="Source code. The value of its last expression is part of the answer.")]
    language: LanguageName = "python"
    context_id: ContextId | None = None
    timeout_ms: Annotated[int, Meta(ge=1, description="Milliseconds the code may run.")] | None = None
    env_vars: Annotated[dict[str, str], Meta(description="Environment variables of this execution alone.")] | None = (
        None
    )
    background: Annotated[
        bool, Meta(description="Answer at once; ask get_execution for the outcome. For code that runs long.")
    ] = False


class GetExecution(Arguments):
    execution_id: ExecutionId
    wait_ms: Annotated[int, Meta(ge=0, le=60_000, description="Milliseconds to wait for its end; at most 60000.")] = 0


class Interrupt(Arguments):
    execution_id: ExecutionId


class CreateContext(Arguments):
    context_id: ContextId | None = None
    language: LanguageName = "python"


class ListContexts(Arguments):
    pass


class DeleteContext(Arguments):
    context_id: KnownContext


class ListVariables(Arguments):
    context_id: KnownContext
    language: LanguageName | None = None
    match: Annotated[str, Meta(description="Only names that contain this.")] = ""


class ForkContext(Arguments):
    context_id: KnownContext
    new_context_id: Annotated[str, Meta(description="Id of the copy. Omitted: a new one.")] | None = None


class ListFiles(Arguments):
    context_id: KnownContext
    path: Annotated[str, Meta(description="A directory. Omitted: the working directory.")] = ""
    recursive: Annotated[bool, Meta(description="Also what is in directories below.")] = False


class ReadFile(Arguments):
    context_id: KnownContext
    path: FilePath


class WriteFile(Arguments):
    context_id: KnownContext
    path: FilePath
    content: Annotated[str, Meta(description="What the file holds: text, or base64 where `encoding` says so.")]
    encoding: Annotated[Literal["text", "base64"], Meta(description="How `content` is written.")] = "text"


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
    context_state: Literal["preserved", "restarted", "lost", "rolled_back"] | UnsetType = UNSET
    checkpoint: str | UnsetType = UNSET
    files: list[ShownFile] | UnsetType = UNSET


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
        "Run code in a persistent context, like cells of a notebook: variables, imports and files stay. Leave context_id out for a "
        "fresh context, and pass the context_id of the answer to go on in it. Plots and images come back as images. "
        "A timeout stops the code and keeps the context's state.",
        ExecuteCode,
        ShownExecution,
        open_world=True,
    ),
    Tool(
        "get_execution",
        "Look at an execution",
        "How an execution stands: its status, and its output so far. With wait_ms it waits for the end.",
        GetExecution,
        ShownExecution,
        read_only=True,
        idempotent=True,
    ),
    Tool(
        "interrupt_execution",
        "Stop an execution",
        "Stop code that runs or waits. The context keeps its state.",
        Interrupt,
        ExecutionStatus,
        idempotent=True,
    ),
    Tool(
        "create_context",
        "Make a context",
        "Make a context for code of one language, or find it, and answer when it is ready.",
        CreateContext,
        ContextInfo,
        idempotent=True,
    ),
    Tool(
        "list_contexts",
        "List contexts",
        "All contexts with their language, state and last activity.",
        ListContexts,
        ContextList,
        read_only=True,
        idempotent=True,
    ),
    Tool(
        "delete_context",
        "Delete a context",
        "End a context of every language, with its variables and files.",
        DeleteContext,
        Deleted,
        destructive=True,
        idempotent=True,
    ),
    Tool(
        "list_variables",
        "List variables",
        "The variables of a context: type, shape, size and a preview of each.",
        ListVariables,
        VariableList,
        read_only=True,
        idempotent=True,
    ),
    Tool(
        "fork_context",
        "Copy a context",
        "Copy a living context with all its variables and files, to try something without touching the original. Python.",
        ForkContext,
        BranchInfo,
    ),
    Tool(
        "list_files",
        "List files",
        "The files in a context's working directory.",
        ListFiles,
        FileList,
        read_only=True,
        idempotent=True,
    ),
    Tool(
        "read_file",
        "Read a file",
        "The content of a file: text, or base64 where it is no text. Images come back as images.",
        ReadFile,
        FileContent,
        read_only=True,
        idempotent=True,
    ),
    Tool(
        "write_file",
        "Write a file",
        "Write a file into a context's working directory, in place of one that is there.",
        WriteFile,
        FileInfo,
        destructive=True,
        idempotent=True,
    ),
    Tool(
        "delete_file",
        "Delete a file",
        "Delete a file of a context's working directory.",
        DeleteFile,
        Deleted,
        destructive=True,
        idempotent=True,
    ),
)
BY_NAME = {tool.name: tool for tool in TOOLS}

_PLACE = re.compile(r"^(.*?)(?: - at `\$\.?(.*?)`)?$", re.DOTALL)
_FIELD = re.compile(r"Object (?:missing required|contains unknown) field `(.*?)`")


def check_arguments(tool: Tool, given: Any) -> Arguments:
    """The arguments, as their type; null stands for a field that is left out, as vendors' strict modes have it.

    Raises InvalidRequest that names the field and what is allowed."""
    if isinstance(given, dict):
        given = {name: value for name, value in given.items() if value is not None}
    try:
        return msgspec.convert(given, tool.arguments)
    except msgspec.ValidationError as error:
        found = _PLACE.match(str(error))
        message, place = (found[1], found[2] or "") if found else (str(error), "")
        named = _FIELD.match(message)
        if named:
            place = f"{place}.{named[1]}".lstrip(".")
            allowed = ", ".join(tool.arguments.__struct_fields__) or "none"
            message = "is required" if "missing" in message else f"is not known; allowed: {allowed}"
        raise InvalidRequest(FieldError(place or "arguments", message)) from None


def input_schema(tool: Tool) -> dict[str, Any]:
    return _schema(tool.arguments, is_closed=True)


def output_schema(tool: Tool) -> dict[str, Any]:
    return _schema(tool.answer, is_closed=False)


def _schema(kind: type[msgspec.Struct], *, is_closed: bool) -> dict[str, Any]:
    """JSON Schema of a struct, without references: not every vendor follows them."""
    (root,), parts = msgspec.json.schema_components([kind], ref_template="{name}")

    def inlined(node: Any) -> Any:
        if isinstance(node, list):
            return [inlined(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return inlined({**parts[node["$ref"]], **{k: v for k, v in node.items() if k != "$ref"}})
        return {key: inlined(value) for key, value in node.items() if key != "title"}

    schema: dict[str, Any] = inlined(root)
    for name in ("properties", "required"):
        schema.setdefault(name, {} if name == "properties" else [])
    if is_closed:
        schema["additionalProperties"] = False
    return schema


def definitions(vendor: Vendor) -> list[dict[str, Any]]:
    """All tools as the API of a vendor takes them."""
    return [_DEFINE[vendor](tool) for tool in TOOLS]


def _openai(tool: Tool) -> dict[str, Any]:
    """A function tool. `strict` there wants every field required; what may be left out becomes null instead."""
    schema = input_schema(tool)
    for name, field in schema["properties"].items():
        if name not in schema["required"]:
            schema["properties"][name] = _nullable(field)
    schema["required"] = list(schema["properties"])
    strict = not any(_is_open(field) for field in schema["properties"].values())
    function = {"name": tool.name, "description": tool.description, "parameters": schema, "strict": strict}
    return {"type": "function", "function": function}


def _nullable(field: dict[str, Any]) -> dict[str, Any]:
    field = {key: value for key, value in field.items() if key != "default"}
    if "anyOf" in field:
        kinds = field["anyOf"]
        return field if {"type": "null"} in kinds else {**field, "anyOf": [*kinds, {"type": "null"}]}
    if "enum" in field:
        return {**field, "enum": [*field["enum"], None]}
    return {**field, "type": [field["type"], "null"]}


def _is_open(field: dict[str, Any]) -> bool:
    """Whether it is an object of any keys, which `strict` does not allow."""
    return any(each.get("type") == "object" for each in field.get("anyOf", [field]))


def _anthropic(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "input_schema": input_schema(tool)}


def _mcp(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": input_schema(tool),
        "outputSchema": output_schema(tool),
        "annotations": {
            "title": tool.title,
            "readOnlyHint": tool.read_only,
            "destructiveHint": tool.destructive,
            "idempotentHint": tool.idempotent,
            "openWorldHint": tool.open_world,
        },
    }


_DEFINE = {"openai": _openai, "anthropic": _anthropic, "mcp": _mcp}
