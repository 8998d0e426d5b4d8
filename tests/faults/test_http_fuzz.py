"""Requests that are malformed or absurd: each gets a refusal or a closed connection, and the server goes on.

They are written to sockets as they are: no client would send most of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import httpx
import pytest

from tests.harness.in_process import serve

pytestmark = pytest.mark.anyio

TOKEN = "s3cret-Token"
WAIT = 120.0
PEER_TIMEOUT = 0.5  # seconds
HOST = b"Host: localhost\r\nConnection: close\r\n"
AUTH = HOST + b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
JSON = AUTH + b"Content-Type: application/json\r\n"
CODE = b'{"code": "1+1"}'


def post(body: bytes, path: bytes = b"/execute", head: bytes = JSON) -> bytes:
    return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (path, head, len(body), body)


def chunked(body: bytes) -> bytes:
    return b"POST /execute HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n" + body


def get(target: bytes, head: bytes = AUTH, version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET " + target + b" " + version + b"\r\n" + head + b"\r\n"


def lengths() -> Iterator[bytes]:
    for length in (b"-1", b"+3", b"3,3", b"3, 4", b"0x3", b"3 3", b"", b"abc", b"9" * 30, b"3\x00", b"\xb3"):
        yield b"POST /execute HTTP/1.1\r\n" + JSON + b"Content-Length: " + length + b"\r\n\r\nabc"
    both = b"Content-Length: 15\r\nContent-Length: 3\r\n"
    yield b"POST /execute HTTP/1.1\r\n" + JSON + both + b"\r\n" + CODE


def chunks() -> Iterator[bytes]:
    for body in (
        b"g\r\nabc\r\n0\r\n\r\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"3abc\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"2\r\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"\r\n\r\n",
        b"3;\x00\r\nabc\r\n0\r\n\r\n",
        b"0\r\nX\x00: 1\r\n\r\n",
    ):
        yield chunked(body)


def smuggled() -> Iterator[bytes]:
    hidden = get(b"/contexts")
    for lines in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: identity, chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b" Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"Transfer-Encoding\r\n : chunked\r\n",
        b"X: 1\nTransfer-Encoding: chunked\r\n",
    ):
        yield b"POST /execute HTTP/1.1\r\n" + HOST + lines + b"\r\n0\r\n\r\n" + hidden


def heads() -> Iterator[bytes]:
    for method in (b"", b"get", b"G\x00T", b"GET,POST", b"\xff", b"X" * 5000, b"BREW", b"CONNECT", b"M-SEARCH", b"PRI"):
        yield method + b" /contexts HTTP/1.1\r\n" + AUTH + b"\r\n"
    for version in (b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.9", b"HTTP/9", b"HTTP/1.1.1", b"http/1.1", b"SPDY/1", b""):
        yield get(b"/contexts", version=version)
    for line in (b"X\x00: 1", b": 1", b"X", b"X : 1", b" X: 1", b"X: \x00", b"X: 1\r2", b"(: 1", b"\xff\xfe: 1"):
        yield get(b"/contexts", AUTH + line + b"\r\n")
    yield get(b"/contexts", AUTH + b"X: " + b"x" * 200_000 + b"\r\n")
    yield get(b"/contexts", AUTH + b"x: y\r\n" * 5000)
    yield get(b"/contexts", AUTH + b"x" * 70_000 + b": y\r\n")
    yield get(b"/contexts", HOST * 3 + AUTH)
    yield get(b"/contexts", AUTH + b"Host: other\r\n")
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)  # TLS
    yield b"\r\n" * 100 + b"\x00" * 100
    yield b"\n\n\n"


def targets() -> Iterator[bytes]:
    for target in (
        b"*",
        b"contexts",
        b"http://other/contexts",
        b"//",
        b"/\x00",
        b"/%00",
        b"/%",
        b"/%zz",
        b"/%ff%fe",
        b"/contexts/%ed%a0%80/files",
        b"/contexts/a/files/" + b"../" * 5000,
        b"/contexts/" + b"a" * 60_000,
        b"/" + b"/" * 60_000,
        b"/contexts?" + b"&" * 60_000,
        b"/contexts?" + b"a=" * 30_000,
        b"/contexts?token=" + b"%41" * 20_000,
        b"/contexts?language=%ff",
        b"/contexts?language=%00",
        b"/contexts?" + b"token=x&" * 5000,
        b"/executions/" + b"%2e%2e%2f" * 100,
        b"/executions/x/events?after=99999999999999999999999999",
        b"/executions/x/events?after=-1",
        "/contexts/\u2028".encode(),
        b"/e2b/execute",
        b"/api/kernels/" + b"x" * 5000 + b"/channels",
    ):
        yield get(target)


def bodies() -> Iterator[bytes]:
    paths = (b"/execute", b"/contexts", b"/kernels", b"/e2b/execute", b"/api/kernels", b"/api/sessions", b"/mcp")
    for body in (
        b"",
        b"\x00",
        b"\xff\xfe{}",
        b"null",
        b"[]",
        b'"x"',
        b"1e999999",
        b"9" * 5000,
        b"{" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"code": "\xff"}',
        b'{"code": "\\ud800"}',
        b'{"code": 1, "code": "1"',
        b'{"code": NaN}',
        b'{"code": "1", "timeout_ms": 1e400}',
        b'{"code": "1", "timeout_ms": ' + b"9" * 5000 + b"}",
        b'{"code": "1", "context_id": "\\u0000"}',
        b'{"code": "1", "env_vars": {"\\ud800": "x"}}',
        "{}".encode("utf-16"),
    ):
        for path in paths:
            yield post(body, path)


def kinds() -> Iterator[bytes]:
    for kind in (
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/form-data; boundary=" + b"x" * 5000,
    ):
        for body in (b"", b"--", b"--x\r\n", b"--x\r\n\r\n--x--", b"--x\r\nContent-Disposition: form-data\r\n" * 1000):
            yield post(body, b"/contexts/a/files?language=python", AUTH + b"Content-Type: " + kind + b"\r\n")
    for line in (
        b"Content-Encoding: gzip",
        b"Content-Type: text/plain; charset=utf-7",
        b"Content-Type: \xff",
        b"Expect: nothing",
    ):
        yield post(b"\x1f\x8b\x08", head=AUTH + line + b"\r\n")
    for line in (b"Accept: " + b"*/*," * 5000, b"Range: bytes=" + b"0-," * 5000, b"If-None-Match: " + b"," * 20_000):
        yield get(b"/contexts/a/files/x", AUTH + line + b"\r\n")
    for line in (b"Last-Event-ID: -1", b"Last-Event-ID: \xb2", b"Last-Event-ID: " + b"9" * 1000):
        yield get(b"/executions/x/events", AUTH + line + b"\r\n")


def noise() -> Iterator[bytes]:
    """Good requests with a few bytes changed, taken out or put in; the same at each run."""
    chance = random.Random(1)
    good = [post(CODE), chunked(b"f\r\n" + CODE + b"\r\n0\r\n\r\n"), get(b"/contexts?language=python")]
    for _ in range(150):
        raw = bytearray(chance.choice(good))
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(raw))
            raw[place : place + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 2))
        yield bytes(raw)


FAMILIES = {each.__name__: each for each in (lengths, chunks, smuggled, heads, targets, bodies, kinds, noise)}


def exchange(port: int, requests: list[bytes]) -> list[bytes]:
    """What comes back for each until its connection is closed, which the server has to do: by itself, or as nothing more comes."""
    return asyncio.run(_exchange(port, requests))


async def _exchange(port: int, requests: list[bytes]) -> list[bytes]:
    async def one(request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        received = b""
        try:
            async with asyncio.timeout(WAIT):
                writer.write(request)
                while data := await reader.read(64 * 1024):
                    received += data
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
        return received

    return await asyncio.gather(*map(one, requests))


def statuses(received: bytes) -> list[int]:
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()]


@pytest.mark.parametrize("family", FAMILIES)
async def test_no_request_is_a_failure_of_ours_or_hangs(make_fake, family: str):
    engine = make_fake(token=TOKEN, peer_timeout=PEER_TIMEOUT).engine

    requests = list(FAMILIES[family]())
    with serve(engine) as live:
        answers = await asyncio.to_thread(exchange, live.port, requests)
        async with httpx.AsyncClient(base_url=live.url, timeout=WAIT) as client:
            response = await client.post("/execute", content=CODE, headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200
    failures = [
        (request[:120], answer[:200])
        for request, answer in zip(requests, answers, strict=True)
        if any(status >= 500 and status != 501 for status in statuses(answer))
    ]
    assert failures == []


async def test_what_is_hidden_behind_a_request_is_never_answered(make_fake):
    engine = make_fake(token=TOKEN, peer_timeout=PEER_TIMEOUT).engine
    with serve(engine) as live:
        for received in await asyncio.to_thread(exchange, live.port, list(smuggled())):
            assert b'"items"' not in received
            assert set(statuses(received)) <= {400, 401}


async def test_of_requests_sent_at_once_only_so_many_are_taken(make_fake):
    engine = make_fake(token=TOKEN, peer_timeout=PEER_TIMEOUT).engine
    health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serve(engine) as live:
        few, many = await asyncio.to_thread(exchange, live.port, [health * 3, health * 2000])
    assert statuses(few) == [200] * 3
    assert len(statuses(many)) <= 200
