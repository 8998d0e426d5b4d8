"""What comes in: bodies read within the size limit and checked by pydantic, which names every wrong field."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from starlette.requests import Request

from engine.api.http.errors import invalid
from engine.api.http.parsing import parse_json
from engine.core import Engine
from engine.errors import FieldError, InvalidRequest, Overloaded, RequestTooLarge
from engine.validation import MAX_ENTRIES

_MAX_ARRIVING = 256 * 1024 * 1024  # bytes of bodies that have come in part
Body = TypeVar("Body", bound=BaseModel)


class _Arriving:
    """Bodies that are being read, all together: a client may take its time for one, and many would fill the memory."""

    bytes = 0


_arriving = _Arriving()


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
    """The request's JSON body. Raises InvalidRequest that names every wrong field, or RequestTooLarge."""
    raw = await read_up_to(request, engine_of(request).settings.max_request_bytes)
    if optional and not raw.strip():
        raw = b"{}"
    try:
        return await parse_json(raw, model.model_validate_json)
    except ValidationError as error:
        raise invalid(error) from None


async def read_bytes(request: Request) -> bytes:
    """The request's body as it is. Raises RequestTooLarge."""
    return await read_up_to(request, engine_of(request).settings.max_request_bytes)


async def read_up_to(request: Request, limit: int) -> bytes:
    """As `read_bytes`, with a limit of the caller's."""
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            _arriving.bytes += len(chunk)
            if size > limit:
                raise RequestTooLarge(limit)
            if _arriving.bytes > _MAX_ARRIVING:
                raise Overloaded("The server receives too many large requests at once", retry_after=1)
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        _arriving.bytes -= size


def whole_number(text: str, field: str) -> int:
    """A number from a query or a header, 0 or more. Raises InvalidRequest that names `field`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidRequest(FieldError(field, "must be a whole number, 0 or more"))
    return int(text)
