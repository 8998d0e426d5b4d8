"""The gateway dialect: the REST side of Jupyter's Kernel Gateway, as its version 3 answers. The websocket is beside it."""

from __future__ import annotations

import asyncio
from pathlib import PurePosixPath
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from engine.api.gateway import kernels
from engine.api.gateway.sessions import MAX_TEXT, Session, SessionGone, SessionNotFound, Sessions
from engine.api.gateway.state import state_of
from engine.api.gateway.swagger import SWAGGER_JSON, SWAGGER_YAML
from engine.api.http.parsing import parse_json
from engine.api.http.reason import json_answer, refusal
from engine.api.http.requests import engine_of, received
from engine.api.http.tables import Table
from engine.contexts import Context
from engine.errors import ContextNotFound, FieldError, InvalidRequest, KernelStartFailed, UnknownLanguage

VERSION = "2.21.1"  # of the jupyter_server whose API this is


async def _read_object(request: Request) -> dict[str, Any] | None:
    """The body; None where there is none. Raises InvalidRequest."""
    async with received(request, engine_of(request)) as raw:
        if not raw.strip():
            return None
        try:
            body = await parse_json(raw, msgspec.json.decode)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            body = raw
    if body is not None and not isinstance(body, dict):
        raise _invalid("body", "Invalid JSON in body of request")
    return body


async def _read_needed_object(request: Request) -> dict[str, Any]:
    body = await _read_object(request)
    if body is None:
        raise _invalid("body", "No JSON data provided")
    return body


