"""What browsers are told of pages of other origins."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.api.gateway import is_gateway_path
from engine.settings import Settings


class Cors:
    """Answers what a browser asks before it sends, without a token, and tags answers for the origins of the settings.

    A page of another origin is left to the guard, which says why it is refused.
    On the gateway's paths the headers of the setting `gateway_headers` are sent as they are, whoever asks: so a Kernel Gateway does."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        tagging: ASGIApp = CORSMiddleware(
            app,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=["Location", "Retry-After", "ETag"],
        )
        self._untagged = app
        self._app = tagging if settings.allowed_origins else app
        self._origins = frozenset(settings.allowed_origins)
        self._is_notebook = settings.notebook is not None
        self._headers = settings.gateway_headers if "gateway" in settings.surfaces or self._is_notebook else {}
        names_origin = any(name.lower() == "access-control-allow-origin" for name in self._headers)
        self._gateway = app if names_origin else self._app

    @staticmethod
    def is_needed(settings: Settings) -> bool:
        return bool(settings.allowed_origins or settings.gateway_headers)

    def _is_allowed(self, scope: Scope) -> bool:
        return scope["type"] != "http" or not self._origins.isdisjoint({"*", Headers(scope=scope).get("origin")})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_gateways = scope["type"] == "http" and (self._is_notebook or is_gateway_path(scope["path"]))
        if not self._headers or not is_gateways:
            await (self._app if self._is_allowed(scope) else self._untagged)(scope, receive, send)
            return

        async def send_tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
            await send(message)

        await self._gateway(scope, receive, send_tagged)


def allow_reading(response: Response, scope: Scope) -> None:
    """Let the page that is refused read why: a refusal tells nothing of anybody's. What a browser asks before it sends stays refused."""
    origin = Headers(scope=scope).get("origin")
    if origin is not None and scope.get("method") != "OPTIONS":
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers.add_vary_header("Origin")
