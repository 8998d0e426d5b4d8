"""What comes in: bodies read within the size limit and checked by pydantic, which names every wrong field."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from starlette.requests import Request

from engine.api.http.errors import invalid
from engine.api.http.parsing import beside_loop, parse_json
from engine.core import Engine
from engine.errors import FieldError, InvalidRequest, RequestTooLarge
from engine.validation import MAX_ENTRIES

_LARGE = 1024 * 1024  # bytes from which Python joins without holding up other threads
Body = TypeVar("Body", bound=BaseModel)


def _few_entries(value: Any) -> Any:
    if isinstance(value, dict) and len(value) > MAX_ENTRIES:
        msg = f"must have at most {MAX_ENTRIES} entries"
        raise ValueError(msg)
    return value


FewEntries = BeforeValidator(_few_entries)
"""For a map: its length is looked at first, so that not each of very many entries becomes a problem."""

FirstProblem = Field(fail_fast=True)
"""For a list: it is looked at up to the first wrong entry."""


def engine_of(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


async def read_body(request: Request, model: type[Body], *, optional: bool = False) -> Body:
    """The request's JSON body. Raises InvalidRequest that names every wrong field, RequestTooLarge or TooManyBytes."""
    async with received(request, engine_of(request)) as raw:
        try:
            return await parse_json(b"{}" if optional and not raw.strip() else raw, model.model_validate_json)
        except ValidationError as error:
            raise invalid(error) from None


@contextlib.asynccontextmanager
async def received(request: Request, engine: Engine) -> AsyncIterator[bytes]:
    """The request's body as it is, weighed until the end of the block: it has to last as long as the body, or what was made of it, is
    waiting. Raises RequestTooLarge or TooManyBytes."""
    chunks: list[bytes] = []
    limit = engine.settings.max_request_bytes
    share = engine.budgets.incoming.share()
    try:
        async for chunk in request.stream():
            if share.held + len(chunk) > limit:
                raise RequestTooLarge(limit)
            share.check(len(chunk))
            share.take(len(chunk))
            chunks.append(chunk)
        raw = b"".join(chunks) if share.held <= _LARGE else await beside_loop(lambda: b"".join(chunks))
        chunks.clear()
        yield raw
    finally:
        share.give(share.held)


def whole_number(text: str, field: str) -> int:
    """A number from a query or a header, 0 or more. Raises InvalidRequest that names `field`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidRequest(FieldError(field, "must be a whole number, 0 or more"))
    return int(text)
