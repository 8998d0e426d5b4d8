"""The notebook dialect: the endpoints of a notebook, as the mode notebook-http of Jupyter's Kernel Gateway answers."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from engine.api.http import reason
from engine.api.http.errors import status_of
from engine.api.http.locations import read_location
from engine.api.http.parsing import beside_loop, parse_json
from engine.api.http.requests import engine_of, received
from engine.api.http.streaming import Disconnect
from engine.api.notebook.kernels import NotebookKernels, Reply
from engine.api.notebook.notebook import Endpoint, Notebook, parse_notebook
from engine.errors import BadNotebook, FieldError, Forbidden, InvalidRequest, Overloaded, PolyreplError, RequestTooLarge
from engine.settings import Settings

_NO_LENGTH = (204, 304)
_CLIENT_GONE = 499
_MAX_FIELDS = 1000  # of a form
_MAX_FORM = 1024 * 1024  # bytes of a form without files
_PIECE = 16 * 1024  # bytes of a form with files that are parsed in one turn of the loop


def load_notebook(settings: Settings) -> Notebook | None:
    """The notebook of the settings; None where there is none. Raises BadNotebook."""
    location = settings.notebook
    if location is None:
        return None
    name = unquote(PurePosixPath(urlsplit(location).path).name) if "://" in location else PurePosixPath(location).name
    try:
        raw = read_location(location)
    except (OSError, ValueError) as error:
        raise BadNotebook(name or location, f"it cannot be read: {error}") from None
    return parse_notebook(name, raw)


def render(error: PolyreplError) -> Response:
    """An error of the core in this dialect: a kernel that is not free now is 503."""
    if isinstance(error, Overloaded):
        return reason.refusal(503, error.message, {"Retry-After": str(error.retry_after)})
    return reason.render(error) if status_of(error) < 500 else reason.refusal(500, error.message)


def routes(kernels: NotebookKernels, settings: Settings) -> list[BaseRoute]:
    """The notebook's endpoints come first: what they answer, nothing else does."""
    notebook = kernels.notebook
    swagger = json.dumps(notebook.swagger())

    async def answer_swagger(request: Request) -> Response:
        return Response(swagger, media_type="application/json")

    async def answer_source(request: Request) -> Response:
        return Response(notebook.raw, media_type="application/x-ipynb+json")

    found: list[BaseRoute] = [_Endpoints(kernels, settings), Route("/_api/spec/swagger.json", answer_swagger)]
    if settings.allow_notebook_download:
        found.append(Route("/_api/source", answer_source))
    if settings.static_path is not None:
        found.append(Mount("/public", _PublicFiles(directory=settings.static_path)))
    return found


class _PublicFiles(StaticFiles):
    """Files, with their media types as a Kernel Gateway sends them: how a text is encoded, only the text says."""

    def file_response(self, *arguments: Any, **keywords: Any) -> Response:
        response = super().file_response(*arguments, **keywords)
        if "content-type" in response.headers:  # not of a 304
            response.headers["content-type"] = response.headers["content-type"].partition(";")[0]
        return response


