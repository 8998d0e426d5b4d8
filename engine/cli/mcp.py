"""MCP over standard input and output: what `polyrepl mcp` does, as a child of the program that talks to it."""

from __future__ import annotations

import asyncio
import gc

from engine.core import Engine
from engine.kernels import hide_process
from engine.log import configure
from engine.settings import Settings


def serve_stdio(settings: Settings) -> None:
    """Serve one client until it closes our standard input. The log goes to stderr."""
    configure(settings.log_level, settings.log_format)
    if settings.hide_processes:
        hide_process()
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    # Loaded here: the package is optional.
    from mcp.server.stdio import stdio_server

    from engine.api.mcp.server import make_server

    async with Engine(settings) as engine:
        engine.prepare()
        gc.freeze()
        server = make_server(engine)
        async with stdio_server() as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())
