"""The native dialect: what the variables of a context are."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.api.http.errors import Problem, json_response
from engine.api.http.openapi import Answer, Operation, Parameter
from engine.api.http.requests import engine_of, whole_number
from engine.api.native.answers import BAD_QUERY, LANGUAGE, NO_CONTEXT, NOT_SUPPORTED
from engine.errors import FieldError, InvalidRequest
from engine.models import VariableList
from engine.validation import MAX_NAME

DEFAULT_LIMIT = 200
MAX_LIMIT = 1000

PARAMETERS = (
    Parameter(
        "limit",
        "query",
        f"Maximum number of variables. Default: {DEFAULT_LIMIT}.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
    ),
    Parameter(
        "after", "query", "Only names after this one, in sorted order.", {"type": "string", "maxLength": MAX_NAME}
    ),
    Parameter("match", "query", "Only names that contain this.", {"type": "string", "maxLength": MAX_NAME}),
)


async def list_variables(request: Request) -> Response:
    listing = await engine_of(request).assistance.variables(
        request.path_params["context_id"],
        language=request.query_params.get("language"),
        limit=_limit(request),
        after=_text(request, "after"),
        match=_text(request, "match"),
    )
    return json_response(listing)


def _limit(request: Request) -> int:
    limit = whole_number(request.query_params.get("limit", str(DEFAULT_LIMIT)), "limit")
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest(FieldError("limit", f"must be between 1 and {MAX_LIMIT}"))
    return limit


def _text(request: Request, field: str) -> str:
    text = request.query_params.get(field, "")
    if len(text) > MAX_NAME:
        raise InvalidRequest(FieldError(field, f"must be at most {MAX_NAME} characters"))
    return text


OPERATIONS: list[Operation] = [
    Operation(
        "GET",
        "/contexts/{context_id}/variables",
        list_variables,
        "List the variables of a context, between two cells",
        "contexts",
        {
            200: Answer("The variables by name. Empty while no kernel runs", VariableList),
            400: BAD_QUERY,
            404: NO_CONTEXT,
            409: Answer("A cell runs, or the kernel did not list its variables", Problem, headers=("Retry-After",)),
            500: Answer("The kernel died in the meantime", Problem),
            501: NOT_SUPPORTED,
        },
        parameters=(LANGUAGE, *PARAMETERS),
    ),
]
