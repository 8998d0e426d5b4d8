"""Where the files that we ship lie: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


@cache
def data_dir() -> Path:
    """The folder that holds `runtimes/` and `kernelspecs/`."""
    inside = _PACKAGE / "_data"
    return inside if inside.is_dir() else _PACKAGE.parent


def kernelspecs_dir() -> Path:
    return data_dir() / "kernelspecs"


def static_dir() -> Path:
    """The files of the API's documentation pages."""
    return _PACKAGE / "api" / "static"


def web_dir() -> Path:
    """The files of the rendering kit, as its build wrote them."""
    inside = data_dir() / "web"
    return inside if inside.is_dir() else _PACKAGE.parent / "clients" / "web" / "dist"
