"""The pages on which users sign in to a Jupyter server. Front ends ask for them to see whether there is a password; here is none."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from engine.api.http.requests import engine_of

_ABOUT = "This is polyrepl. It has no password and no pages of notebooks."
_USE_TOKEN = (
    f"{_ABOUT} Use the token: put ?token=TOKEN behind the URL of this server, or send the header "
    "Authorization: token TOKEN.\n"
)
_OPEN = f"{_ABOUT} It needs no token either: use the URL of this server as it is.\n"


async def explain(request: Request) -> Response:
    """200 where the client may call the API as it is; without the token it gets a 401 that says how to send it."""
    return PlainTextResponse(_USE_TOKEN if engine_of(request).settings.secret else _OPEN)


def routes() -> list[BaseRoute]:
    return [
        Route("/login", explain, methods=["GET", "POST"]),
        Route("/tree", explain),
        Route("/lab", explain),
    ]
