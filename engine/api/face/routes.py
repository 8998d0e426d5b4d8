"""The addresses of the kit and the frame."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from engine.api.face.files import PREFIX, file
from engine.api.face.frame import PATH, frame


def is_public(scope: Scope) -> bool:
    """Whether a request is for the files of the kit, which pages of every origin may load."""
    return scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and scope["path"].startswith((PREFIX, PATH))


def routes() -> list[BaseRoute]:
    return [Route(PATH, frame), Route(PREFIX + "{path:path}", file)]
