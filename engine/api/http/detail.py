"""Bodies that are checked, and refused, as FastAPI does it: 422 with a `detail` of every problem and its place.

For dialects whose real servers are built on it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from engine.api.http.parsing import beside_loop, parse_json
from engine.api.http.requests import engine_of, received
from engine.errors import MAX_ERRORS, InvalidRequest, shorten

Body = TypeVar("Body", bound=BaseModel)
_MAX_SHOWN = 500  # characters
_MAX_SHOWN_ENTRIES = 20
_MAX_DEPTH = 3
Problems = list[dict[str, Any]]


class Unprocessable(Exception):
    """The body is not what the route takes."""

    def __init__(self, problems: Problems) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


async def read_checked(request: Request, model: type[Body], *, optional: bool = False) -> Body:
    """The request's body as a `model`; with `optional`, there need be none. Raises Unprocessable, or RequestTooLarge."""
    async with received(request, engine_of(request)) as raw:
        return await _checked(raw, model, optional=optional)


async def _checked(raw: bytes, model: type[Body], *, optional: bool) -> Body:
    if optional and raw.strip() in (b"", b"null"):
        raw = b"{}"
    if not raw:
        raise Unprocessable([{"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}])
    try:
        return await parse_json(raw, model.model_validate_json)
    except ValidationError as error:
        found = error.errors(include_url=False)[:MAX_ERRORS]
        if found[0]["type"] == "json_invalid":
            raise Unprocessable([await beside_loop(partial(_no_json, raw, found[0]["msg"]))]) from None
        raise Unprocessable([_problem(each, error.error_count()) for each in found]) from None
    except InvalidRequest as error:
        raise Unprocessable(problems_of(error)) from None


def _problem(found: Any, count: int) -> dict[str, Any]:
    """As pydantic has it, with as much of the input as can be shown. `count`: the number of all, when not all are listed."""
    place = [shorten(each, _MAX_SHOWN) if isinstance(each, str) else each for each in found["loc"]]
    told = {**found, "loc": ["body", *place], "msg": shorten(found["msg"], _MAX_SHOWN), "input": _echo(found["input"])}
    return {**told, "error_count": count} if count > MAX_ERRORS else told


def _echo(value: Any, depth: int = 0) -> Any:
    """A value without what is long or deep in it."""
    if isinstance(value, str):
        return shorten(value, _MAX_SHOWN)
    if isinstance(value, dict | list) and (depth >= _MAX_DEPTH or len(value) > _MAX_SHOWN_ENTRIES):
        return "..."
    if isinstance(value, dict):
        return {shorten(name, _MAX_SHOWN): _echo(each, depth + 1) for name, each in value.items()}
    if isinstance(value, list):
        return [_echo(each, depth + 1) for each in value]
    return value


def _no_json(raw: bytes, reason: str) -> dict[str, Any]:
    """The problem of a body that is no JSON; its place is where Python's own parser gives up."""
    place = 0
    try:
        json.loads(raw)
    except json.JSONDecodeError as error:
        place, reason = error.pos, error.msg
    except (ValueError, RecursionError):
        pass  # no Unicode, or nested too deeply
    return {
        "type": "json_invalid",
        "loc": ["body", place],
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": reason},
    }


def problems_of(error: InvalidRequest) -> Problems:
    """What the core found wrong, in the same form."""
    return [
        {"type": "value_error", "loc": ["body", *wrong.field.split(".")], "msg": wrong.error, "input": None}
        for wrong in error.errors
    ]


def unprocessable(problems: Problems) -> Response:
    return detail(problems, 422)


def detail(value: str | Problems, status: int, headers: dict[str, str] | None = None) -> Response:
    body = json.dumps({"detail": value}, default=str)  # in ASCII: what came in may hold what is no Unicode
    return Response(body, status, headers, "application/json")
