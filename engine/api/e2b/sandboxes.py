"""The E2B dialect's sandboxes: as much of E2B's own API as its SDKs need to get one, with a token, and to end it.

A sandbox is made of its contexts: it is there while it has one. What else the SDKs call is said not to be here."""

from __future__ import annotations

import asyncio
import json
import re
import struct
import uuid
from typing import Annotated, Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.api.http.detail import read_checked
from engine.api.http.errors import status_of
from engine.api.http.requests import FewEntries, engine_of
from engine.api.http.tables import Table
from engine.contexts import DELETED, Context
from engine.core import Engine
from engine.errors import ContextNotFound, InvalidRequest, PolyreplError
from engine.validation import check_env_vars

LABEL = "e2b.sandbox"  # of contexts: the sandbox that they belong to
DEFAULT_CWD = "/home/user"
_ENVD_VERSION = "0.1.0"  # the least that the SDKs accept; there is no such service here
_WHY_GONE = "it was killed, or its contexts were idle for too long"
_SERVED = "of E2B there are run_code, contexts, and create, connect and kill of sandboxes"
_ID_CHARACTERS = 20
_CONNECT_END = 2  # the flag of a stream's last frame
_OWN_ID = re.compile(rf"[0-9a-f]{{{_ID_CHARACTERS}}}")
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
# Of E2B's API, and of the service in its sandboxes that has files and processes.
_CONTROL = ("sandboxes", "v2/sandboxes", "templates", "v2/templates", "v3/templates", "snapshots", "volumes")
_ENVD = ("files", "filesystem.Filesystem", "process.Process")


class SandboxBody(BaseModel):
    """A sandbox to make; what else the SDKs send is about machines, and means nothing here."""

    templateID: str | None = None  # noqa: N815 - as it is on the wire
    envVars: Annotated[dict[str, str], FewEntries] | None = None  # noqa: N815


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


def is_gone(engine: Engine, sandbox_id: str) -> bool:
    """Whether a sandbox that was made here is there no more. Others begin with the first call, and again when they have ended."""
    if not (engine.is_ready and _OWN_ID.fullmatch(sandbox_id)) or contexts_of(engine, sandbox_id):
        return False
    try:
        engine.contexts.get(sandbox_id)
    except ContextNotFound as error:
        return error.ended != DELETED  # its user may remove every context, and go on
    return False


def gone(sandbox_id: str) -> Response:
    """What E2B's proxy answers for a sandbox that is not there."""
    body = {"sandboxId": sandbox_id, "message": f"The sandbox was not found: {_WHY_GONE}", "code": 502}
    return JSONResponse(body, 502)


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
    await engine.create_context(context_id=sandbox_id, cwd=DEFAULT_CWD, env=env, labels={LABEL: sandbox_id})
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
    return _problem(404, f"Sandbox {sandbox_id} not found: {_WHY_GONE}")


async def refuse_call(request: Request) -> Response:
    return _problem(501, f"{request.method} {request.url.path} is not served here: {_SERVED}")


async def refuse_envd(request: Request) -> Response:
    """As Connect has errors, which the SDKs speak with that service: of a stream in its last frame."""
    error = {"code": "unimplemented", "message": f"files, commands and pty are not served here: {_SERVED}"}
    media_type = request.headers.get("content-type", "")
    if media_type.startswith("application/connect+"):
        frame = json.dumps({"error": error}).encode()
        return Response(struct.pack(">BI", _CONNECT_END, len(frame)) + frame, media_type=media_type)
    return JSONResponse(error, 501)


TABLE: Table = {
    "/sandboxes": {"POST": create_sandbox},
    "/v2/sandboxes": {"POST": create_sandbox},
    "/sandboxes/{sandbox_id}": {"DELETE": kill_sandbox},
    "/sandboxes/{sandbox_id}/connect": {"POST": connect_sandbox},
    "/v2/sandboxes/{sandbox_id}/connect": {"POST": connect_sandbox},
}
REFUSED = [
    Route(path, refuse, methods=_METHODS)
    for names, refuse in ((_CONTROL, refuse_call), (_ENVD, refuse_envd))
    for name in names
    for path in (f"/{name}", f"/{name}/{{rest:path}}")
]
