"""The ASGI application and the uvicorn server around it."""

from engine.server.server import run_server

__all__ = ["run_server"]
