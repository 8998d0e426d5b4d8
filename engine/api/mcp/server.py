"""The MCP dialect: the tools of engine.api.mcp.tools and the resources that answers link to, whatever the transport.

Imported once it is used: the package `mcp` is optional, and takes a second to load."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Literal

import mcp_types as types
import msgspec
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from msgspec import UNSET

from engine import __version__
from engine.api.http.downloads import content_type_of
from engine.api.http.parsing import beside_loop
from engine.api.http.results import LARGE
from engine.api.mcp import tools
from engine.api.mcp.content import (
    BASE64,
    MAX_IMAGE_BYTES,
    MAX_TEXT,
    MIME_TYPES,
    Address,
    capped,
    file_uri,
    item_uri,
    lines_of,
    parse_uri,
    show,
    stream_uri,
    text_of,
)
from engine.api.mcp.definitions import definitions
from engine.contexts import Execution
from engine.core import Engine
from engine.errors import ContextNotFound, FieldError, InvalidRequest, NotFound, PolyreplError
from engine.models import FileInfo, InstallationResult, Logs, Stderr, Stdout, stored
from engine.options import seconds
from engine.packages import Remedies

INSTRUCTIONS = (
    "Runs code in persistent contexts, each a real Jupyter kernel with a working directory of its own. Pass the context_id of an "
    "answer to go on where it ended. Answers are cut where they are long; their resource links lead to all of it."
)
_REMEDIES = Remedies(
    install='call install_packages with {"context_id": "{context_id}", "language": "{language}", "packages": ["{package}"]}',
    answer="No tool answers input(). Put the value into the code.",
)
_PROGRESS_INTERVAL = 1.0  # seconds between progress notifications of one call
_MAX_PROGRESS_TEXT = 200
_MAX_PRINTED = 4 * _MAX_PROGRESS_TEXT  # characters that are kept to find the last line in
_MAX_READ = 16 * 1024 * 1024  # bytes of a resource
_RESOURCE_NOT_FOUND = -32002
_TEMPLATES = (
    (stream_uri("{execution_id}", "{stream}"), "output", "All of the stdout or stderr of an execution."),
    (item_uri("{execution_id}", 0, "{field}").replace("/0/", "/{index}/"), "item", "One form of one output."),
    ("polyrepl://contexts/{context_id}/files/{+path}", "file", "A file of a context."),
)


def make_server(engine: Engine) -> Server[Any]:
    """An MCP server over `engine`, which lives longer."""

    async def list_tools(_: ServerRequestContext[Any, Any], __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool.model_validate(each) for each in definitions("mcp")])

    async def call_tool(
        context: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        tool = tools.BY_NAME.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}; known: {', '.join(tools.BY_NAME)}")
        try:
            return await _CALLS[tool.name](
                _Caller(engine, context), tools.check_arguments(tool, params.arguments or {})
            )
        except PolyreplError as error:
            return render(error)

    async def list_templates(_: ServerRequestContext[Any, Any], __: Any) -> types.ListResourceTemplatesResult:
        templates = [
            types.ResourceTemplate(uri_template=uri, name=name, description=description)
            for uri, name, description in _TEMPLATES
        ]
        return types.ListResourceTemplatesResult(resource_templates=templates)

    async def list_resources(_: ServerRequestContext[Any, Any], __: Any) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=[])  # answers link to what there is; the templates say how

    async def read_resource(
        _: ServerRequestContext[Any, Any], params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        uri = str(params.uri)
        try:
            return types.ReadResourceResult(contents=[await _read(engine, uri)])
        except NotFound as error:
            raise MCPError(_RESOURCE_NOT_FOUND, error.message, {"uri": uri}) from None
        except PolyreplError as error:
            raise MCPError(types.INVALID_PARAMS, _said(error), {"uri": uri}) from None

    return Server(
        "polyrepl",
        version=__version__,
        title="polyrepl",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
    )


def render(error: PolyreplError) -> types.CallToolResult:
    """An error of the engine as the answer of a tool, which a model can read and act on."""
    return types.CallToolResult(content=[types.TextContent(text=_said(error))], is_error=True)


def _said(error: PolyreplError) -> str:
    return f"{type(error).__name__}: {error.explanation}"


def _answer(value: Any, text: str | None = None) -> types.CallToolResult:
    structured = msgspec.to_builtins(value)
    shown = msgspec.json.format(msgspec.json.encode(structured)).decode() if text is None else text
    return types.CallToolResult(content=[types.TextContent(text=capped(shown)[0])], structured_content=structured)


async def _shown(execution: Execution) -> types.CallToolResult:
    """The execution as it stands now; made beside the loop where it is long."""
    showing = partial(show, execution.result(logs=Logs([], [])), execution.stdout, execution.stderr)
    return showing() if execution.size < LARGE else await beside_loop(showing)


class _Caller:
    """One call of a tool."""

    def __init__(self, engine: Engine, context: ServerRequestContext[Any, Any]) -> None:
        self._engine = engine
        self._context = context

    async def execute_code(self, asked: tools.ExecuteCodeArguments) -> types.CallToolResult:
        execution = await self._engine.execute(
            asked.code,
            language=asked.language,
            context_id=asked.context_id,
            options=asked.options(),
            remedies=_REMEDIES,
        )
        if not asked.background:
            try:
                await self._follow(execution)
            except asyncio.CancelledError:  # the client has cancelled its request, or is gone
                with contextlib.suppress(ContextNotFound):
                    await self._engine.interrupt(execution.id)
                raise
        return await _shown(execution)

    async def _follow(self, execution: Execution) -> None:
        """Wait for the end; a client that asked for it is told once a second that the code still runs, and what it printed last."""
        progress, printed, told_at = 0.0, "", time.monotonic()
        async for entry in execution.follow(ping=_PROGRESS_INTERVAL):
            if entry is not None and isinstance(entry[1], Stdout | Stderr):
                printed = (printed + entry[1].text[-_MAX_PRINTED:])[-_MAX_PRINTED:]  # a line may come in pieces
            now = time.monotonic()
            if now - told_at < _PROGRESS_INTERVAL or execution.is_finished:
                continue
            progress, told_at = progress + now - told_at, now
            said = printed.strip().splitlines()[-1:] or [execution.status]
            message = said[0][:_MAX_PROGRESS_TEXT]
            await self._context.session.report_progress(round(progress, 3), execution.timeout, message)

    async def get_execution(self, asked: tools.GetExecution) -> types.CallToolResult:
        execution = self._engine.executions.get(asked.execution_id)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(asked.wait_ms / 1000):
                await execution.wait()
        return await _shown(execution)

    async def interrupt_execution(self, asked: tools.Interrupt) -> types.CallToolResult:
        execution = await self._engine.interrupt(asked.execution_id)
        return _answer(tools.ExecutionStatus(execution_id=execution.id, status=execution.status))

    async def create_context(self, asked: tools.CreateContext) -> types.CallToolResult:
        context = await self._engine.create_context(language=asked.language, context_id=asked.context_id)
        return _answer(context.info())

    async def list_contexts(self, _: tools.ListContexts) -> types.CallToolResult:
        return _answer(tools.ContextList(items=[context.info() for context in self._engine.contexts]))

    async def delete_context(self, asked: tools.DeleteContext) -> types.CallToolResult:
        await self._engine.delete_context(asked.context_id)
        return _answer(tools.Deleted(deleted=asked.context_id))

    async def install_packages(self, asked: tools.InstallPackages) -> types.CallToolResult:
        installation = self._engine.installations.start(
            asked.context_id,
            asked.packages,
            language=self._engine.capabilities.name_of(asked.language),
            timeout=seconds(asked.timeout_ms),
        )
        try:
            result = await installation.wait()
        except asyncio.CancelledError:  # the client has cancelled its request, or is gone
            await asyncio.shield(installation.stop("was stopped: its client went away"))
            raise
        return types.CallToolResult(
            content=[types.TextContent(text=_of_installation(result))],
            structured_content=msgspec.to_builtins(result),
            is_error=result.status != "ok",
        )

    async def list_variables(self, asked: tools.ListVariables) -> types.CallToolResult:
        return _answer(
            await self._engine.assistance.variables(asked.context_id, language=asked.language, match=asked.match)
        )

    async def fork_context(self, asked: tools.ForkContext) -> types.CallToolResult:
        return _answer(await self._engine.branching.fork(asked.context_id, new_id=asked.new_context_id))

    async def list_files(self, asked: tools.ListFiles) -> types.CallToolResult:
        files = self._engine.files(asked.context_id)
        return _answer(await files.list(asked.path, recursive=asked.recursive))

    async def read_file(self, asked: tools.ReadFile) -> types.CallToolResult:
        info, raw = await _content(self._engine, asked.context_id, asked.path, MAX_IMAGE_BYTES)
        mime_type, whole = content_type_of(info.path), len(raw) == info.size
        content: list[types.ContentBlock] = []
        encoding: Literal["text", "base64"] = "text"
        try:
            text, cut = capped(raw.decode())
            content.append(types.TextContent(text=text))
        except UnicodeDecodeError:
            encoding, encoded = "base64", base64.b64encode(raw).decode()
            if mime_type in ("image/png", "image/jpeg") and whole and len(encoded) <= MAX_IMAGE_BYTES:
                content.append(types.ImageContent(data=encoded, mime_type=mime_type))
            text, cut = encoded[:MAX_TEXT], len(encoded) > MAX_TEXT
        if cut or not whole or not content:
            content.append(
                types.ResourceLink(
                    uri=file_uri(asked.context_id, info.path), name=info.path, mime_type=mime_type, size=info.size
                )
            )
        shown = tools.FileContent(
            path=info.path, size=info.size, encoding=encoding, content=text, truncated=cut or not whole
        )
        return types.CallToolResult(content=content, structured_content=msgspec.to_builtins(shown))

    async def write_file(self, asked: tools.WriteFile) -> types.CallToolResult:
        raw = asked.content.encode("utf-8", "surrogatepass") if asked.encoding == "text" else _decoded(asked.content)

        async def chunks() -> AsyncIterator[bytes]:
            yield raw

        info, _ = await self._engine.files(asked.context_id).write(asked.path, chunks())
        return _answer(info)

    async def delete_file(self, asked: tools.DeleteFile) -> types.CallToolResult:
        await self._engine.files(asked.context_id).delete(asked.path)
        return _answer(tools.Deleted(deleted=asked.path))


_CALLS: dict[str, Callable[[_Caller, Any], Awaitable[types.CallToolResult]]] = {
    tool.name: getattr(_Caller, tool.name) for tool in tools.TOOLS
}


def _of_installation(result: InstallationResult) -> str:
    """What a model needs to know of an installation. What the tool printed is in the structured answer."""
    installed = ", ".join(f"{each.name} {each.version}" for each in result.installed)
    parts = [f"Installed: {installed}" if installed else "Nothing new was installed." if result.status == "ok" else ""]
    if result.error is not UNSET:
        parts.append(f"[{result.status}] {result.error.name}: {result.error.message}\n{result.error.remediation}")
    if result.restart_for:
        parts.append(
            f"The context uses the earlier versions of these until it is restarted: {', '.join(result.restart_for)}"
        )
    return capped("\n".join(filter(None, parts)))[0]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise InvalidRequest(FieldError("content", "must be base64, as `encoding` says")) from None


async def _content(engine: Engine, context_id: str, path: str, limit: int) -> tuple[FileInfo, bytes]:
    """A file's first `limit` bytes."""
    opened = await engine.files(context_id).read(path)
    try:
        chunks = [chunk async for chunk in opened.chunks(0, min(limit, opened.info.size))]
    finally:
        await opened.aclose()
    return opened.info, b"".join(chunks)


