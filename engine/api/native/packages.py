"""The native dialect: packages installed into contexts."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.types import ASGIApp

from engine.api.http.errors import json_response
from engine.api.http.requests import PackagesBody, engine_of, read_body
from engine.api.http.streaming import Disconnect, EventStream, wanted_stream


async def install_packages(request: Request) -> ASGIApp:
    body = await read_body(request, PackagesBody)
    engine = engine_of(request)
    installation = engine.installations.start(
        request.path_params["context_id"],
        body.packages,
        language=None if body.language is None else engine.check_language(body.language).name,
        timeout=None if body.timeout_ms is None else min(body.timeout_ms, 10**15) / 1000,
    )
    cancel = partial(installation.cancel, "was stopped: its client went away")
    stream = wanted_stream(request.headers.get("accept", ""))
    if stream:
        return EventStream(installation, stream, on_disconnect=cancel)
    async with Disconnect(request.receive, cancel):
        return json_response(await installation.wait())