def raw_path(scope: Scope) -> str:
    """The path of a request as it was sent: of what is percent-encoded in it, nothing separates."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.decode("latin-1").partition("?")[0]


def is_served(scope: Scope, kernels: NotebookKernels) -> bool:
    """Whether a request is for an endpoint of the notebook."""
    return scope["type"] == "http" and kernels.notebook.find(raw_path(scope)) is not None


class _Endpoints(BaseRoute):
    """All endpoints of a notebook, as one route."""

    def __init__(self, kernels: NotebookKernels, settings: Settings) -> None:
        self._kernels = kernels
        self._serves_all_pages = "*" in settings.allowed_origins

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        found = self._kernels.notebook.find(raw_path(scope)) if scope["type"] == "http" else None
        if found is None:
            return Match.NONE, {}
        endpoint, parameters = found
        return Match.FULL, {"notebook_endpoint": endpoint, "path_params": parameters}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        try:
            response = await self._answer(request, scope["notebook_endpoint"])
        except PolyreplError as error:
            response = render(error)
        await response(scope, receive, send)

    async def _answer(self, request: Request, endpoint: Endpoint) -> Response:
        if request.method == "OPTIONS":
            return Response()
        if request.method not in endpoint.methods:
            return Response(status_code=405, headers={"Allow": ", ".join([*endpoint.methods, "OPTIONS"])})
        if not self._serves_all_pages and _is_of_another_page(request):
            msg = "Pages of other origins may not run the notebook's cells; see the setting allowed_origins"
            raise Forbidden(msg)
        # The body is a part of REQUEST, and weighed as long as that waits for a kernel.
        async with received(request, engine_of(request)) as raw:
            bundle = await _bundle(request, raw)
            asking = asyncio.ensure_future(self._kernels.answer(endpoint.operations[request.method], bundle))

            async def give_up() -> None:
                asking.cancel()

            async with Disconnect(request.receive, give_up):
                await asyncio.wait({asking})
        return Response(status_code=_CLIENT_GONE) if asking.cancelled() else _response(asking.result())


def _is_of_another_page(request: Request) -> bool:
    """Whether a page of another origin caused this: by a link, an image and the like. A browser says so (Fetch Metadata).

    With an Origin header it is a request that the guard has looked at already."""
    return "origin" not in request.headers and request.headers.get("sec-fetch-site") in ("cross-site", "same-site")


def _response(reply: Reply) -> Response:
    content = b"" if reply.status in _NO_LENGTH else reply.text.encode("utf-8", "replace")
    response = Response(content, reply.status, media_type="text/plain")
    for name, value in reply.headers.items():
        if name.lower() not in ("content-length", "transfer-encoding", "connection"):
            response.headers[name] = value
    return response


async def _bundle(request: Request, raw: bytes) -> dict[str, Any]:
    """What a cell finds in REQUEST. The server's own token is not part of it."""
    secret = engine_of(request).settings.secret
    headers: dict[str, str | list[str]] = {}
    for raw_name, value in request.headers.items():
        if secret is not None and secret in value:
            continue
        name = "-".join(word.capitalize() for word in raw_name.split("-"))
        known = headers.get(name)
        headers[name] = value if known is None else [*(known if isinstance(known, list) else [known]), value]
    args = parse_qs(request.url.query, keep_blank_values=True)
    if secret is not None and secret in args.get("token", []):
        del args["token"]
    body, files = await _read_body(request, raw)
    bundle = {"body": body, "args": args, "path": request.path_params, "headers": headers}
    return {**bundle, "files": files} if files else bundle


async def _read_body(request: Request, raw: bytes) -> tuple[Any, dict[str, list[dict[str, str]]]]:
    """The body as its content type says, and the files of a form. Raises InvalidRequest."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_form(request, raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(FieldError("body", "must be text in UTF-8; files are sent as a form")) from None
    if kind == "application/x-www-form-urlencoded":
        return await beside_loop(partial(_fields, text)), {}
    if kind == "application/json":
        try:
            return await parse_json(raw, json.loads), {}
        except (ValueError, RecursionError):
            pass  # as it is
    return text, {}


def _fields(text: str) -> dict[str, list[str]]:
    """Raises InvalidRequest, or RequestTooLarge."""
    if len(text) > _MAX_FORM:
        raise RequestTooLarge(_MAX_FORM)
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise InvalidRequest(FieldError("body", f"has more than {_MAX_FIELDS} fields")) from None


async def _read_form(request: Request, raw: bytes) -> tuple[dict[str, list[str]], dict[str, list[dict[str, str]]]]:
    async def once() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(raw), _PIECE):
            yield raw[start : start + _PIECE]
            await asyncio.sleep(0)
        yield b""

    try:
        form = await MultiPartParser(
            request.headers, once(), max_files=_MAX_FIELDS, max_fields=_MAX_FIELDS, max_part_size=len(raw) + 1
        ).parse()
    except (MultiPartException, KeyError) as error:
        problem = error.message if isinstance(error, MultiPartException) else "multipart/form-data needs a boundary"
        raise InvalidRequest(FieldError("body", problem)) from None
    fields: dict[str, list[str]] = {}
    files: dict[str, list[dict[str, str]]] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            content = base64.b64encode(await value.read()).decode()
            told = {"filename": value.filename or "", "content_type": value.content_type or "", "base64": content}
            files.setdefault(name, []).append(told)
        else:
            fields.setdefault(name, []).append(value)
    await form.close()
    return fields, files
