"""Clients of a polyrepl server for Python programs: `Client` and `AsyncClient`. They share the values and the errors of the engine,
and nothing else of it. `client` layer; needs httpx (`polyrepl[client]`), which is imported with the first client that is made."""

from engine.client.asynchronous import AsyncClient, AsyncEventStream
from engine.client.errors import (
    ApiError,
    ClientError,
    ClientNotInstalled,
    CodeFailed,
    ConnectionFailed,
    DeadlineExceeded,
    UnexpectedAnswer,
)
from engine.client.results import Event, Item, Result
from engine.client.sync import Client, EventStream

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncEventStream",
    "Client",
    "ClientError",
    "ClientNotInstalled",
    "CodeFailed",
    "ConnectionFailed",
    "DeadlineExceeded",
    "Event",
    "EventStream",
    "Item",
    "Result",
    "UnexpectedAnswer",
]
