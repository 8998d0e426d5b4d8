"""The KernelBox dialect: kernels and named sessions, as its version 0.1.2 answers, at the root.

A kernel is an id with all its contexts; a session is the kernel of that name. A name that can be an id of contexts is one."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from engine.api.http.detail import Unprocessable, detail, problems_of, read_checked, unprocessable
from engine.api.http.errors import headers_of, json_response, status_of
from engine.api.http.requests import FewEntries, FirstProblem, engine_of
from engine.api.http.streaming import Disconnect
from engine.api.http.tables import Table
from engine.api.kernelbox.results import attempt_of, result_of
from engine.api.kernelbox.state import NAME, state_of
from engine.contexts import DELETED, Context, Execution
from engine.core import Engine
from engine.errors import (
    ContextExists,
    ContextNotFound,
    FieldError,
    InvalidRequest,
    PolyreplError,
)
from engine.packages import NO_INPUT
from engine.validation import IS_CONTEXT_ID
from engine.workspaces import Labels

MAX_ATTEMPTS = 100
_CLIENT_GONE = 499
Tags = Annotated[dict[str, str], FewEntries]
Json = dict[str, Any]


class KernelBody(BaseModel):
    """A kernel to make."""

    name: str | None = None
    session_name: str | None = None
    tags: Tags = Field(default_factory=dict)


class SessionBody(BaseModel):
    """What a session's kernel gets where it is made."""

    tags: Tags = Field(default_factory=dict)


class ExecuteBody(BaseModel):
    """Code to run."""

    code: str
    language: Literal["python", "bash"] = "python"
    timeout: Annotated[float, Field(ge=0.1)] | None = None


class RetryBody(ExecuteBody):
    """Code to try, and what to try after each failure: `replacement_codes` in turn, then `on_error_code`."""

    max_attempts: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)] | None = None
    replacement_codes: Annotated[list[str], FirstProblem] = Field(default_factory=list)
    on_error_code: str | None = None


def render(error: PolyreplError) -> Response:
    """An error of the core in this dialect."""
    if isinstance(error, InvalidRequest) and error.errors:
        return unprocessable(problems_of(error))
    message = error.message
    if isinstance(error, ContextNotFound):
        message = f"Unknown kernel: {error.context_id}"
    elif isinstance(error, ContextExists):
        message = f"Kernel name already exists: {error.context_id}"
    return detail(message, status_of(error), headers_of(error))


def _contexts(engine: Engine, identifier: str) -> list[Context]:
    """The contexts of a kernel, by its id or its name; none where there is no such kernel."""
    return [each for each in engine.contexts if identifier in (each.id, each.workspace.labels.name)]


def _found(request: Request) -> list[Context]:
    """Raises ContextNotFound."""
    identifier = request.path_params["identifier"]
    found = _contexts(engine_of(request), identifier)
    if not found:
        raise ContextNotFound(identifier)
    return found


def _model(request: Request, contexts: list[Context]) -> Json:
    """A kernel: the id that these contexts share."""
    first, labels = contexts[0], contexts[0].workspace.labels
    used = max(each.last_activity for each in contexts)
    return {
        "kernel_id": first.id,
        "connection_file": "",  # there is none to connect to
        "name": labels.name,
        "created_at": first.created_at.isoformat(),
        "last_used_at": used.isoformat(),
        "status": "running" if _is_alive(contexts) else "dead",
        "session_name": labels.session_name,
        "attempt_count": state_of(request).attempts[first.id],
        "tags": labels.tags,
        "age_seconds": round((datetime.now(UTC) - first.created_at).total_seconds(), 6),
    }


def _is_alive(contexts: list[Context]) -> bool:
    return any(each.state != "dead" for each in contexts)


def _kernels(engine: Engine) -> dict[str, list[Context]]:
    """All kernels by id, oldest first."""
    found: dict[str, list[Context]] = {}
    for context in sorted(engine.contexts, key=lambda each: each.created_at):
        found.setdefault(context.id, []).append(context)
    return found


