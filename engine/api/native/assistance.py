"""The native dialect: completion, inspection, and whether a cell is whole."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.api.http.errors import json_response
from engine.api.http.requests import CompleteBody, InspectBody, IsCompleteBody, engine_of, read_body


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
