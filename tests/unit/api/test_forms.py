"""Forms with files are parsed in pieces, and other work has its turns between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request

from engine.api.http.multipart import Form
from engine.api.notebook.routes import _read_form

pytestmark = pytest.mark.anyio

HEADERS = [(b"content-type", b"multipart/form-data; boundary=b")]
CONTENT = b"\r\n--bx" * 150_000  # each of them looks like a boundary at first
BODY = b'--b\r\nContent-Disposition: form-data; name="f"; filename="n"\r\n\r\n' + CONTENT + b"\r\n--b--\r\n"


@pytest.fixture
async def turns() -> AsyncIterator[list[int]]:
    """An entry for each turn that something else had."""
    had: list[int] = []

    async def take() -> None:
        while True:
            had.append(len(had))
            await asyncio.sleep(0)

    task = asyncio.create_task(take())
    yield had
    task.cancel()


def request() -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    return Request({"type": "http", "method": "POST", "headers": HEADERS}, receive)


async def test_a_form_for_a_notebook(turns: list[int]) -> None:
    _, files = await _read_form(request(), BODY)
    assert list(files) == ["f"]
    assert len(turns) >= len(BODY) // (64 * 1024)


async def test_a_form_whose_files_are_stored(turns: list[int]) -> None:
    size = 0
    async for part in Form(request()).files():
        async for chunk in part.chunks:
            size += len(chunk)
    assert size == len(CONTENT)
    assert len(turns) >= len(BODY) // (64 * 1024)