async def _make(engine: Engine, labels: Labels) -> Context:
    """A new kernel that is ready, once its start-up code has run. Raises InvalidRequest or ContextExists, and what
    `Engine.create_context` does."""
    labels.check(engine.settings.max_label_chars)
    language = engine.check_language(engine.settings.kernelbox_kernel)
    await engine.capabilities.check_usable(language)  # first: from here on nobody else comes between
    if labels.name is not None and _contexts(engine, labels.name):
        raise ContextExists(labels.name)
    is_id = labels.name is not None and IS_CONTEXT_ID.fullmatch(labels.name)
    chosen = labels.name if is_id and labels.name else uuid.uuid4().hex
    context, is_new = engine.contexts.get_or_create(chosen, language)
    context.workspace.labels = labels
    startup, code = None, engine.settings.kernelbox_startup_code
    try:
        if code:  # queued now, so that nobody else's code comes before it
            startup = await _submit(engine, context.id, ExecuteBody(code=code), prepares=True)
        await context.ready()
    except Exception:
        if is_new:
            engine.contexts.discard(context)
        raise
    if startup is not None:
        await startup.wait()
    return context


async def _session(engine: Engine, name: str, tags: Tags | None = None) -> Context:
    """A context of the kernel of that name, which is made where there is none."""
    known = _contexts(engine, name)
    if known:
        return known[0]
    try:
        return await _make(engine, Labels(name=name, session_name=name, tags=tags or {}, maker=NAME))
    except ContextExists:  # made by somebody else meanwhile
        return _contexts(engine, name)[0]


async def _run(engine: Engine, context: Context, body: ExecuteBody) -> Json:
    """Run code in the kernel of a context. Raises ContextNotFound if that kernel has ended."""
    _check_there(context)
    execution = await _submit(engine, context.id, body)
    try:
        await execution.wait()
    except asyncio.CancelledError:
        await context.interrupt(execution)
        raise
    return result_of(execution, engine.settings.kernelbox_output_chars)


def _check_there(context: Context) -> None:
    """Raises ContextNotFound if the kernel of this context has ended. Another kernel may have its id by now."""
    if context.workspace.is_gone:
        raise ContextNotFound(context.id)


async def _submit(engine: Engine, context_id: str, body: ExecuteBody, *, prepares: bool = False) -> Execution:
    most = engine.settings.max_timeout
    if body.timeout is not None and not body.timeout <= most:
        raise InvalidRequest(FieldError("timeout", f"must be at most {most:g}"))
    # Bash is what IPython makes of it: a process of its own for every cell, in the kernel's directory and environment.
    code = f"%%bash\n{body.code}" if body.language == "bash" else body.code
    return await engine.execute(
        code,
        context_id=context_id,
        language=engine.settings.kernelbox_kernel,
        timeout=min(engine.settings.kernelbox_timeout, most) if body.timeout is None else body.timeout,
        prepares=prepares,
        remedies=NO_INPUT,
    )


async def _retry(request: Request, context: Context, body: RetryBody) -> Response:
    """Try until an attempt succeeds. When the client goes away, the attempt that runs is stopped, and there is no other."""
    trying = asyncio.ensure_future(_attempts(request, context, body))

    async def give_up() -> None:
        trying.cancel()

    async with Disconnect(request.receive, give_up):
        await asyncio.wait({trying})
    return Response(status_code=_CLIENT_GONE) if trying.cancelled() else json_response(trying.result())


async def _attempts(request: Request, context: Context, body: RetryBody) -> Json:
    engine, state = engine_of(request), state_of(request)
    allowed = body.max_attempts or engine.settings.kernelbox_attempts
    replacements = iter(body.replacement_codes)
    attempts: list[Json] = []
    while True:
        _check_there(context)
        state.attempts[context.id] += 1
        result = await _run(engine, context, body)
        attempts.append(attempt_of(len(attempts) + 1, body.code, result))
        if result["status"] == "success" or len(attempts) == allowed:
            break
        replacement = next(replacements, body.on_error_code)
        if replacement is not None:
            body.code = replacement
    if result["status"] != "success":
        result["status"] = "max_attempts_exceeded"
    return {**result, "attempts": attempts}


