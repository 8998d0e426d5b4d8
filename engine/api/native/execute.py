"""The native dialect: executions, as results, as events and as a script's output."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp

from engine.api.http.errors import json_response
from engine.api.http.requests import ExecuteBody, InputBody, engine_of, read_body, whole_number
from engine.api.http.streaming import (
    PING_INTERVAL,
    SSE,
    Disconnect,
    EventStream,
    encode_event,
    encode_result,
    wanted_stream,
)
from engine.contexts.execution import Execution
from engine.core import Engine
from engine.errors import ContextNotFound
from engine.models import AnyEvent, Failed, Status, Stderr, Stdout
from engine.output.engine_errors import EngineError, EngineFailed


class ExecutionState(msgspec.Struct):
    """The short form of an execution."""

    execution_id: str
    status: Status


class EventPage(msgspec.Struct):
    """Events of an execution; each also carries its number as `id`. `last` is the number to ask for more after."""

    events: list[AnyEvent]
    last: int
    finished: bool


async def execute(request: Request) -> ASGIApp:
    body = await read_body(request, ExecuteBody)
    engine = engine_of(request)
    headers = request.headers
    stream = wanted_stream(headers.get("accept", ""))
    detached = "respond-async" in headers.get("prefer", "")
    after = _last_event_id(request)
    execution = await _start(
        engine, body, interactive=bool(stream) or detached, idempotency_key=headers.get("idempotency-key")
    )
    if detached:
        return _result_response(
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
    failed_to_start = isinstance(error, EngineError) and error.name in ("KernelStartFailed", "InternalError")
    return _result_response(execution, 500 if failed_to_start else 200)


async def _start(
    engine: Engine, body: ExecuteBody, *, interactive: bool = False, idempotency_key: str | None = None
) -> Execution:
    return await engine.execute(
        body.code,
        language=body.language,
        context_id=body.context_id,
        env_vars=body.env_vars,
        timeout=None if body.timeout_ms is None else min(body.timeout_ms, 10**15) / 1000,
        stdin=body.stdin,
        interactive=interactive,
        variables=bool(body.variables),
        checkpoint=bool(body.checkpoint),
        rolls_back=body.on_error == "rollback",
        data=bool(body.data),
        files=body.files,
        idempotency_key=idempotency_key,
    )


async def _interrupt(engine: Engine, execution: Execution) -> None:
    with contextlib.suppress(ContextNotFound):
        await engine.interrupt(execution.id)


def _result_response(execution: Execution, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(encode_result(execution.result(), execution.size), status, headers, "application/json")


def _last_event_id(request: Request) -> int:
    return whole_number(request.headers.get("last-event-id", "0"), "Last-Event-ID")


async def get_execution(request: Request) -> Response:
    return _result_response(engine_of(request).executions.get(request.path_params["execution_id"]))


async def get_events(request: Request) -> ASGIApp:
    execution = engine_of(request).executions.get(request.path_params["execution_id"])
    after = max(whole_number(request.query_params.get("after", "0"), "after"), _last_event_id(request))
    stream = wanted_stream(request.headers.get("accept", ""))
    if stream:
        return EventStream(execution, stream, after=after)
    events = [msgspec.Raw(encode_event(number, event)) for number, event in execution.journal.read(after)]
    return json_response({"events": events, "last": execution.journal.last, "finished": execution.is_finished})


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
    execution = await _start(engine, body)
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
        yield _script_event({"type": 2, "code": 0 if execution.status == "ok" else 1})
    finally:
        if fresh:
            with contextlib.suppress(ContextNotFound):
                await engine.delete_context(execution.context_id)


def _script_event(event: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(event) + b"\n\n"
