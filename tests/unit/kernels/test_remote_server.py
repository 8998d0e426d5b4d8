"""The REST side of a remote Jupyter, without one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from engine.kernels.remote.server import RemoteServer

pytestmark = pytest.mark.anyio


async def test_a_request_after_the_end_opens_no_connections():
    server = RemoteServer("http://127.0.0.1:9")
    await server.aclose()
    with pytest.raises(ConnectionError, match="closed"):
        await server.find_kernelspec("python3")
    assert server._client is None


@contextlib.asynccontextmanager
async def answering(head: str, *pieces: bytes) -> AsyncIterator[RemoteServer]:
    """A remote that answers every request with this."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n".encode())
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        server = RemoteServer(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        yield server
        await server.aclose()


async def test_an_answer_has_a_maximum_of_bytes():
    async with answering("200 OK", *[b" " * 1024 * 1024] * 100) as server:
        with pytest.raises(ConnectionError, match="more than 4194304 bytes"):
            await server.find_kernelspec("python3")


@pytest.mark.parametrize("padding", [0, 1_000_000])
async def test_an_answer_is_read_whatever_its_length_within_it(padding: int):
    specs = {"kernelspecs": {"python3": {"spec": {"language": "Python", "x": "x" * padding}}}}
    async with answering("200 OK", json.dumps(specs).encode()) as server:
        assert (await server.find_kernelspec("python3")).language == "python"


@pytest.mark.parametrize("body", [b"no JSON", b"\xff", b"[" * 100_000])
async def test_what_is_no_json_is_said(body: bytes):
    async with answering("200 OK", body) as server:
        with pytest.raises(ConnectionError, match="with JSON"):
            await server.find_kernelspec("python3")
    async with answering("500 No", body) as server:
        with pytest.raises(ConnectionError, match="with 500: No"):
            await server.find_kernelspec("python3")


async def test_a_refusal_tells_the_first_line_of_its_message():
    async with answering("500 No", b'{"message": "full\\nTraceback"}') as server:
        with pytest.raises(ConnectionError, match=r"with 500: full$"):
            await server.find_kernelspec("python3")
