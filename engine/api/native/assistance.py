"""The native dialect: completion, inspection, and whether a cell is whole."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.api.http.errors import json_response
from engine.api.http.openapi import Answer, Operation
from engine.api.http.requests import engine_of, read_body
from engine.api.native.answers import CELL_RUNS, KERNEL_FAILED, NO_CONTEXT, NOT_SUPPORTED
from engine.api.native.bodies import CompleteBody, InspectBody, IsCompleteBody
from engine.models import Completeness, Completions, Inspection


async def complete(request: Request) -> Response:
    body = await read_body(request, CompleteBody)
    assistance = engine_of(request).assistance
    return json_response(
        await assistance.complete(_context_id(request), body.code, cursor=body.cursor, language=body.language)
    )


async def inspect(request: Request) -> Response:
    body = await read_body(request, InspectBody)
    assistance = engine_of(request).assistance
    found = await assistance.inspect(
        _context_id(request), body.code, cursor=body.cursor, detail=bool(body.detail), language=body.language
    )
    return json_response(found)


async def is_complete(request: Request) -> Response:
    body = await read_body(request, IsCompleteBody)
    assistance = engine_of(request).assistance
    return json_response(await assistance.is_complete(_context_id(request), body.code, language=body.language))


def _context_id(request: Request) -> str:
    context_id: str = request.path_params["context_id"]
    return context_id


OPERATIONS: list[Operation] = [
    Operation(
        "POST",
        f"/contexts/{{context_id}}/{endpoint.__name__}",
        endpoint,
        summary,
        "assistance",
        {
            200: Answer("The kernel's answer. Empty while no kernel runs", model),
            404: NO_CONTEXT,
            409: CELL_RUNS,
            500: KERNEL_FAILED,
            501: NOT_SUPPORTED,
        },
        body=body,
    )
    for endpoint, summary, body, model in (
        (complete, "Complete code at a position", CompleteBody, Completions),
        (inspect, "Describe the name at a position in code", InspectBody, Inspection),
        (is_complete, "Check whether code is complete", IsCompleteBody, Completeness),
    )
]
