"""The path that everything is served under: taken off what comes in, put before what is told in a Location."""

from __future__ import annotations

from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Prefix:
    """An application under `path` ("/a/b"); outside of it there is nothing."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        asked = scope["path"]
        if asked != self._path and not asked.startswith(self._path + "/"):
            await JSONResponse({"message": "Not Found"}, 404)(scope, receive, send)
            return

        async def send_located(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("location", "").startswith("/"):
                    headers["location"] = self._path + headers["location"]
            await send(message)

        path = asked.removeprefix(self._path) or "/"
        # As it was sent, if it is what the client wrote before it; nobody needs to write the prefix in another way.
        sent = scope.get("raw_path", b"")
        prefix = self._path.encode()
        raw = sent[len(prefix) :] or b"/" if sent.startswith(prefix) else quote(path).encode()
        await self._app({**scope, "path": path, "raw_path": raw}, receive, send_located)