async def create_kernel(request: Request) -> Response:
    body = await read_checked(request, KernelBody)
    labels = Labels(name=body.name, session_name=body.session_name, tags=body.tags, maker=NAME)
    return json_response(_model(request, [await _make(engine_of(request), labels)]), 201)


async def list_kernels(request: Request) -> Response:
    refresh = request.query_params.get("refresh", "false")
    if refresh.lower() not in ("true", "false", "1", "0", "on", "off", "yes", "no", "t", "f", "y", "n"):
        message = "Input should be a valid boolean, unable to interpret input"
        raise Unprocessable([{"type": "bool_parsing", "loc": ["query", "refresh"], "msg": message, "input": refresh}])
    return json_response({"kernels": [_model(request, contexts) for contexts in _kernels(engine_of(request)).values()]})


async def delete_kernels(request: Request) -> Response:
    """Those that were made here: other clients' contexts are not this one's to end."""
    engine = engine_of(request)
    own = {name: found for name, found in _kernels(engine).items() if found[0].workspace.labels.maker == NAME}
    # All are taken out at once: whoever else deletes them meanwhile finds none.
    ending = [engine.contexts.end(each, DELETED, asked_for=True) for found in own.values() for each in found]
    if ending:
        await asyncio.wait(ending)
    return json_response({"destroyed": list(own)})


async def get_kernel(request: Request) -> Response:
    contexts = _found(request)
    return json_response({"alive": _is_alive(contexts), "kernel": _model(request, contexts)})


async def restart_kernel(request: Request) -> Response:
    contexts = _found(request)
    for context in contexts:
        await context.restart()
    return json_response(_model(request, contexts))


async def delete_kernel(request: Request) -> Response:
    await engine_of(request).delete_context(_found(request)[0].id)
    return json_response({"destroyed": True})


async def execute_in_kernel(request: Request) -> Response:
    context = _found(request)[0]
    body = await read_checked(request, ExecuteBody)
    return json_response(await _run(engine_of(request), context, body))


async def retry_in_kernel(request: Request) -> Response:
    context = _found(request)[0]
    body = await read_checked(request, RetryBody)
    return await _retry(request, context, body)


async def get_session(request: Request) -> Response:
    body = await read_checked(request, SessionBody, optional=True)
    engine = engine_of(request)
    return json_response(
        _model(request, engine.contexts.get((await _session(engine, request.path_params["name"], body.tags)).id))
    )


async def execute_in_session(request: Request) -> Response:
    body = await read_checked(request, ExecuteBody)
    engine = engine_of(request)
    return json_response(await _run(engine, await _session(engine, request.path_params["name"]), body))


async def retry_in_session(request: Request) -> Response:
    body = await read_checked(request, RetryBody)
    context = await _session(engine_of(request), request.path_params["name"])
    return await _retry(request, context, body)


async def index(request: Request) -> Response:
    links = {
        "swagger": {"href": "/docs", "description": "Interactive Swagger UI."},
        "redoc": {"href": "/redoc", "description": "Readable API reference."},
        "openapi": {"href": "/openapi.json", "description": "OpenAPI schema."},
    }
    return json_response({"service": NAME, "links": links})


TABLE: Table = {
    "/": {"GET": index},
    "/kernels": {"POST": create_kernel, "GET": list_kernels, "DELETE": delete_kernels},
    "/kernels/{identifier}": {"GET": get_kernel, "DELETE": delete_kernel},
    "/kernels/{identifier}/restart": {"POST": restart_kernel},
    "/kernels/{identifier}/execute": {"POST": execute_in_kernel},
    "/kernels/{identifier}/execute/retry": {"POST": retry_in_kernel},
    "/sessions/{name}": {"POST": get_session},
    "/sessions/{name}/execute": {"POST": execute_in_session},
    "/sessions/{name}/execute_with_retry": {"POST": retry_in_session},
}
