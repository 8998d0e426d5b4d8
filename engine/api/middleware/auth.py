"""The guard before everything: Host and Origin headers, the token, and the size that a request announces."""

from __future__ import annotations

import hmac
from urllib.parse import unquote_plus, urlsplit

from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.api.dialects import Surfaces
from engine.api.face import is_public
from engine.api.gateway import GATEWAY
from engine.api.http.peers import peer_of
from engine.api.middleware.cors import allow_reading
from engine.api.middleware.refusals import Refusals
from engine.api.notebook import NotebookKernels, is_served
from engine.errors import FieldError, Forbidden, InvalidRequest, NotFound, PolyreplError, RequestTooLarge, Unauthorized
from engine.metrics import Metrics
from engine.settings import Settings

# What a probe or a browser asks for before it can know a token; none of it tells or does anything of a tenant's.
_OPEN_PATHS = frozenset(
    {
        "/healthz",
        "/health",
        "/readyz",
        "/openapi.json",
        "/docs",
        "/redoc",
        "/api/swagger.json",
        "/api/swagger.yaml",
        "/e2b/health",
    }
)
_OPEN_PREFIX = "/docs/"
_TOKEN_HEADERS = ("x-api-key", "x-access-token", "e2b-traffic-access-token")
_MAX_PARAMETERS = 1000  # of a query
_MAX_TOKENS = 10  # of one query
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Guard:
    """Refuses what must not reach the API: pages of other origins, other host names (DNS rebinding), a missing token."""

    def __init__(
        self, app: ASGIApp, settings: Settings, metrics: Metrics, notebook: NotebookKernels | None = None
    ) -> None:
        self._app = app
        self._refusals = Refusals(metrics)
        self._notebook = notebook
        self._token = settings.secret.encode() if settings.secret else None
        self._surfaces = Surfaces(settings)
        self._routes = self._surfaces.routes()
        self._max_bytes = settings.max_request_bytes
        self._origins = frozenset(settings.allowed_origins)
        self._hosts = frozenset({*_LOOPBACK, settings.host, *settings.allowed_hosts})
        # With a token and no list of names any name may lead here: a container cannot know its own.
        self._any_host = "*" in settings.allowed_hosts or (self._token is not None and not settings.allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            try:
                self._check(scope)
            except PolyreplError as error:
                self._refusals.note(error)
                response = self._surfaces.dialect_of(scope).render(error)
                if isinstance(error, Unauthorized) and not _has_body(scope):
                    response.headers["Connection"] = "close"
                allow_reading(response, scope)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        if scope["query_string"].count(b"&") >= _MAX_PARAMETERS:
            raise InvalidRequest(FieldError("query", f"has more than {_MAX_PARAMETERS} parameters"))
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._any_host and _name(host) not in self._hosts:
            msg = "This Host header is not allowed; see the setting allowed_hosts"
            raise Forbidden(msg)
        origin = headers.get("origin")
        is_foreign = origin is not None and _netloc(origin) != host and not self._origins & {origin, "*"}
        is_foreign = is_foreign and not is_public(scope)
        if origin is not None and is_foreign:
            self._refusals.note_origin(origin)
        # It tells nothing, and a browser sends no token with it.
        if scope.get("method") == "OPTIONS" and self._is_gateways(scope):
            return
        if is_foreign:
            msg = "Pages of this origin may not call the API; see the setting allowed_origins"
            # A Kernel Gateway pretends not to be there, but for websockets.
            raise (NotFound if scope["type"] == "http" and self._is_gateways(scope) else Forbidden)(msg)
        is_open = self._token is not None and self._is_open(scope)
        has_token = self._token is None or self._has_token(scope, headers)
        if not has_token and not is_open:
            if self._is_nowhere(scope):
                raise NotFound("")
            msg = "A valid token is required: Authorization: Bearer <token>, X-API-Key, X-Access-Token or ?token="
            raise Unauthorized(msg)
        length = headers.get("content-length")
        # Files have a limit of their own, which who takes them applies.
        is_small = "/files" not in scope["path"]
        if is_small and length is not None and length.isdigit() and int(length) > self._max_bytes:
            raise RequestTooLarge(self._max_bytes)
        scope.setdefault("state", {})["is_authorized"] = has_token
        peer = peer_of(scope)
        if has_token and peer is not None:
            peer.note_authorized()

    def _is_gateways(self, scope: Scope) -> bool:
        return self._surfaces.dialect_of(scope) is GATEWAY

    def _is_nowhere(self, scope: Scope) -> bool:
        """Whether the gateway has no such path, which its clients need no token to be told: its routes are public."""
        if self._notebook is not None or not self._is_gateways(scope):
            return False
        return all(route.matches(scope)[0] is Match.NONE for route in self._routes)

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"]
        is_open = path in _OPEN_PATHS or path.startswith(_OPEN_PREFIX) or is_public(scope)
        return is_open and not (self._notebook is not None and is_served(scope, self._notebook))

    def _has_token(self, scope: Scope, headers: Headers) -> bool:
        assert self._token is not None
        texts = [headers.get(name, "") for name in _TOKEN_HEADERS]
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme.lower() in ("bearer", "token"):
            texts.append(credentials.strip())
        given = [text.encode("latin-1") for text in texts]  # as it came: headers are bytes
        given += _tokens_in(scope["query_string"])
        return any(hmac.compare_digest(value, self._token) for value in given if value)


def _tokens_in(query: bytes) -> list[bytes]:
    """What a query gives as `token`. Each other part of it is passed over unread: there may be very many."""
    parts = [part for part in query.split(b"&") if part.startswith(b"token=")] if b"token=" in query else ()
    return [unquote_plus(part[6:].decode("latin-1")).encode("utf-8", "replace") for part in parts[:_MAX_TOKENS]]


def _has_body(scope: Scope) -> bool:
    """Whether a request announces one. To close its connection before it has come could take the answer from the client."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def _netloc(origin: str) -> str | None:
    """The host of an origin; None of `null`, which a browser sends for pages without one."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


def _name(host: str) -> str:
    """The host name without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()
