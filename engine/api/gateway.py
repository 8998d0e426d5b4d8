"""The gateway dialect (layer 8): the REST side of Jupyter's Kernel Gateway, as its version 3 answers. The websocket is beside it."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable
from pathlib import PurePosixPath
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from engine.api import gateway_kernels as kernels
from engine.api.gateway_errors import json_answer, refusal, render
from engine.api.gateway_socket import channels
from engine.api.gateway_swagger import SWAGGER_JSON, SWAGGER_YAML
from engine.api.requests import engine_of, read_bytes
from engine.errors import ContextNotFound, FieldError, InvalidRequest, PolyreplError, UnknownLanguage
from engine.sessions import Session, Sessions

VERSION = "2.21.1"  # of the jupyter_server whose API this is
Endpoint = Callable[[Request], Awaitable[Response]]


def _answering(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with errors in this dialect's words."""

    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except PolyreplError as error:
            return render(error)

    return answer


async def _read_object(request: Request) -> dict[str, Any]:
    raw = await read_bytes(request)
    if not raw.strip():
        return {}
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise _invalid("body", "Invalid JSON in body of request")
    return body


def _invalid(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(FieldError(field, message), message=message)


def _optional_string(body: dict[str, Any], field: str) -> str | None:
    value = body.get(field)
    if value is not None and not isinstance(value, str):
        raise _invalid(field, f"{field} must be a string")
    return value or None


def _may_list(request: Request) -> bool:
    """As the setting says; where it says nothing: wherever GET /contexts tells the same."""
    settings = engine_of(request).settings
    return "native" in settings.surfaces if settings.list_kernels is None else settings.list_kernels


async def version(request: Request) -> Response:
    return json_answer({"version": VERSION})


async def list_kernelspecs(request: Request) -> Response:
    engine = engine_of(request)
    found = await asyncio.to_thread(kernels.kernelspecs, engine)
    default = kernels.spec_name(kernels.find_language(engine, None))
    return json_answer({"default": default, "kernelspecs": found})


async def get_kernelspec(request: Request) -> Response:
    engine, name = engine_of(request), request.path_params["name"]
    known = await asyncio.to_thread(kernels.kernelspecs, engine)
    try:
        model = known.get(kernels.spec_name(_named(engine, name)))
    except UnknownLanguage:
        model = None
    return json_answer(model) if model is not None else refusal(404, f"Kernel spec {name} not found")


def _named(engine: Any, name: str) -> Any:
    """The language of a kernelspec's name, whatever name is forced."""
    for language in engine.languages.all:
        if name in (kernels.spec_name(language), language.kernel_name):
            return language
    return engine.check_language(name)


async def get_resource(request: Request) -> Response:
    path = kernels.resource_file(engine_of(request), request.path_params["name"], request.path_params["file"])
    return refusal(404) if path is None else FileResponse(path)


async def list_kernels(request: Request) -> Response:
    if not _may_list(request):
        return refusal(403)
    engine = engine_of(request)
    return json_answer([kernels.kernel_model(engine, context) for context in engine.contexts])


async def start_kernel(request: Request) -> Response:
    engine, body = engine_of(request), await _read_object(request)
    env = body.get("env")
    if env is not None and not (isinstance(env, dict) and all(isinstance(value, str) for value in env.values())):
        raise _invalid("env", "env must be an object whose values are strings")
    context = await kernels.start_kernel(
        engine,
        name=_optional_string(body, "name"),
        env=env,
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
    sessions: Sessions = request.app.state.sessions
    return sessions


def _session_model(request: Request, session: Session) -> dict[str, Any]:
    """Raises ContextNotFound where the kernel is gone."""
    engine = engine_of(request)
    context = kernels.find_context(engine, session.kernel_id)
    return {
        "id": session.id,
        "path": session.path,
        "name": session.name,
        "type": session.type,
        "kernel": kernels.kernel_model(engine, context),
        "notebook": {"path": session.path, "name": session.name},
    }


async def list_sessions(request: Request) -> Response:
    if not _may_list(request):
        return refusal(403)
    models, sessions = [], _sessions(request)
    for session in sessions.all():
        try:
            models.append(_session_model(request, session))
        except ContextNotFound:
            sessions.remove(session.id)
    return json_answer(models)


async def create_session(request: Request) -> Response:
    body = await _read_object(request)
    notebook = body.get("notebook")
    if isinstance(notebook, dict) and "path" in notebook:  # as clients before Jupyter 5 have it
        body = {**body, "path": notebook["path"], "type": body.get("type") or "notebook"}
    for field in ("path", "type"):
        if not isinstance(body.get(field), str):
            raise _invalid(field, f"Missing field in JSON data: {field}")
    kernel = body.get("kernel") or {}
    if not isinstance(kernel, dict):
        raise _invalid("kernel", "kernel must be an object")
    sessions = _sessions(request)
    session = sessions.find_path(body["path"])
    if session is not None and not _is_gone(request, session):
        return _created(request, session)
    try:
        kernel_id = await _kernel_of(request, kernel)
    except UnknownLanguage as error:
        return json_answer({"message": error.errors[0].error, "short_message": f"{error.language} not found"}, 501)
    name = _optional_string(body, "name") or PurePosixPath(body["path"]).name
    session = Session(body["path"], body["type"], name, kernel_id)
    sessions.add(session)
    return _created(request, session)


def _created(request: Request, session: Session) -> Response:
    return json_answer(_session_model(request, session), 201, {"Location": f"/api/sessions/{session.id}"})


def _is_gone(request: Request, session: Session) -> bool:
    """Whether its kernel is; then the session is dropped, too."""
    try:
        kernels.find_context(engine_of(request), session.kernel_id)
    except ContextNotFound:
        _sessions(request).remove(session.id)
        return True
    return False


async def _kernel_of(request: Request, kernel: dict[str, Any]) -> str:
    """The id of the kernel that a session asks for, by id or by name."""
    engine = engine_of(request)
    wanted = _optional_string(kernel, "id")
    if wanted is not None:
        return kernels.kernel_id(engine, kernels.find_context(engine, wanted))
    context = await kernels.start_kernel(engine, name=_optional_string(kernel, "name"), env=None, wanted_id=None)
    return kernels.kernel_id(engine, context)


async def get_session(request: Request) -> Response:
    session = _sessions(request).get(request.path_params["session_id"])
    return _gone() if _is_gone(request, session) else json_answer(_session_model(request, session))


def _gone() -> Response:
    return refusal(410, "Kernel deleted before session")


async def change_session(request: Request) -> Response:
    session = _sessions(request).get(request.path_params["session_id"])
    body = await _read_object(request)
    notebook = body.get("notebook")
    if isinstance(notebook, dict):
        body = {**body, **{name: notebook[name] for name in ("path", "name") if name in notebook}}
    changes = {name: _optional_string(body, name) for name in ("path", "name", "type")}
    kernel = body.get("kernel")
    if kernel is not None and not isinstance(kernel, dict):
        raise _invalid("kernel", "kernel must be an object")
    if _is_gone(request, session):
        return _gone()
    if kernel:
        session.kernel_id = await _kernel_of(request, kernel)
    session.path = changes["path"] or session.path
    session.name = changes["name"] or session.name
    session.type = changes["type"] or session.type
    return json_answer(_session_model(request, session))


async def delete_session(request: Request) -> Response:
    engine = engine_of(request)
    session = _sessions(request).get(request.path_params["session_id"])
    if _is_gone(request, session):
        return _gone()
    context = kernels.find_context(engine, session.kernel_id)
    _sessions(request).forget_kernel(session.kernel_id)
    await asyncio.wait({engine.contexts.end(context, "was deleted", asked_for=True)})
    return Response(status_code=204)


async def swagger_json(request: Request) -> Response:
    return Response(SWAGGER_JSON, media_type="application/json")


async def swagger_yaml(request: Request) -> Response:
    return Response(SWAGGER_YAML, media_type="text/x-yaml")


TABLE: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", "/api", version),
    ("GET", "/api/kernelspecs", list_kernelspecs),
    ("GET", "/api/kernelspecs/{name}", get_kernelspec),
    ("GET", "/kernelspecs/{name}/{file}", get_resource),
    ("GET", "/api/kernels", list_kernels),
    ("POST", "/api/kernels", start_kernel),
    ("GET", "/api/kernels/{kernel_id}", get_kernel),
    ("DELETE", "/api/kernels/{kernel_id}", delete_kernel),
    ("POST", "/api/kernels/{kernel_id}/interrupt", interrupt_kernel),
    ("POST", "/api/kernels/{kernel_id}/restart", restart_kernel),
    ("GET", "/api/kernels/{kernel_id}/channels", plain_channels),
    ("GET", "/api/sessions", list_sessions),
    ("POST", "/api/sessions", create_session),
    ("GET", "/api/sessions/{session_id}", get_session),
    ("PATCH", "/api/sessions/{session_id}", change_session),
    ("DELETE", "/api/sessions/{session_id}", delete_session),
    ("GET", "/api/swagger.json", swagger_json),
    ("GET", "/api/swagger.yaml", swagger_yaml),
)
ROUTES: list[BaseRoute] = [
    *(Route(path, _answering(endpoint), methods=[method]) for method, path, endpoint in TABLE),
    WebSocketRoute("/api/kernels/{kernel_id}/channels", channels),
]
