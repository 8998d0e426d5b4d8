"""The native dialect: packages installed into contexts."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.types import ASGIApp

from engine.api.http.errors import Problem, json_response
from engine.api.http.openapi import Answer, Operation
from engine.api.http.requests import engine_of, read_body
from engine.api.http.streaming import Disconnect, EventStream, wanted_stream
from engine.api.native.answers import ENDING, NO_CONTEXT, NOT_SUPPORTED, STREAMS
from engine.api.native.bodies import PackagesBody
from engine.models import InstallationResult
from engine.options import seconds


async def install_packages(request: Request) -> ASGIApp:
    body = await read_body(request, PackagesBody)
    engine = engine_of(request)
    installation = engine.installations.start(
        request.path_params["context_id"],
        body.packages,
        language=engine.capabilities.name_of(body.language),
        timeout=seconds(body.timeout_ms),
    )
    cancel = partial(installation.cancel, "was stopped: its client went away")
    stream = wanted_stream(request.headers.get("accept", ""))
    if stream:
        return EventStream(installation, stream, on_disconnect=cancel)
    async with Disconnect(request.receive, cancel):
        return json_response(await installation.wait())


OPERATIONS: list[Operation] = [
    Operation(
        "POST",
        "/contexts/{context_id}/packages",
        install_packages,
        "Install packages into a context, and wait or stream the progress",
        "packages",
        {
            200: Answer("The installation has ended, even if it failed", InstallationResult, STREAMS),
            403: Answer("Installations are switched off, or this host or origin is not allowed", Problem),
            404: NO_CONTEXT,
            429: Answer(
                "The context or the server has its maximum of installations", Problem, headers=("Retry-After",)
            ),
            501: NOT_SUPPORTED,
            503: ENDING,
        },
        body=PackagesBody,
    ),
]
