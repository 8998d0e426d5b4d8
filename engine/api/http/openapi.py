"""Routes as data, and the OpenAPI 3.1 document made from them: request schemas from pydantic, answers from msgspec."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp

from engine import __version__
from engine.api.http import errors
from engine.models import Installed, Installing

Endpoint = Callable[[Request], Awaitable[ASGIApp]]

_REF = "#/components/schemas/{}"
_DESCRIPTION = (
    "Runs code in persistent contexts, each a real Jupyter kernel, and answers with rich items, logs and errors. "
    "Code that fails is a 200 with `error`; every other status has a body with `message`."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One documented answer: a msgspec model, or the media types of what is no JSON."""

    description: str
    model: Any = None
    media_types: tuple[str, ...] = ("application/json",)
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    place: str
    description: str
    schema: dict[str, Any]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. 401, 403 and 413 (with a body) are documented everywhere and not listed here.

    `content`: the media types of a body that is no JSON."""

    method: str
    path: str
    endpoint: Endpoint
    summary: str
    tag: str
    answers: dict[int, Answer]
    body: type[BaseModel] | None = None
    body_required: bool = True
    content: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    is_open: bool = False


def routes(operations: list[Operation]) -> list[Route]:
    """One route per path, so that a 405 tells all the methods that the path has."""
    paths: dict[str, dict[str, Endpoint]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = operation.endpoint
    return [Route(path, _by_method(endpoints), methods=list(endpoints)) for path, endpoints in paths.items()]


def _by_method(endpoints: dict[str, Endpoint]) -> Endpoint:
    if len(endpoints) == 1:
        return next(iter(endpoints.values()))

    async def endpoint(request: Request) -> ASGIApp:
        method = "GET" if request.method == "HEAD" else request.method
        return await endpoints[method](request)

    return endpoint


def document(
    operations: list[Operation], *, languages: list[str], max_timeout_ms: int, has_token: bool, base_url: str = ""
) -> bytes:
    """The OpenAPI document. `languages`, `max_timeout_ms` and `base_url` are those of this server."""
    schemas = _schemas(operations)
    execute = schemas["ExecuteBody"]["properties"]
    _restrict(schemas["ExecuteBody"]["properties"]["language"], {"enum": languages})
    _restrict(schemas["ContextBody"]["properties"]["language"], {"enum": languages})
    _restrict(execute["timeout_ms"], {"maximum": max_timeout_ms})
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(documented_path(operation.path), {})[operation.method.lower()] = _operation(operation)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "polyrepl",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base_url or "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "tags": [{"name": name} for name in dict.fromkeys(operation.tag for operation in operations)],
    }
    if has_token:
        document["security"] = [{"bearer": []}, {"apiKey": []}]
    return json.dumps(document).encode()


def documented_path(path: str) -> str:
    """A route's path without what its parameters may hold."""
    return path.replace(":path}", "}")


def _schemas(operations: list[Operation]) -> dict[str, Any]:
    answers = {answer.model for operation in operations for answer in operation.answers.values() if answer.model}
    only_streamed = [Installing, Installed]
    outgoing = [*answers, *only_streamed, errors.Problem, errors.InvalidProblem]
    _, components = msgspec.json.schema_components(outgoing, ref_template=_REF.replace("{}", "{name}"))
    bodies: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (operation.body, "validation") for operation in operations if operation.body is not None
    ]
    _, incoming = models_json_schema(list(dict.fromkeys(bodies)), ref_template=_REF.replace("{}", "{model}"))
    return {**components, **incoming.get("$defs", {})}


def _restrict(schema: dict[str, Any], limits: dict[str, Any]) -> None:
    """Tighten the part of an optional property that is not null."""
    for choice in schema.get("anyOf", [schema]):
        if choice.get("type") != "null":
            choice.update(limits)


def _operation(operation: Operation) -> dict[str, Any]:
    answers = dict(operation.answers)
    answers.setdefault(403, Answer("The Host or Origin header is not allowed", errors.Problem))
    if not operation.is_open:
        answers.setdefault(401, Answer("No valid token", errors.Problem))
    if operation.body is not None or operation.content:
        answers.setdefault(400, Answer("A field of the request is wrong", errors.InvalidProblem))
        answers.setdefault(413, Answer("The body is too large", errors.Problem))
    described: dict[str, Any] = {
        "operationId": operation.endpoint.__name__,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {str(status): _answer(answer) for status, answer in sorted(answers.items())},
    }
    if operation.is_open:
        described["security"] = []
    parameters = [*_path_parameters(documented_path(operation.path)), *map(_parameter, operation.parameters)]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        content = {"application/json": {"schema": {"$ref": _REF.format(operation.body.__name__)}}}
        described["requestBody"] = {"required": operation.body_required, "content": content}
    elif operation.content:
        described["requestBody"] = {"required": True, "content": {kind: _upload(kind) for kind in operation.content}}
    return described


def _upload(media_type: str) -> dict[str, Any]:
    if media_type != "multipart/form-data":
        return {}  # any bytes
    files = {"type": "array", "items": {"type": "string", "contentMediaType": "application/octet-stream"}}
    return {"schema": {"type": "object", "properties": {"file": files}, "required": ["file"]}}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.required,
        "schema": parameter.schema,
    }


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    content: dict[str, Any] = {}
    for media_type in answer.media_types:
        if media_type == "text/plain":
            content[media_type] = {"schema": {"type": "string"}}
        elif media_type != "application/json":
            content[media_type] = {}  # a stream: what a schema of it describes, the specification leaves open
        elif answer.model is not None:
            content[media_type] = {"schema": {"$ref": _REF.format(answer.model.__name__)}}
    if content:
        described["content"] = content
    if answer.headers:
        described["headers"] = {name: {"schema": {"type": "string"}} for name in answer.headers}
    return described