async def _read(engine: Engine, uri: str) -> types.TextResourceContents | types.BlobResourceContents:
    address = parse_uri(uri)
    if address.path:
        info, raw = await _content(engine, address.context_id, address.path, _MAX_READ)
        if info.size > _MAX_READ:
            raise InvalidRequest(FieldError("uri", f"has {info.size} bytes; a resource is read up to {_MAX_READ}"))
        mime_type = content_type_of(info.path)
        try:
            return types.TextResourceContents(uri=uri, text=raw.decode(), mime_type=mime_type)
        except UnicodeDecodeError:
            return types.BlobResourceContents(uri=uri, blob=base64.b64encode(raw).decode(), mime_type=mime_type)
    return await _output(engine, uri, address)


async def _output(
    engine: Engine, uri: str, address: Address
) -> types.TextResourceContents | types.BlobResourceContents:
    execution = engine.executions.get(address.execution_id)
    if address.stream:
        text = await beside_loop(partial(lines_of, getattr(execution, address.stream)))
        return types.TextResourceContents(uri=uri, text=text, mime_type="text/plain")
    items = execution.result(logs=Logs([], [])).items
    value = stored(items[address.item], address.field) if address.item < len(items) else UNSET
    if value is UNSET:
        raise NotFound(f"This execution has no output {address.item} as {address.field}")
    mime_type = MIME_TYPES[address.field]
    if address.field in BASE64:
        return types.BlobResourceContents(uri=uri, blob=value, mime_type=mime_type)
    return types.TextResourceContents(uri=uri, text=await beside_loop(partial(text_of, value)), mime_type=mime_type)
