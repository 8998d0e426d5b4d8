"""The code-interpreter dialect: sessions, as the gateway for agents' primitives has them, under /api/v1.

A session is an id with all its contexts; its history and its files are those of the id."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from engine import errors
from engine.api.code_interpreter.history import MAX_ENTRIES, Entry
from engine.api.code_interpreter.state import NAME, state_of
from engine.api.http.detail import Unprocessable, detail, read_checked
from engine.api.http.downloads import OCTETS, FileAnswer
from engine.api.http.errors import headers_of, json_response, status_of
from engine.api.http.multipart import Form
from engine.api.http.requests import engine_of
from engine.api.http.tables import Table
from engine.contexts import Context, Execution
from engine.errors import ContextNotFound, PolyreplError
from engine.models import Item, Logs
from engine.packages import NO_INPUT, traceback_with_hint

PREFIX = "/api/v1"
SESSIONS = f"{PREFIX}/code-interpreter/sessions"
STATUS = "active"  # of every session that there is
Json = dict[str, Any]


class SessionBody(BaseModel):
    """A session to begin."""

    session_id: str | None = None
    language: str = "python"
    config: Json = Field(default_factory=dict)


class ExecuteBody(BaseModel):
    """Code to run."""

    code: str
    language: str | None = None


class SessionNotFound(ContextNotFound):
    """In the words of the gateway, which differ from route to route."""

    def __init__(self, context_id: str, message: str) -> None:
        super().__init__(context_id)
        self.message = message


def render(error: PolyreplError) -> Response:
    """An error of the core in this dialect: what is wrong with a request is a 400 with the reason."""
    message, status = error.explanation, status_of(error)
    if isinstance(error, ContextNotFound) and not isinstance(error, SessionNotFound):
        message = "Session not found"
    elif isinstance(error, errors.KernelTimeout):
        status = 504
    elif isinstance(error, errors.KernelStartFailed):
        status = 503
    return detail(message, status, headers_of(error))


def _contexts(request: Request) -> list[Context]:
    """The contexts of a session. Raises SessionNotFound."""
    session_id = request.path_params["session_id"]
    try:
        return engine_of(request).contexts.get(session_id)
    except ContextNotFound:
        is_the_session = request.method == "GET" and request.url.path.rstrip("/").endswith(f"/{session_id}")
        message = "Session not found" if is_the_session else f"Session {session_id} not found"
        raise SessionNotFound(session_id, message) from None


def _model(context: Context) -> Json:
    return {
        "session_id": context.id,
        "status": STATUS,
        "language": context.language.name,
        "created_at": context.created_at.isoformat().replace("+00:00", "Z"),
        "metadata": {**context.workspace.labels.tags},
    }


async def start_session(request: Request) -> Response:
    """An id that is in use gets a session that is as new: what was there is ended, with its kernel."""
    body = await read_checked(request, SessionBody)
    engine = engine_of(request)
    language = engine.check_language(body.language)
    session_id = body.session_id or str(uuid.uuid4())
    if any(context.id == session_id for context in engine.contexts):
        await engine.delete_context(session_id)
    context = await engine.create_context(language=language.name, context_id=session_id)
    context.workspace.labels.maker = NAME
    return json_response(_model(context), 201)


async def list_sessions(request: Request) -> Response:
    wanted = request.query_params.get("status", STATUS)
    by_id: dict[str, Context] = {}
    for context in engine_of(request).contexts:
        by_id.setdefault(context.id, context)
    sessions = [_model(context) for context in by_id.values()] if wanted == STATUS else []
    return json_response({"sessions": sessions})


async def get_session(request: Request) -> Response:
    return json_response(_model(_contexts(request)[0]))


async def end_session(request: Request) -> Response:
    engine, session_id = engine_of(request), request.path_params["session_id"]
    if any(context.id == session_id for context in engine.contexts):
        await engine.delete_context(session_id)
    return Response(status_code=204)


async def execute(request: Request) -> Response:
    body = await read_checked(request, ExecuteBody)
    context = _contexts(request)[0]
    engine = engine_of(request)
    execution = await engine.execute(
        body.code, context_id=context.id, language=body.language or context.language.name, remedies=NO_INPUT
    )
    await execution.wait()
    entry = _entry(execution, body.code)
    state_of(request).history(context).add(entry)
    return json_response(
        {
            "session_id": context.id,
            "stdout": entry.stdout,
            "stderr": entry.stderr,
            "exit_code": entry.exit_code,
            "result": entry.result,
            "error": None,
            "output": _joined(entry.stdout, entry.result),
            "items": execution.result(logs=Logs([], [])).items,
            "language": execution.language,
        }
    )


def _entry(execution: Execution, code: str) -> Entry:
    """What a cell did; an error is told on stderr, as a program's is."""
    error, stderr = execution.error, execution.notice + execution.stderr
    if execution.status == "timeout":
        stderr += f"Execution timed out after {float(execution.timeout)}s"
    elif error is not None:
        stderr += f"{traceback_with_hint(error) or f'{error.name}: {error.value}'}\n"
    return Entry(
        _now(),
        code,
        execution.language,
        stdout=execution.stdout,
        stderr=stderr,
        exit_code=0 if execution.status == "ok" else 1,
        result=_text_of(execution.raw_items),
    )