def _invalid(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(FieldError(field, message), message=message)


def _optional_string(body: dict[str, Any], field: str) -> str | None:
    value = body.get(field)
    return None if value is None else _text(field, value) or None


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise _invalid(field, f"{field} must be a string")
    if len(value) > MAX_TEXT:
        raise _invalid(field, f"{field} has {len(value)} characters, and may have {MAX_TEXT}")
    return value


def _may_list(request: Request) -> bool:
    return engine_of(request).settings.list_kernels is not False


async def version(request: Request) -> Response:
    return json_answer({"version": VERSION})


async def status(request: Request) -> Response:
    """What jupyter_server tells of itself. Clients wait for it, to know that the server is up."""
    contexts, state = list(engine_of(request).contexts), state_of(request)
    return json_answer(
        {
            "started": kernels.timestamp(state.started),
            "last_activity": kernels.timestamp(max([state.last_activity, *map(kernels.last_activity_of, contexts)])),
            "connections": sum(len(context.observers) for context in contexts),
            "kernels": len(contexts),
        }
    )


async def list_kernelspecs(request: Request) -> Response:
    engine = engine_of(request)
    found = await asyncio.to_thread(kernels.kernelspecs, engine)
    default = kernels.spec_name(kernels.find_language(engine, None))
    return json_answer({"default": default, "kernelspecs": found})


async def get_kernelspec(request: Request) -> Response:
    engine, name = engine_of(request), request.path_params["name"]
    known = await asyncio.to_thread(kernels.kernelspecs, engine)
    try:
        model = known.get(kernels.spec_name(kernels.named(engine, name)))
    except UnknownLanguage:
        model = None
    return json_answer(model) if model is not None else refusal(404, f"Kernel spec {name} not found")


async def get_resource(request: Request) -> Response:
    name = request.path_params["name"]
    try:
        path = kernels.resource_file(engine_of(request), name, request.path_params["file"])
    except (UnknownLanguage, KernelStartFailed):
        return refusal(404, f"Kernel spec {name} not found")
    return refusal(404) if path is None else FileResponse(path)


async def list_kernels(request: Request) -> Response:
    if not _may_list(request):
        return refusal(403, "Forbidden")
    engine = engine_of(request)
    return json_answer([kernels.kernel_model(engine, context) for context in engine.contexts])


async def start_kernel(request: Request) -> Response:
    engine, body = engine_of(request), await _read_object(request) or {}
    context = await kernels.start_kernel(
        engine,
        state_of(request).seed,
        name=_optional_string(body, "name"),
        env=kernels.check_env(engine, body.get("env")),
        wanted_id=kernels.check_kernel_id(body.get("kernel_id")),
    )
    model = kernels.kernel_model(engine, context)
    return json_answer(model, 201, {"Location": f"/api/kernels/{model['id']}"})


async def get_kernel(request: Request) -> Response:
    engine = engine_of(request)
    return json_answer(kernels.kernel_model(engine, kernels.find_context(engine, request.path_params["kernel_id"])))


async def delete_kernel(request: Request) -> Response:
    engine = engine_of(request)
    context = kernels.find_context(engine, request.path_params["kernel_id"])
    await asyncio.wait({engine.contexts.end(context, "was deleted", asked_for=True)})
    return Response(status_code=204)


async def interrupt_kernel(request: Request) -> Response:
    await kernels.find_context(engine_of(request), request.path_params["kernel_id"]).interrupt()
    return Response(status_code=204)


async def restart_kernel(request: Request) -> Response:
    engine = engine_of(request)
    context = kernels.find_context(engine, request.path_params["kernel_id"])
    await context.restart()
    return json_answer(kernels.kernel_model(engine, context))


async def plain_channels(request: Request) -> Response:
    kernels.find_context(engine_of(request), request.path_params["kernel_id"])
    return refusal(400, 'Can "Upgrade" only to "WebSocket".')


def _sessions(request: Request) -> Sessions:
    return state_of(request).sessions


def _session_model(request: Request, session: Session) -> dict[str, Any]:
    engine = engine_of(request)
    kernels.check_alive(engine, session.context)
    return {
        "id": session.id,
        "path": session.path,
        "name": session.name,
        "type": session.type,
        "kernel": kernels.kernel_model(engine, session.context),
        "notebook": {"path": session.path, "name": session.name},
    }


async def list_sessions(request: Request) -> Response:
    if not _may_list(request):
        return refusal(403, "Forbidden")
    return json_answer([_session_model(request, session) for session in _sessions(request).all()])


async def create_session(request: Request) -> Response:
    body = await _read_needed_object(request)
    notebook = body.get("notebook")
    if isinstance(notebook, dict) and "path" in notebook:  # as clients before Jupyter 5 have it
        body = {**body, "path": notebook["path"], "type": body.get("type") or "notebook"}
    for field in ("path", "type"):
        if body.get(field) is None:
            raise _invalid(field, f"Missing field in JSON data: {field}")
        _text(field, body[field])
    kernel, name = _kernel_object(body), _optional_string(body, "name")
    sessions = _sessions(request)
    session = sessions.find_path(body["path"])
    if session is None:
        try:
            context, is_new = await _context_of(request, kernel, or_new=True)
        except UnknownLanguage as error:
            return _no_such_kernel(error)
        session = sessions.find_path(body["path"])
        if session is None:
            session = Session(body["path"], body["type"], name or PurePosixPath(body["path"]).name, context)
        elif is_new:  # somebody else has begun the same session meanwhile
            await kernels.end_kernel(engine_of(request), context, "was not needed")
    model = _session_model(request, session)  # first: the kernel may be gone already
    sessions.add(session)
    return json_answer(model, 201, {"Location": f"/api/sessions/{session.id}"})


def _kernel_object(body: dict[str, Any]) -> dict[str, Any]:
    kernel = body.get("kernel")
    if kernel is not None and not isinstance(kernel, dict):
        raise _invalid("kernel", "kernel must be an object")
    return kernel or {}


def _no_such_kernel(error: UnknownLanguage) -> Response:
    return json_answer({"message": error.errors[0].error, "short_message": f"{error.language} not found"}, 501)


async def _context_of(request: Request, kernel: dict[str, Any], *, or_new: bool) -> tuple[Context, bool]:
    """The context that a session asks for, by the id or the name of its kernel, and whether it is new.

    `or_new`: a new one, too, where that id is gone."""
    engine = engine_of(request)
    wanted, name = _optional_string(kernel, "id"), _optional_string(kernel, "name")
    try:
        context = None if wanted is None else kernels.find_context(engine, wanted)
    except ContextNotFound:
        if not or_new:
            raise
        context = None
    if context is not None:
        return context, False
    context = await kernels.start_kernel(engine, state_of(request).seed, name=name, env=None, wanted_id=None)
    return context, True


async def get_session(request: Request) -> Response:
    return json_answer(_session_model(request, _sessions(request).get(request.path_params["session_id"])))


async def change_session(request: Request) -> Response:
    session = _sessions(request).get(request.path_params["session_id"])
    body = await _read_needed_object(request)
    notebook = body.get("notebook")
    if isinstance(notebook, dict):
        body = {**body, **{name: notebook[name] for name in ("path", "name") if name in notebook}}
    changes = {name: _optional_string(body, name) for name in ("path", "name", "type")}
    kernel, left = _kernel_object(body), session.context
    if kernel:
        try:
            context, is_new = await _context_of(request, kernel, or_new=False)
        except UnknownLanguage as error:
            return _no_such_kernel(error)
        if session not in _sessions(request).all():  # ended meanwhile
            if is_new:
                await kernels.end_kernel(engine_of(request), context, "was not needed")
            raise SessionGone
        session.context = context
        if left is not context and not any(each.context is left for each in _sessions(request).all()):
            await kernels.end_kernel(engine_of(request), left, "was deleted with its session")
    session.path = changes["path"] or session.path
    session.name = changes["name"] or session.name
    session.type = changes["type"] or session.type
    return json_answer(_session_model(request, session))


async def delete_session(request: Request) -> Response:
    try:
        session = _sessions(request).get(request.path_params["session_id"])
    except SessionNotFound:  # the real server keeps none of them in mind, and says this of all
        raise SessionGone from None
    _sessions(request).remove(session.id)
    await kernels.end_kernel(engine_of(request), session.context, "was deleted with its session")
    return Response(status_code=204)


async def swagger_json(request: Request) -> Response:
    return Response(SWAGGER_JSON, media_type="application/json")


async def swagger_yaml(request: Request) -> Response:
    return Response(SWAGGER_YAML, media_type="text/x-yaml")


async def options(request: Request) -> Response:
    """What a browser asks before it sends: the headers of the setting gateway_headers are its answer."""
    return Response(media_type="application/json")


_PATHS: Table = {
    "/api": {"GET": version},
    "/api/status": {"GET": status},
    "/api/kernelspecs": {"GET": list_kernelspecs},
    "/api/kernelspecs/{name}": {"GET": get_kernelspec},
    "/kernelspecs/{name}/{file}": {"GET": get_resource},
    "/api/kernels": {"GET": list_kernels, "POST": start_kernel},
    "/api/kernels/{kernel_id}": {"GET": get_kernel, "DELETE": delete_kernel},
    "/api/kernels/{kernel_id}/interrupt": {"POST": interrupt_kernel},
    "/api/kernels/{kernel_id}/restart": {"POST": restart_kernel},
    "/api/kernels/{kernel_id}/channels": {"GET": plain_channels},
    "/api/sessions": {"GET": list_sessions, "POST": create_session},
    "/api/sessions/{session_id}": {"GET": get_session, "PATCH": change_session, "DELETE": delete_session},
    "/api/swagger.json": {"GET": swagger_json},
    "/api/swagger.yaml": {"GET": swagger_yaml},
}
TABLE: Table = {path: {**methods, "OPTIONS": options} for path, methods in _PATHS.items()}
