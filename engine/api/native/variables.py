"""The native dialect: what the variables of a context are."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.api.http.errors import json_response
from engine.api.http.openapi import Parameter
from engine.api.http.requests import engine_of, whole_number
from engine.errors import FieldError, InvalidRequest

DEFAULT_LIMIT = 200
MAX_LIMIT = 1000
MAX_TEXT = 200  # characters of a name, or of a part of one

PARAMETERS = (
    Parameter(
        "limit",
        "query",
        f"At most this many. Default {DEFAULT_LIMIT}.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
    ),
    Parameter("after", "query", "Only names that sort after this one.", {"type": "string", "maxLength": MAX_TEXT}),
    Parameter("match", "query", "Only names that contain this.", {"type": "string", "maxLength": MAX_TEXT}),
)


async def list_variables(request: Request) -> Response:
    listing = await engine_of(request).variables(
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
    if len(text) > MAX_TEXT:
        raise InvalidRequest(FieldError(field, f"must be at most {MAX_TEXT} characters"))
    return text