def _text_of(items: list[Item]) -> str:
    """The text of the last expression."""
    return next((item.text for item in reversed(items) if item.is_primary and isinstance(item.text, str)), "")


def _joined(stdout: str, result: str) -> str:
    return "\n".join(part for part in (stdout.removesuffix("\n"), result) if part)


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


async def get_history(request: Request) -> Response:
    limit = request.query_params.get("limit", "50")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= MAX_ENTRIES):
        problem = {"type": "value_error", "loc": ["query", "limit"], "msg": f"must be between 1 and {MAX_ENTRIES}"}
        raise Unprocessable([{**problem, "input": limit}])
    return json_response({"entries": state_of(request).history(_contexts(request)[0]).last(int(limit))})


async def upload_file(request: Request) -> Response:
    context = _contexts(request)[0]
    files = engine_of(request).files(context.id)  # now: the id may be another session's when the file has come
    async for part in Form(request).files():
        if part.field != "file":
            continue
        info, _ = await files.write(part.filename, part.chunks)
        _note(request, context, f"upload_file({info.path!r})", f"{info.size} bytes")
        return json_response({"filename": info.path, "size": info.size, "session_id": context.id})
    raise Unprocessable([{"type": "missing", "loc": ["body", "file"], "msg": "Field required", "input": None}])


async def download_file(request: Request) -> ASGIApp:
    context, path = _contexts(request)[0], request.path_params["filename"]
    file = await engine_of(request).files(context.id).read(path)
    _note(request, context, f"download_file({path!r})", f"{file.info.size} bytes")
    return await FileAnswer.of(request, file, OCTETS)


def _note(request: Request, context: Context, code: str, result: str) -> None:
    state_of(request).history(context).add(Entry(_now(), code, context.language.name, result=result))


async def list_providers(request: Request) -> Response:
    provider = "polyrepl"
    return json_response({NAME: {"default": provider, "available": [provider]}})


TABLE: Table = {
    f"{PREFIX}/providers": {"GET": list_providers},
    SESSIONS: {"POST": start_session, "GET": list_sessions},
    f"{SESSIONS}/{{session_id}}": {"GET": get_session, "DELETE": end_session},
    f"{SESSIONS}/{{session_id}}/execute": {"POST": execute},
    f"{SESSIONS}/{{session_id}}/history": {"GET": get_history},
    f"{SESSIONS}/{{session_id}}/files": {"POST": upload_file},
    f"{SESSIONS}/{{session_id}}/files/{{filename:path}}": {"GET": download_file},
}
