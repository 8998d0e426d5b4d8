"""The native dialect: executions, as results, as events and as a script's output."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp

from engine.api.http.errors import Problem, headers_of, json_response
from engine.api.http.openapi import Answer, Operation, Parameter
from engine.api.http.requests import engine_of, read_body, whole_number
from engine.api.http.results import events_response, result_response
from engine.api.http.streaming import (
    PING_INTERVAL,
    SSE,
    Disconnect,
    EventStream,
    wanted_stream,
)
from engine.api.native.answers import BAD_QUERY, BUSY, ENDING, NO_CONTEXT, NO_ROOM, STREAMS
from engine.api.native.bodies import ExecuteBody, InputBody
from engine.contexts import Execution
from engine.core import Engine
from engine.errors import NotFound, TooManyOpenFiles
from engine.models import AnyEvent, Failed, Result, Status, Stderr, Stdout, encode
from engine.options import DESCRIPTIONS
from engine.output import EngineError, EngineFailed

_NO_EXECUTION = Answer("The execution does not exist, or is no longer kept", Problem)
_NO_OPTION = Answer("The language does not support `variables`, `checkpoint` or `on_error`", Problem)
_AFTER = Parameter(
    "after", "query", "Only events with a higher number.", {"type": "integer", "minimum": 0, "maximum": 10**15}
)
_LAST_EVENT_ID = Parameter(
    "Last-Event-ID",
    "header",
    "Same as `after`. Browsers send it when they reconnect.",
    {"type": "string", "pattern": "^[0-9]{1,15}$"},
)
_PREFER = Parameter("Prefer", "header", "`respond-async` returns 202 at once.", {"type": "string"})
_KEY = Parameter("Idempotency-Key", "header", DESCRIPTIONS["idempotency_key"], {"type": "string"})


class ExecutionState(msgspec.Struct):
    """The short form of an execution."""

    execution_id: str
    status: Status


class EventPage(msgspec.Struct):
    """Events of an execution; each also carries its number as `id`. `last` is the number to ask for more after."""

    events: list[AnyEvent]
    last: int
    finished: bool


_NOT_RUN = {"ContextBusy": 409, "KernelStartFailed": 500, "InternalError": 500, "StorageFull": 507}
"""Statuses of executions that could not be run, by the names of the engine's errors."""


async def execute(request: Request) -> ASGIApp:
    body = await read_body(request, ExecuteBody)
    engine = engine_of(request)
    headers = request.headers
    stream = wanted_stream(headers.get("accept", ""))
    detached = "respond-async" in headers.get("prefer", "")
    after = _last_event_id(request)
    options = body.options(interactive=bool(stream) or detached, idempotency_key=headers.get("idempotency-key"))
    warnings = body.drop_unknown()
    execution = await engine.execute(body.code, language=body.language, context_id=body.context_id, options=options)
    if warnings and not execution.is_finished:
        execution.warnings = warnings
    if detached:
        return await result_response(
            execution, 202, {"Location": f"/executions/{execution.id}", "Preference-Applied": "respond-async"}
        )
    interrupts = body.on_disconnect == "interrupt"
    if stream:
        return EventStream(
            execution,
            stream,
            after=after,
            on_disconnect=(lambda: _interrupt(engine, execution)) if interrupts else None,
        )
    if interrupts:
        async with Disconnect(request.receive, lambda: _interrupt(engine, execution)):
            await execution.wait()
    else:
        await execution.wait()
    error = execution.error
    failed = error.name if isinstance(error, EngineError) else ""
    if failed == TooManyOpenFiles.__name__:
        return await result_response(execution, 429, headers_of(TooManyOpenFiles()))
    return await result_response(execution, _NOT_RUN.get(failed, 200))


async def _interrupt(engine: Engine, execution: Execution) -> None:
    with contextlib.suppress(NotFound):  # its context was deleted, and the execution with it
        await engine.interrupt(execution.id)


def _last_event_id(request: Request) -> int:
    return whole_number(request.headers.get("last-event-id", "0"), "Last-Event-ID")


async def get_execution(request: Request) -> Response:
    return await result_response(engine_of(request).executions.get(request.path_params["execution_id"]))


async def get_events(request: Request) -> ASGIApp:
    execution = engine_of(request).executions.get(request.path_params["execution_id"])
    after = max(whole_number(request.query_params.get("after", "0"), "after"), _last_event_id(request))
    stream = wanted_stream(request.headers.get("accept", ""))
    if stream == SSE and execution.journal.closed and after >= execution.journal.last:
        return Response(status_code=204)
    if stream:
        return EventStream(execution, stream, after=after)
    return await events_response(execution, after)


