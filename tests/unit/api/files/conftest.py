"""The files of a context over HTTP, with small limits."""

from __future__ import annotations

import httpx
import pytest

URL = "/contexts/demo/files"


@pytest.fixture
async def client(api) -> httpx.AsyncClient:
    made = (
        await api(max_request_bytes=2048, max_file_bytes=10_000, max_context_files=6, max_context_bytes=20_000)
    ).client
    await made.post("/contexts", json={"context_id": "demo"})
    return made


def is_problem(response: httpx.Response, status: int, *words: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    for word in words:
        assert word in response.text


async def put(client: httpx.AsyncClient, path: str, content: bytes = b"0123456789") -> httpx.Response:
    return await client.put(f"{URL}/{path}", content=content)
