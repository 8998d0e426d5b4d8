"""The native dialect: the files of a context."""

from __future__ import annotations

from posixpath import join

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from engine.api.http.downloads import FileAnswer, content_type_of
from engine.api.http.errors import json_response
from engine.api.http.multipart import Form
from engine.api.http.openapi import Parameter
from engine.api.http.requests import engine_of, whole_number
from engine.errors import FieldError, InvalidRequest
from engine.models import FileInfo
from engine.workspaces.files import Files

DEFAULT_LIMIT = 1000
MAX_LIMIT = 10_000

RECURSIVE = Parameter("recursive", "query", "Whether what is in directories counts, too.", {"type": "boolean"})
LISTING = (
    Parameter("path", "query", "The directory. Omitted: the working directory.", {"type": "string"}),
    RECURSIVE,
    Parameter(
        "limit",
        "query",
        f"At most this many. Default {DEFAULT_LIMIT}.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
    ),
    Parameter("after", "query", "Only paths that sort after this one.", {"type": "string"}),
)
INTO = Parameter("path", "query", "The directory that the files go into.", {"type": "string"})
CREATES = Parameter(
    "language",
    "query",
    "Which of the context's languages. A context that is not there is made when a language is named.",
    {"type": "string"},
)
CONDITIONS = (
    Parameter("Range", "header", "One range of bytes: `bytes=0-99`, `bytes=100-`, `bytes=-5`.", {"type": "string"}),
    Parameter("If-Range", "header", "The range only where this is still the ETag.", {"type": "string"}),
    Parameter("If-None-Match", "header", "304 where this is still the ETag.", {"type": "string"}),
)


class Uploaded(msgspec.Struct):
    """The files as they are now."""

    items: list[FileInfo]


async def list_files(request: Request) -> Response:
    query = request.query_params
    limit = whole_number(query.get("limit", str(DEFAULT_LIMIT)), "limit")
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest(FieldError("limit", f"must be between 1 and {MAX_LIMIT}"))
    listing = await _files(request).list(
        query.get("path", ""), recursive=_is_recursive(request), limit=limit, after=query.get("after", "")
    )
    return json_response(listing)


async def upload_files(request: Request) -> Response:
    form = Form(request)
    files = _files(request, creates=True)
    items = []
    async for part in form.files():
        if part.field not in ("file", "files"):
            raise InvalidRequest(FieldError(part.field or "body", "files go into the field `file`"))
        info, _ = await files.write(join(request.query_params.get("path", ""), part.filename), part.chunks)
        items.append(info)
    if not items:
        raise InvalidRequest(FieldError("file", "Field required: a part with a filename"))
    return json_response(Uploaded(items), 201)


async def write_file(request: Request) -> Response:
    path = request.path_params["path"]
    info, is_new = await _files(request, creates=True).write(path, request.stream())
    return json_response(info, 201 if is_new else 200)


async def upload_file(request: Request) -> ASGIApp:
    return await write_file(request)


async def read_file(request: Request) -> ASGIApp:
    path = request.path_params["path"]
    return await FileAnswer.of(request, await _files(request).read(path), content_type_of(path))


async def delete_file(request: Request) -> Response:
    await _files(request).delete(request.path_params["path"], recursive=_is_recursive(request))
    return Response(status_code=204)


def _files(request: Request, *, creates: bool = False) -> Files:
    return engine_of(request).files(
        request.path_params["context_id"], language=request.query_params.get("language"), creates=creates
    )


def _is_recursive(request: Request) -> bool:
    value = request.query_params.get("recursive", "false").lower()
    if value not in ("true", "1", "false", "0"):
        raise InvalidRequest(FieldError("recursive", "must be true or false"))
    return value in ("true", "1")
