"""The native dialect: contexts and languages."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from engine.api.http.errors import json_response
from engine.api.http.openapi import Answer, Operation
from engine.api.http.requests import engine_of, read_body
from engine.api.native.answers import BAD_QUERY, BUSY, ENDED, ENDING, KERNEL_NOT_STARTED, LANGUAGE, NO_CONTEXT, NO_ROOM
from engine.api.native.bodies import ContextBody
from engine.contexts import Context
from engine.models import ContextInfo, LanguageInfo


class ContextList(msgspec.Struct):
    items: list[ContextInfo]


class LanguageList(msgspec.Struct):
    items: list[LanguageInfo]


class Interrupted(msgspec.Struct):
    """The executions that were asked to stop."""

    executions: list[str]


class FilesLeft(msgspec.Struct):
    """The context has ended, and some of its files could not be removed yet."""

    message: str


async def create_context(request: Request) -> Response:
    body = await read_body(request, ContextBody, optional=True)
    context = await engine_of(request).create_context(
        language=body.language,
        context_id=body.context_id,
        cwd=body.cwd,
        isolation=body.isolation,
        network=body.network,
        limits=body.limits,
    )
    info = context.info()
    info.warnings = body.drop_unknown() or UNSET
    return json_response(info, 201, {"Location": f"/contexts/{context.id}"})


async def list_contexts(request: Request) -> Response:
    return json_response(ContextList([context.info() for context in engine_of(request).contexts]))


async def get_context(request: Request) -> Response:
    return json_response(_found(request)[0].info())


async def delete_context(request: Request) -> Response:
    context_id = request.path_params["context_id"]
    is_gone = await engine_of(request).delete_context(context_id, request.query_params.get("language"))
    if is_gone:
        return Response(status_code=204)
    message = f"Context {context_id!r} has ended. Some of its files are left; their removal is tried again"
    return json_response(FilesLeft(message), 202)


async def restart_context(request: Request) -> Response:
    contexts = _found(request)
    await asyncio.gather(*(context.restart() for context in contexts))
    return json_response(contexts[0].info())


async def interrupt_context(request: Request) -> Response:
    running = [(context, context.current) for context in _found(request)]
    stopped = []
    for context, execution in running:
        if execution is not None:
            await context.interrupt(execution)
            stopped.append(execution.id)
        else:
            await context.interrupt()
    return json_response(Interrupted(stopped))


def _found(request: Request) -> list[Context]:
    """The contexts of the id in the path, of all its languages or of the one in the query."""
    engine = engine_of(request)
    name = engine.capabilities.name_of(request.query_params.get("language"))
    return engine.contexts.get(request.path_params["context_id"], name)


async def list_languages(request: Request) -> Response:
    infos = await asyncio.to_thread(engine_of(request).capabilities.infos)
    return json_response(LanguageList(infos))


OPERATIONS: list[Operation] = [
    Operation(
        "POST",
        "/contexts",
        create_context,
        "Create a context and wait for its kernel",
        "contexts",
        {
            201: Answer("The context", ContextInfo, headers=("Location",)),
            409: ENDED,
            429: BUSY,
            500: KERNEL_NOT_STARTED,
            503: ENDING,
            507: NO_ROOM,
        },
        body=ContextBody,
        body_required=False,
    ),
    Operation(
        "GET", "/contexts", list_contexts, "List all contexts", "contexts", {200: Answer("The contexts", ContextList)}
    ),
    Operation(
        "GET",
        "/contexts/{context_id}",
        get_context,
        "Get a context. Of several languages: the oldest",
        "contexts",
        {200: Answer("The context", ContextInfo), 400: BAD_QUERY, 404: NO_CONTEXT},
        parameters=(LANGUAGE,),
    ),
    Operation(
        "DELETE",
        "/contexts/{context_id}",
        delete_context,
        "Delete a context at once, in all its languages or in one",
        "contexts",
        {
            202: Answer("The context has ended. Some of its files could not be removed yet", FilesLeft),
            204: Answer("The context is deleted, with its files"),
            400: BAD_QUERY,
            404: NO_CONTEXT,
        },
        parameters=(LANGUAGE,),
    ),
    Operation(
        "POST",
        "/contexts/{context_id}/restart",
        restart_context,
        "Replace the kernel of a context with a new one",
        "contexts",
        {
            200: Answer("The context", ContextInfo),
            400: BAD_QUERY,
            404: NO_CONTEXT,
            409: ENDED,
            500: KERNEL_NOT_STARTED,
        },
        parameters=(LANGUAGE,),
    ),
    Operation(
        "POST",
        "/contexts/{context_id}/interrupt",
        interrupt_context,
        "Stop the running code of a context and keep the state",
        "contexts",
        {200: Answer("The stopped executions", Interrupted), 400: BAD_QUERY, 404: NO_CONTEXT},
        parameters=(LANGUAGE,),
    ),
]

LANGUAGES: list[Operation] = [
    Operation(
        "GET",
        "/languages",
        list_languages,
        "List the languages with their aliases and availability",
        "languages",
        {200: Answer("The languages", LanguageList)},
    ),
]