async def interrupt_execution(request: Request) -> Response:
    execution = await engine_of(request).interrupt(request.path_params["execution_id"])
    return json_response(ExecutionState(execution.id, execution.status))


async def provide_input(request: Request) -> Response:
    body = await read_body(request, InputBody)
    engine_of(request).executions.get(request.path_params["execution_id"]).provide_input(body.value)
    return Response(status_code=204)


async def execute_async(request: Request) -> Response:
    """The compatible API's stream of stdout, stderr, error and exit; without a context_id nothing is kept afterwards."""
    body = await read_body(request, ExecuteBody)
    engine = engine_of(request)
    execution = await engine.execute(
        body.code, language=body.language, context_id=body.context_id, options=body.options()
    )
    return StreamingResponse(
        _script_events(engine, execution, fresh=body.context_id is None),
        media_type=SSE,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _script_events(engine: Engine, execution: Execution, *, fresh: bool) -> AsyncIterator[bytes]:
    """0 stdout, 1 stderr, 2 exit (with `code`), 3 error; a timeout is the error "timeout"."""
    try:
        async for entry in execution.follow(ping=PING_INTERVAL):
            match entry:
                case None:
                    yield b": ping\n\n"
                case (_, Stdout(text=text)):
                    yield _script_event({"type": 0, "data": text})
                case (_, Stderr(text=text)):
                    yield _script_event({"type": 1, "data": text})
                case (_, EngineFailed(name="TimeoutError")):
                    yield _script_event({"type": 3, "data": "timeout"})
                case (_, Failed(traceback=traceback)):
                    yield _script_event({"type": 3, "data": traceback})
        if execution.notice:
            yield _script_event({"type": 1, "data": execution.notice})
        yield _script_event({"type": 2, "code": 0 if execution.status == "ok" else 1})
    finally:
        if fresh:
            with contextlib.suppress(NotFound):  # its context was deleted, and the execution with it
                await engine.delete_context(execution.context_id)


def _script_event(event: dict[str, Any]) -> bytes:
    return b"data: " + encode(event) + b"\n\n"


OPERATIONS: list[Operation] = [
    Operation(
        "POST",
        "/execute",
        execute,
        "Run code and return its result, or stream its events",
        "executions",
        {
            200: Answer("The execution has ended, even if the code failed", Result, STREAMS),
            202: Answer("The execution was accepted (Prefer: respond-async)", Result, headers=("Location",)),
            404: NO_CONTEXT,
            409: Answer("The code waited too long behind a websocket cell without a timeout. See `error`.", Result),
            410: Answer("The Idempotency-Key was used before, and its result is no longer kept", Problem),
            422: Answer("The Idempotency-Key was used for another request", Problem),
            429: BUSY,
            500: Answer("The kernel could not be started. See `error`.", Result),
            501: _NO_OPTION,
            503: ENDING,
            507: Answer("There is no room for the context's files, or its kernel. See `error`.", Result),
        },
        body=ExecuteBody,
        parameters=(_PREFER, _KEY),
    ),
    Operation(
        "POST",
        "/execute/async",
        execute_async,
        "Run code as a script and stream its output, in the shape of the compatible API",
        "executions",
        {
            200: Answer('Lines `data: {"type": 0|1|2|3, ...}`', media_types=(SSE,)),
            429: BUSY,
            501: _NO_OPTION,
            503: ENDING,
            507: NO_ROOM,
        },
        body=ExecuteBody,
    ),
    Operation(
        "GET",
        "/executions/{execution_id}",
        get_execution,
        "Get an execution with its result so far",
        "executions",
        {200: Answer("The execution", Result), 404: _NO_EXECUTION},
    ),
    Operation(
        "GET",
        "/executions/{execution_id}/events",
        get_events,
        "List or stream the events of an execution",
        "executions",
        {
            200: Answer("The events", EventPage, STREAMS),
            204: Answer("The client has read `done`. An EventSource of a browser then stops."),
            400: BAD_QUERY,
            404: _NO_EXECUTION,
        },
        parameters=(_AFTER, _LAST_EVENT_ID),
    ),
    Operation(
        "POST",
        "/executions/{execution_id}/interrupt",
        interrupt_execution,
        "Stop a running or waiting execution and keep the state",
        "executions",
        {200: Answer("The status of the execution", ExecutionState), 404: _NO_EXECUTION},
    ),
    Operation(
        "POST",
        "/executions/{execution_id}/input",
        provide_input,
        "Answer an input request",
        "executions",
        {
            204: Answer("The code has the line"),
            404: _NO_EXECUTION,
            409: Answer("The execution does not wait for input", Problem),
        },
        body=InputBody,
    ),
]
