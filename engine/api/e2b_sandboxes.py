"""The E2B dialect's sandboxes (layer 8): as much of E2B's own API as its SDKs need to get one, with a token, and to end it.

A sandbox is made of its contexts: it is there while it has one."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.api.detail import read_checked
from engine.api.errors import status_of
from engine.api.requests import engine_of
from engine.api.tables import Table, routes
from engine.checks import check_env_vars
from engine.context import Context
from engine.core import Engine
from engine.errors import InvalidRequest, PolyreplError

LABEL = "e2b.sandbox"  # of contexts: the sandbox that they belong to
DEFAULT_CWD = "/home/user"
_ENVD_VERSION = "0.1.0"  # the least that the SDKs accept; there is no such service here
_ID_CHARACTERS = 20


class SandboxBody(BaseModel):
    """A sandbox to make; what else the SDKs send is about machines, and means nothing here."""

    templateID: str | None = None  # noqa: N815 - as it is on the wire
    envVars: dict[str, str] | None = None  # noqa: N815


def render(error: PolyreplError) -> Response:
    """An error of the core in the shape of this part of the API."""
    status, message = status_of(error), error.message
    if isinstance(error, InvalidRequest):
        message = (
            "; ".join(f"{wrong.field.replace('env_vars', 'envVars')}: {wrong.error}" for wrong in error.errors)
            or message
        )
    return _problem(status, message)


def _problem(status: int, message: str) -> Response:
    return JSONResponse({"code": status, "message": message}, status)


def contexts_of(engine: Engine, sandbox_id: str) -> list[Context]:
    """The default contexts of a sandbox, and those that were made in it."""
    return [each for each in engine.contexts if sandbox_id in (each.id, each.labels.get(LABEL))]


def _described(engine: Engine, sandbox_id: str) -> dict[str, Any]:
    token = engine.settings.secret
    access = {"envdAccessToken": token, "trafficAccessToken": token} if token else {}
    return {
        "sandboxID": sandbox_id,
        "templateID": "code-interpreter-v1",
        "clientID": "polyrepl",
        "envdVersion": _ENVD_VERSION,
        **access,
    }


async def create_sandbox(request: Request) -> Response:
    body = await read_checked(request, SandboxBody)
    engine, sandbox_id = engine_of(request), uuid.uuid4().hex[:_ID_CHARACTERS]
    env = check_env_vars(body.envVars)
    context = await engine.create_context(context_id=sandbox_id, cwd=DEFAULT_CWD, env=env)
    context.labels[LABEL] = sandbox_id
    return JSONResponse(_described(engine, sandbox_id), 201)


async def connect_sandbox(request: Request) -> Response:
    engine, sandbox_id = engine_of(request), request.path_params["sandbox_id"]
    if not contexts_of(engine, sandbox_id):
        return _missing(sandbox_id)
    return JSONResponse(_described(engine, sandbox_id))


async def kill_sandbox(request: Request) -> Response:
    engine, sandbox_id = engine_of(request), request.path_params["sandbox_id"]
    contexts = contexts_of(engine, sandbox_id)
    if not contexts:
        return _missing(sandbox_id)
    await asyncio.wait(
        [engine.contexts.end(context, "was killed with its sandbox", asked_for=True) for context in contexts]
    )
    return Response(status_code=204)


def _missing(sandbox_id: str) -> Response:
    return _problem(404, f"Sandbox {sandbox_id} not found: it was killed, or its contexts were idle for too long")


TABLE: Table = {
    "/sandboxes": {"POST": create_sandbox},
    "/v2/sandboxes": {"POST": create_sandbox},
    "/sandboxes/{sandbox_id}": {"DELETE": kill_sandbox},
    "/sandboxes/{sandbox_id}/connect": {"POST": connect_sandbox},
    "/v2/sandboxes/{sandbox_id}/connect": {"POST": connect_sandbox},
}
ROUTES = routes(TABLE, render)
