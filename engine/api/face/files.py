"""The kit's files as browsers ask for them, from pages of any origin."""

from __future__ import annotations

import asyncio
import hashlib
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from engine.resources import web_dir

PREFIX = "/_web/"
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".ts": "text/plain",
}
_FOR_EVER = "public, max-age=31536000, immutable"


async def file(request: Request) -> Response:
    path = _files().get(request.path_params["path"])
    if path is None:
        raise HTTPException(404, "Not Found")
    version = await asyncio.to_thread(_version, path)
    # The kit names a version in the addresses that it asks for: that of another release is not this file for ever.
    is_named = request.query_params.get("v") == version
    headers = {
        "Access-Control-Allow-Origin": "*",
        "Cache-Control": _FOR_EVER if is_named else "no-cache",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "ETag": f'"{version}"',
        "X-Content-Type-Options": "nosniff",
    }
    if _is_known(request.headers.get("if-none-match", ""), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    content = await asyncio.to_thread(path.read_bytes)
    return Response(content, media_type=_TYPES[path.suffix], headers=headers)


@cache
def _files() -> dict[str, Path]:
    """Every file that is served, by its path. Nothing else can be asked for, whatever a path looks like."""
    directory = web_dir()
    found = (path for path in directory.rglob("*") if path.is_file() and path.suffix in _TYPES)
    return {path.relative_to(directory).as_posix(): path for path in found}


@cache
def _version(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _is_known(header: str, tag: str) -> bool:
    return any(each.strip().removeprefix("W/") in (tag, "*") for each in header.split(",")[:20])
