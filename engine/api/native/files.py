"""The native dialect: the files of a context."""

from __future__ import annotations

from posixpath import join

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from engine.api.http.downloads import OCTETS, FileAnswer, content_type_of
from engine.api.http.errors import Problem, json_response
from engine.api.http.multipart import Form
from engine.api.http.openapi import Answer, Operation, Parameter
from engine.api.http.requests import engine_of, whole_number
from engine.api.native.answers import BAD_QUERY, BUSY, ENDING, LANGUAGE, NO_CONTEXT, NO_FILE, NO_ROOM, NOT_A_FILE
from engine.errors import FieldError, InvalidRequest
from engine.models import FileInfo, FileList
from engine.workspaces import Files

DEFAULT_LIMIT = 1000
MAX_LIMIT = 10_000

_RECURSIVE = Parameter("recursive", "query", "Include the contents of directories.", {"type": "boolean"})
_LISTING = (
    Parameter("path", "query", "The directory. Default: the working directory.", {"type": "string"}),
    _RECURSIVE,
    Parameter(
        "limit",
        "query",
        f"Maximum number of files. Default: {DEFAULT_LIMIT}.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
    ),
    Parameter("after", "query", "Only paths after this one, in sorted order.", {"type": "string"}),
)
_INTO = Parameter("path", "query", "The directory for the files.", {"type": "string"})
_CREATES = Parameter(
    "language",
    "query",
    "Language of the context. With a language, a missing context is created.",
    {"type": "string"},
)
_CONDITIONS = (
    Parameter("Range", "header", "One range of bytes: `bytes=0-99`, `bytes=100-` or `bytes=-5`.", {"type": "string"}),
    Parameter("If-Range", "header", "Send the range only if the ETag is still this one.", {"type": "string"}),
    Parameter("If-None-Match", "header", "Return 304 if the ETag is still this one.", {"type": "string"}),
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


OPERATIONS: list[Operation] = [
    Operation(
        "GET",
        "/contexts/{context_id}/files",
        list_files,
        "List the files in the working directory of a context, by path",
        "files",
        {200: Answer("The files", FileList), 400: BAD_QUERY, 404: NO_FILE, 409: NOT_A_FILE},
        parameters=(LANGUAGE, *_LISTING),
    ),
    Operation(
        "POST",
        "/contexts/{context_id}/files",
        upload_files,
        "Upload files as a form, under their names in the form",
        "files",
        {
            201: Answer("The files", Uploaded),
            404: NO_CONTEXT,
            409: NOT_A_FILE,
            429: BUSY,
            503: ENDING,
            507: NO_ROOM,
        },
        content=("multipart/form-data",),
        parameters=(_CREATES, _INTO),
    ),
    *(
        Operation(
            method,
            "/contexts/{context_id}/files/{path:path}",
            endpoint,
            summary,
            "files",
            {
                200: Answer("The file was replaced", FileInfo),
                201: Answer("The file is new", FileInfo),
                404: NO_CONTEXT,
                409: NOT_A_FILE,
                429: BUSY,
                503: ENDING,
                507: NO_ROOM,
            },
            content=(OCTETS,),
            parameters=(_CREATES,),
        )
        for method, endpoint, summary in (
            ("PUT", write_file, "Write a file. The body is its content"),
            ("POST", upload_file, "Write a file, as PUT does"),
        )
    ),
    Operation(
        "GET",
        "/contexts/{context_id}/files/{path:path}",
        read_file,
        "Download a file, or a part of it",
        "files",
        {
            200: Answer("The file", media_types=("*/*",), headers=("ETag", "Content-Disposition")),
            206: Answer("The part", media_types=("*/*",), headers=("ETag", "Content-Range")),
            304: Answer("The client's copy is current", headers=("ETag",)),
            400: BAD_QUERY,
            404: NO_FILE,
            409: NOT_A_FILE,
            416: Answer("The file has no such part", Problem, headers=("Content-Range",)),
        },
        parameters=(LANGUAGE, *_CONDITIONS),
    ),
    Operation(
        "DELETE",
        "/contexts/{context_id}/files/{path:path}",
        delete_file,
        "Delete a file or a directory",
        "files",
        {204: Answer("The file is deleted"), 400: BAD_QUERY, 404: NO_FILE, 409: NOT_A_FILE},
        parameters=(LANGUAGE, _RECURSIVE),
    ),
]
