"""The native dialect: branches of contexts, their checkpoints, and the return to them."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from engine.api.http.errors import json_response
from engine.api.http.requests import CheckpointBody, ForkBody, RestoreBody, engine_of, read_body
from engine.models import CheckpointInfo


class CheckpointList(msgspec.Struct):
    items: list[CheckpointInfo]


async def fork_context(request: Request) -> Response:
    body = await read_body(request, ForkBody, optional=True)
    info = await engine_of(request).branching.fork(
        _context_id(request),
        language=_language(request, body.language),
        new_id=body.context_id,
        checkpoint=body.checkpoint,
        force=bool(body.force),
    )
    return json_response(info, 201, {"Location": f"/contexts/{info.id}"})


async def create_checkpoint(request: Request) -> Response:
    body = await read_body(request, CheckpointBody, optional=True)
    info = await engine_of(request).branching.keep(
        _context_id(request), language=_language(request, body.language), name=body.name, force=bool(body.force)
    )
    return json_response(info, 201)


async def list_checkpoints(request: Request) -> Response:
    items = await engine_of(request).branching.list(_context_id(request), _language(request))
    return json_response(CheckpointList(items))


async def restore_context(request: Request) -> Response:
    body = await read_body(request, RestoreBody)
    context = await engine_of(request).branching.restore(_context_id(request), body.checkpoint)
    return json_response(context.info())


async def delete_checkpoint(request: Request) -> Response:
    engine_of(request).branching.remove(_context_id(request), request.path_params["checkpoint"])
    return Response(status_code=204)


def _context_id(request: Request) -> str:
    context_id: str = request.path_params["context_id"]
    return context_id


def _language(request: Request, named: str | None = None) -> str | None:
    """The name of the language that the body, or else the query, asks for. Raises UnknownLanguage."""
    language = named if named is not None else request.query_params.get("language")
    return None if language is None else engine_of(request).check_language(language).name
