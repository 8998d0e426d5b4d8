"""The MCP transport: the server behind it, which the first request loads."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from types import ModuleType
from typing import Any, cast

import httpx
import pytest

from engine.api.mcp.sessions import Sessions
from engine.api.mcp.transport import McpState
from engine.core import Engine
from engine.metrics import Metrics
from engine.output.normalizer import Normalizer

pytestmark = pytest.mark.anyio


async def test_a_start_that_failed_is_tried_again_by_the_next_request(fake_engine, monkeypatch: pytest.MonkeyPatch):
    load, refused = importlib.import_module, ["engine.api.mcp.server"]

    def import_module(name: str, *rest: Any) -> ModuleType:
        if name in refused:
            refused.remove(name)
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(importlib, "import_module", import_module)
    state = McpState((await fake_engine()).engine)
    transport = httpx.ASGITransport(state, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        codes = [(await client.post("/mcp", json={}, headers={"accept": "text/plain"})).status_code for _ in range(2)]
    await state.aclose()
    assert codes == [500, 406]


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
ACCEPTED = {"accept": "application/json, text/event-stream"}


@pytest.fixture
async def mcp(fake_engine) -> AsyncIterator[Callable[..., Awaitable[tuple[httpx.AsyncClient, Engine]]]]:
    async with contextlib.AsyncExitStack() as stack:

        async def start(**settings: Any) -> tuple[httpx.AsyncClient, Engine]:
            engine = (await fake_engine(**settings)).engine
            state = McpState(engine)
            stack.push_async_callback(state.aclose)
            client = httpx.AsyncClient(transport=httpx.ASGITransport(state), base_url="http://localhost")
            return await stack.enter_async_context(client), engine

        yield start


async def opened(client: httpx.AsyncClient) -> str:
    response = await client.post("/mcp", json=INITIALIZE, headers=ACCEPTED)
    assert response.status_code == 200, response.text
    return response.headers["mcp-session-id"]


async def pinged(client: httpx.AsyncClient, session: str) -> int:
    headers = {**ACCEPTED, "mcp-session-id": session, "mcp-protocol-version": "2025-06-18"}
    return (await client.post("/mcp", json=PING, headers=headers)).status_code


async def test_a_new_session_replaces_the_one_that_is_idle_for_longest(mcp):
    client, engine = await mcp(max_mcp_sessions=3)
    first, second, third = [await opened(client) for _ in range(3)]
    assert await pinged(client, first) == 200
    fourth = await opened(client)
    assert [await pinged(client, each) for each in (first, second, third, fourth)] == [200, 404, 200, 200]
    shown = engine.metrics.render().decode()
    assert "polyrepl_mcp_sessions 3.0" in shown
    assert "polyrepl_mcp_sessions_evicted_total 1.0" in shown


class Manager:
    """A transport whose answers to POST end when they are released. They open a session where none is named."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.released: dict[str, asyncio.Event] = {}

    async def handle_request(self, scope: Any, receive: Any, send: Any) -> None:
        named = dict(scope["headers"]).get(b"mcp-session-id", scope.get("opens", b""))
        if scope["method"] == "DELETE":
            self.ended.append(named.decode())
            return
        headers = [(b"mcp-session-id", named)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.released.setdefault(named.decode(), asyncio.Event()).wait()


async def test_a_session_is_idle_from_the_end_of_its_last_call_on():
    manager, metrics = Manager(), Metrics()
    sessions = Sessions(2, metrics)

    async def begin(session: str, *, opens: bool = False) -> asyncio.Task[None]:
        manager.released[session] = asyncio.Event()
        name = session.encode()
        scope = {"method": "POST", "headers": [] if opens else [(b"mcp-session-id", name)], "opens": name}
        task = asyncio.create_task(sessions.serve(cast("Any", manager), scope, _unused, _unused))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return task

    async def call(session: str, *, opens: bool = False) -> None:
        task = await begin(session, opens=opens)
        manager.released[session].set()
        await task

    await call("a", opens=True)
    await call("b", opens=True)
    long = await begin("a")
    await call("b")
    manager.released["a"].set()
    await long
    await call("c", opens=True)
    assert manager.ended == ["b"]  # which had its last call before the end of a's
    opening = await begin("d", opens=True)
    await call("e", opens=True)
    await call("f", opens=True)
    assert "d" not in manager.ended
    manager.released["d"].set()
    await opening


async def test_a_session_that_has_ended_for_its_age_is_not_counted(monkeypatch: pytest.MonkeyPatch):
    metrics = Metrics()
    sessions = Sessions(5, metrics)
    manager = Manager()
    for name in (b"a", b"b"):
        manager.released[name.decode()] = asyncio.Event()
        manager.released[name.decode()].set()
        scope = {"method": "POST", "headers": [], "opens": name}
        await sessions.serve(cast("Any", manager), scope, _unused, _unused)
    assert "polyrepl_mcp_sessions 2.0" in metrics.render().decode()
    monkeypatch.setattr("engine.api.mcp.sessions.IDLE", 0.0)
    assert "polyrepl_mcp_sessions 0.0" in metrics.render().decode()


async def _unused(*_: Any) -> Any:
    """What an application is given."""


async def test_a_session_that_its_client_has_ended_makes_room(mcp):
    client, engine = await mcp(max_mcp_sessions=2)
    first, second = [await opened(client) for _ in range(2)]
    await client.delete("/mcp", headers={"mcp-session-id": first})
    third = await opened(client)
    assert [await pinged(client, each) for each in (second, third)] == [200, 200]
    assert "polyrepl_mcp_sessions_evicted_total 0.0" in engine.metrics.render().decode()


async def test_what_a_session_keeps_of_its_client_is_small(mcp):
    client, _ = await mcp()
    info = {**INITIALIZE["params"], "clientInfo": {"name": "x" * 70_000, "version": "1"}}
    response = await client.post("/mcp", json={**INITIALIZE, "params": info}, headers=ACCEPTED)
    assert (response.status_code, response.json()["code"]) == (413, "RequestTooLarge")
    assert await pinged(client, await opened(client)) == 200


async def test_its_bodies_have_the_limits_of_all_bodies(mcp):
    client, engine = await mcp(max_request_bytes=100_000, incoming_bytes=1024)
    large = await client.post("/mcp", content=b" " * 100_001, headers=ACCEPTED)
    assert (large.status_code, large.json()["code"]) == (413, "RequestTooLarge")
    other = engine.budgets.incoming.share()
    other.take(70_000)
    refused = await client.post("/mcp", content=b" " * 90_000, headers=ACCEPTED)
    assert (refused.status_code, refused.json()["code"]) == (429, "TooManyBytes")
    other.give(70_000)
    assert engine.budgets.incoming.held == 0


async def test_a_body_is_weighed_until_its_request_is_answered(mcp, monkeypatch: pytest.MonkeyPatch):
    client, engine = await mcp()
    session = await opened(client)
    budget, serve = engine.budgets.incoming, Sessions.serve
    held: list[int] = []

    async def weighed(*args: Any) -> None:
        await serve(*args)
        held.append(budget.held)

    monkeypatch.setattr(Sessions, "serve", weighed)
    headers = {**ACCEPTED, "mcp-session-id": session, "mcp-protocol-version": "2025-06-18"}
    body = {**PING, "params": {"_meta": {"text": "x" * 200_000}}}
    assert (await client.post("/mcp", json=body, headers=headers)).status_code == 200
    assert held[0] > 200_000 - budget.spared
    assert budget.held == 0


async def test_lines_of_an_answer_are_those_that_a_terminal_shows(mcp):
    from engine.api.mcp.content import lines_of
    from engine.output import to_lines

    line = "".join(map(chr, range(32, 127)))
    for text in ("", "\n", "a", "a\n\n", "10%\r100%\nb\n", f"{line}\n\n" * 20_000, f"0{line}\r1\n" * 5000):
        assert lines_of(text) == "\n".join(to_lines(text))


async def test_an_answer_never_has_all_lines_of_an_execution_at_once(mcp, monkeypatch: pytest.MonkeyPatch):
    client, engine = await mcp()
    monkeypatch.setattr(Normalizer, "logs", None)
    execution = await engine.execute("1")
    await execution.wait()
    session = {**ACCEPTED, "mcp-session-id": await opened(client), "mcp-protocol-version": "2025-06-18"}
    uri = f"polyrepl://executions/{execution.id}/stdout"
    for method, params in (
        ("tools/call", {"name": "get_execution", "arguments": {"execution_id": execution.id}}),
        ("resources/read", {"uri": uri}),
    ):
        asked = {"jsonrpc": "2.0", "id": 3, "method": method, "params": params}
        answer = (await client.post("/mcp", json=asked, headers=session)).text
        assert '"result"' in answer
        assert '"isError":true' not in answer
