"""The native dialect: contexts and languages."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from engine.api.http.errors import json_response
from engine.api.http.requests import ContextBody, engine_of, read_body
from engine.contexts.context import Context
from engine.models import ContextInfo, LanguageInfo


class ContextList(msgspec.Struct):
    items: list[ContextInfo]


class LanguageList(msgspec.Struct):
    items: list[LanguageInfo]


class Interrupted(msgspec.Struct):
    """The executions that were asked to stop."""

    executions: list[str]


async def create_context(request: Request) -> Response:
    body = await read_body(request, ContextBody, optional=True)
    context = await engine_of(request).create_context(language=body.language, context_id=body.context_id, cwd=body.cwd)
    return json_response(context.info(), 201, {"Location": f"/contexts/{context.id}"})


async def list_contexts(request: Request) -> Response:
    return json_response(ContextList([context.info() for context in engine_of(request).contexts]))


async def get_context(request: Request) -> Response:
    return json_response(_found(request)[0].info())


async def delete_context(request: Request) -> Response:
    await engine_of(request).delete_context(request.path_params["context_id"], request.query_params.get("language"))
    return Response(status_code=204)


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
    language = request.query_params.get("language")
    name = engine.check_language(language).name if language is not None else None
    return engine.contexts.get(request.path_params["context_id"], name)


async def list_languages(request: Request) -> Response:
    infos = await asyncio.to_thread(engine_of(request).capabilities.infos)
    return json_response(LanguageList(infos))
