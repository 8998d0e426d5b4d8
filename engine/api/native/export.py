"""The native dialect: the executions of a context as a notebook, a script or a page, written piece by piece while it is sent."""

from __future__ import annotations

from collections import Counter
from functools import partial

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.api.http.downloads import disposition
from engine.api.http.large import PIECE, Reading
from engine.api.http.openapi import Answer, Operation, Parameter
from engine.api.http.parsing import beside_loop
from engine.api.http.peers import peer_of
from engine.api.http.requests import engine_of
from engine.api.http.streaming import Disconnect
from engine.api.native.answers import BAD_QUERY, LANGUAGE, NO_CONTEXT
from engine.contexts import Execution
from engine.contexts.notebooks import FORMATS, Format, Origin, snapshot, writer
from engine.core import Engine
from engine.errors import ContextNotFound, FieldError, InvalidRequest

_FORMAT = Parameter(
    "format",
    "query",
    "The kind of file: a notebook (default), a Python script, a TypeScript script, or a page that runs nothing.",
    {"type": "string", "enum": list(FORMATS), "default": "ipynb"},
)


async def export_context(request: Request) -> ASGIApp:
    engine, context_id = engine_of(request), request.path_params["context_id"]
    kind = FORMATS.get(request.query_params.get("format", "ipynb"))
    if kind is None:
        raise InvalidRequest(FieldError("format", f"must be one of {', '.join(FORMATS)}"))
    language = engine.capabilities.name_of(request.query_params.get("language"))
    if language is not None and kind.languages is not None and language not in kind.languages:
        raise InvalidRequest(FieldError("language", f"a {kind.name} file has no {language} cells"))
    executions = [each for each in engine.executions.of_context(context_id) if language in (None, each.language)]
    return _Export(engine, kind, _origin(engine, context_id, language, executions), executions)


def _origin(engine: Engine, context_id: str, language: str | None, executions: list[Execution]) -> Origin:
    """What is exported. Raises ContextNotFound where there is no such context, and nothing is kept of an earlier one."""
    contexts = [each for each in engine.contexts if each.id == context_id and language in (None, each.language.name)]
    gone = {name: n for name, n in engine.executions.gone_of(context_id).items() if language in (None, name)}
    if not (contexts or executions or gone):
        raise ContextNotFound(context_id)
    languages = [name for name, _ in Counter(each.language for each in executions).most_common()]
    return Origin(
        context_id=context_id,
        languages=tuple(languages or [each.language.name for each in contexts]),
        gone=gone,
        elsewhere={each.language.name: each.observers.cells for each in contexts if each.observers.cells},
    )


class _Export:
    """An ASGI response. It keeps no execution that the engine lets go of: what is gone when its turn comes is said to be gone."""

    def __init__(self, engine: Engine, kind: Format, origin: Origin, executions: list[Execution]) -> None:
        self._engine = engine
        self._kind = kind
        self._origin = origin
        self._ids = [each.id for each in executions]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {
            "content-type": self._kind.media_type,
            "content-disposition": disposition(f"{self._origin.context_id}.{self._kind.name}"),
            "cache-control": "no-store",
            # A page of outputs must not become a page of this origin.
            "x-content-type-options": "nosniff",
            "content-security-policy": "sandbox",
        }
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        if scope["method"] != "HEAD":
            async with Disconnect(receive) as disconnect:
                await self._send_all(scope, send, disconnect)
            if disconnect.happened:
                return
        await send({"type": "http.response.body", "body": b""})

    async def _send_all(self, scope: Scope, send: Send, disconnect: Disconnect) -> None:
        peer, written = peer_of(scope), writer(self._kind, self._origin)
        await send({"type": "http.response.body", "body": written.begin(), "more_body": True})
        for number, execution_id in enumerate(self._ids, 1):
            found = self._engine.executions.find(execution_id)
            if found is None:
                piece = written.gone(number)
            else:
                piece = await beside_loop(partial(written.cell, snapshot(found)))
                del found
            with Reading(peer, piece) as reading:
                for start in range(0, len(piece), PIECE):
                    if disconnect.happened:
                        return
                    part = memoryview(piece)[start : start + PIECE]
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                    reading.note_progress()
        await send({"type": "http.response.body", "body": written.end(), "more_body": True})


OPERATIONS: list[Operation] = [
    Operation(
        "GET",
        "/contexts/{context_id}/export",
        export_context,
        "Export the executions of a context that are kept",
        "contexts",
        {
            200: Answer(
                "The file",
                media_types=tuple(each.media_type.partition(";")[0] for each in FORMATS.values()),
                headers=("Content-Disposition",),
            ),
            400: BAD_QUERY,
            404: NO_CONTEXT,
        },
        parameters=(_FORMAT, LANGUAGE),
    ),
]
