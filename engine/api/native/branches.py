"""The native dialect: branches of contexts, their checkpoints, and the return to them."""

from __future__ import annotations

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from engine.api.http.errors import Problem, json_response
from engine.api.http.openapi import Answer, Operation
from engine.api.http.requests import engine_of, read_body
from engine.api.native.answers import (
    BAD_QUERY,
    BUSY,
    CANNOT_BRANCH,
    ENDING,
    KERNEL_FAILED,
    LANGUAGE,
    NO_CONTEXT,
    NO_ROOM,
    NOT_SUPPORTED,
)
from engine.api.native.bodies import CheckpointBody, ForkBody, RestoreBody
from engine.models import BranchInfo, CheckpointInfo, ContextInfo

_NO_CHECKPOINT = Answer("The context or the checkpoint does not exist", Problem)


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
    info.warnings = body.drop_unknown() or UNSET
    return json_response(info, 201, {"Location": f"/contexts/{info.id}"})


async def create_checkpoint(request: Request) -> Response:
    body = await read_body(request, CheckpointBody, optional=True)
    info = await engine_of(request).branching.keep(
        _context_id(request), language=_language(request, body.language), name=body.name, force=bool(body.force)
    )
    info.warnings = body.drop_unknown() or UNSET
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
    return engine_of(request).capabilities.name_of(language)


_NOT_BRANCHED = {
    404: NO_CONTEXT,
    409: CANNOT_BRANCH,
    429: BUSY,
    500: KERNEL_FAILED,
    501: NOT_SUPPORTED,
    503: ENDING,
    507: NO_ROOM,
}
OPERATIONS: list[Operation] = [
    Operation(
        "POST",
        "/contexts/{context_id}/fork",
        fork_context,
        "Create a context with a copy of the live state of this one",
        "branches",
        {201: Answer("The new context", BranchInfo, headers=("Location",)), **_NOT_BRANCHED},
        body=ForkBody,
        body_required=False,
        parameters=(LANGUAGE,),
    ),
    Operation(
        "POST",
        "/contexts/{context_id}/checkpoints",
        create_checkpoint,
        "Keep the current state of a context and its files",
        "branches",
        {201: Answer("The checkpoint", CheckpointInfo), **_NOT_BRANCHED},
        body=CheckpointBody,
        body_required=False,
        parameters=(LANGUAGE,),
    ),
    Operation(
        "GET",
        "/contexts/{context_id}/checkpoints",
        list_checkpoints,
        "List the checkpoints of a context, oldest first",
        "branches",
        {200: Answer("The checkpoints", CheckpointList), 400: BAD_QUERY, 404: NO_CONTEXT},
        parameters=(LANGUAGE,),
    ),
    Operation(
        "DELETE",
        "/contexts/{context_id}/checkpoints/{checkpoint}",
        delete_checkpoint,
        "Delete a checkpoint",
        "branches",
        {204: Answer("The checkpoint is deleted"), 404: _NO_CHECKPOINT},
    ),
    Operation(
        "POST",
        "/contexts/{context_id}/restore",
        restore_context,
        "Return a context to one of its checkpoints, which stays usable",
        "branches",
        {
            200: Answer("The context", ContextInfo),
            404: _NO_CHECKPOINT,
            409: CANNOT_BRANCH,
            429: BUSY,
            500: Answer("The checkpoint could not be restored", Problem),
            503: ENDING,
            507: NO_ROOM,
        },
        body=RestoreBody,
    ),
]
