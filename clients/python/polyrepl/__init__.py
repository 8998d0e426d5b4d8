"""Clients of a polyrepl server for Python programs: `Client` and `AsyncClient`. They share the values and the errors of the engine,
and nothing else of it. `client` layer; needs httpx (`polyrepl[client]`), which is imported with the first client that is made.

What a name stands for is loaded when it is asked for: a program that uses one client does not wait for the other."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
_PLACES = {
    "AsyncClient": "asynchronous",
    "AsyncEventStream": "asynchronous",
    "Client": "sync",
    "Event": "results",
    "EventStream": "sync",
    "Item": "results",
    "Result": "results",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"{__name__}.{_PLACES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value
