"""The surfaces: which dialects there are, what each serves, and whose words an answer to a request is in."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus

from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Scope

from engine.api import code_interpreter
from engine.api.e2b import routes as e2b
from engine.api.gateway import errors as gateway_errors
from engine.api.gateway import routes as gateway
from engine.api.http import errors
from engine.api.http.detail import detail
from engine.api.http.openapi import routes
from engine.api.kernelbox import routes as kernelbox
from engine.api.native import operations
from engine.api.native.routes import OPERATIONS
from engine.errors import PolyreplError
from engine.settings import Settings

Headers = dict[str, str]
_PAGES: list[BaseRoute] = [
    Route("/openapi.json", operations.openapi),
    Route("/docs", operations.docs),
    Route("/redoc", operations.redoc),
    Route("/docs/{name}", operations.asset),
]
_OPERATORS = [each for each in OPERATIONS if each.tag == "operations" and each.path != "/"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """`owns`: whether a request is for it; `render`: errors of ours, `refuse`: a status (a path that is not there), in its words."""

    name: str
    routes: list[BaseRoute]
    owns: Callable[[Scope], bool]
    render: Callable[[PolyreplError], Response]
    refuse: Callable[[int, str, Headers], Response]


def _refuse(status: int, message: str, headers: Headers) -> Response:
    code = HTTPStatus(status).phrase.title().replace(" ", "")
    return errors.json_response(errors.Problem(message=message, code=code), status, headers)


def _refuse_with_detail(status: int, message: str, headers: Headers) -> Response:
    return detail(message, status, headers)


def _refuse_as_gateway(status: int, message: str, headers: Headers) -> Response:
    return gateway_errors.refusal(status, "", headers)


NATIVE = Dialect("native", [*routes(OPERATIONS), *_PAGES], lambda scope: True, errors.render, _refuse)
GATEWAY = Dialect(
    "gateway",
    gateway.ROUTES,
    lambda scope: gateway_errors.is_gateway_path(scope["path"]),
    gateway_errors.render,
    _refuse_as_gateway,
)
# In the order in which requests are offered to them.
DIALECTS: tuple[Dialect, ...] = (
    Dialect("e2b", e2b.ROUTES, e2b.is_addressed, e2b.render, _refuse_with_detail),
    Dialect(
        code_interpreter.NAME,
        code_interpreter.ROUTES,
        code_interpreter.owns,
        code_interpreter.render,
        _refuse_with_detail,
    ),
    GATEWAY,
    NATIVE,
    Dialect(kernelbox.NAME, kernelbox.ROUTES, kernelbox.owns, kernelbox.render, _refuse_with_detail),
)


def surfaces_of(settings: Settings) -> Collection[str]:
    """Those that are switched on; a notebook is served by a Kernel Gateway alone."""
    return settings.surfaces if settings.notebook is None else [GATEWAY.name]


def routes_of(surfaces: Collection[str]) -> list[BaseRoute]:
    """The routes of the surfaces that are switched on; what operators ask is always there."""
    found: list[BaseRoute] = []
    for dialect in DIALECTS:
        if dialect.name in surfaces:
            found += dialect.routes
        elif dialect is NATIVE:
            found += routes(_OPERATORS)
    return found


def dialect_of(scope: Scope, surfaces: Collection[str]) -> Dialect:
    """The dialect that a request is for. Where only one is served, that is whatever is not there, too."""
    enabled = [dialect for dialect in DIALECTS if dialect.name in surfaces]
    if len(enabled) == len(surfaces) == 1:
        return enabled[0]
    return next((each for each in enabled if each is not NATIVE and each.owns(scope)), NATIVE)
