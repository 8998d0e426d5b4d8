"""Clients that go away, over scripted connections and over real ones."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import httpx
import pytest

import engine.api.http.streaming
from tests.harness.executions import the_execution
from tests.harness.in_process import Live, serve
from tests.harness.waiting import until
from tests.unit.api.test_streaming import NDJSON, PARSE, SCRIPT, SSE, Client, both


@pytest.mark.anyio
class TestDisconnect:
    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine.api.http.streaming, "PING_INTERVAL", 0.05)

    @both
    @pytest.mark.parametrize("field", [None, "continue"])
    async def test_an_execution_goes_on_when_its_reader_leaves(self, api, kind: str, field: str | None):
        fake = await api(SCRIPT)
        client = Client(fake.client._transport.app, "/execute", {"code": "loop", "on_disconnect": field}, kind)
        await client.until("ready")
        client.leave()
        async with asyncio.timeout(60):
            await client.task
        execution = the_execution(fake.engine)
        assert execution.status == "running"
        fake.kernels[0].release()
        async with asyncio.timeout(60):
            await execution.wait()
        assert execution.status == "ok"

    @pytest.mark.parametrize("accept", [SSE, NDJSON, "*/*"])
    async def test_an_execution_is_interrupted_when_its_reader_leaves_and_asked_for_that(self, api, accept: str):
        fake = await api(SCRIPT)
        body = {"code": "loop", "on_disconnect": "interrupt"}
        client = Client(fake.client._transport.app, "/execute", body, accept)
        await until(lambda: fake.kernels and the_execution(fake.engine).journal.last >= 2)
        client.leave()
        async with asyncio.timeout(60):
            await the_execution(fake.engine).wait()
            await client.task
        assert the_execution(fake.engine).status == "interrupted"

    @pytest.mark.parametrize("accept", [SSE, NDJSON, "*/*"])
    async def test_a_reader_may_leave_in_the_moment_in_which_the_context_is_deleted(self, api, accept: str):
        fake = await api(SCRIPT)
        body = {"code": "loop", "on_disconnect": "interrupt"}
        client = Client(fake.client._transport.app, "/execute", body, accept)
        await until(lambda: fake.kernels and the_execution(fake.engine).journal.last >= 2)
        failed: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
        client.leave()
        (context,) = fake.engine.contexts
        async with asyncio.timeout(60):
            await fake.engine.delete_context(context.id)
            await client.task
        gc.collect()  # what a task failed with is said when nothing has it any more
        assert failed == []

    @pytest.mark.parametrize("accept", [SSE, NDJSON, "*/*"])
    async def test_a_reader_that_stays_to_the_end_interrupts_nothing(self, api, accept: str):
        fake = await api(SCRIPT)
        body = {"code": "all", "on_disconnect": "interrupt"}
        client = Client(fake.client._transport.app, "/execute", body, accept)
        async with asyncio.timeout(60):
            await client.task
        assert the_execution(fake.engine).status == "ok"

    @both
    async def test_a_reader_that_left_leaves_no_task_and_no_subscription_behind(self, api, kind: str):
        fake = await api(SCRIPT)
        app = fake.client._transport.app
        first = Client(app, "/execute", {"code": "stubborn", "context_id": "c"}, kind)
        await first.until("ready")
        before = asyncio.all_tasks() - {first.task}
        clients = [first]
        for _ in range(5):
            clients.append(Client(app, "/execute", {"code": "x", "context_id": "c"}, kind))
        await asyncio.sleep(0)
        for client in clients:
            client.leave()
        async with asyncio.timeout(60):
            await asyncio.gather(*(client.task for client in clients))
        await until(lambda: asyncio.all_tasks() <= before)
        assert not any(execution.journal._wakers for execution in fake.engine.executions._by_id.values())


@pytest.fixture
def live(make_fake, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine.api.http.streaming, "PING_INTERVAL", 0.05)
    fake = make_fake(SCRIPT, max_contexts=5)
    with serve(fake.engine) as server:
        server.kernels = fake.kernels  # type: ignore[attr-defined]
        yield server


class TestLive:
    """Over real connections."""

    def test_events_arrive_while_the_code_runs(self, live: Live):
        with httpx.stream("POST", live.url + "/execute", json={"code": "loop"}, headers={"Accept": NDJSON}) as response:
            lines = response.iter_lines()
            assert json.loads(next(lines))["type"] == "started"
            assert json.loads(next(lines))["text"] == "ready\n"
            live.call(lambda: live.kernels[0].release())  # type: ignore[attr-defined]
            assert json.loads(next(lines))["text"] == "over\n"
            assert [json.loads(line)["type"] for line in lines][-1] == "done"

    def test_silence_is_filled_with_comments(self, live: Live):
        with httpx.stream("POST", live.url + "/execute", json={"code": "loop"}, headers={"Accept": SSE}) as response:
            lines = response.iter_lines()
            assert next(line for line in lines if line.startswith(":")) == ": ping"
            assert next(lines) == ""
            live.call(lambda: live.kernels[0].release())  # type: ignore[attr-defined]
            assert any("over" in line for line in lines)

    @both
    def test_a_vanished_client_leaves_nothing_behind_and_can_resume(self, live: Live, kind: str):
        body = {"code": "loop", "context_id": "c"}
        before = live.tasks()
        with httpx.stream("POST", live.url + "/execute", json=body, headers={"Accept": kind}) as response:
            place = response.headers["location"]
            next(chunk for chunk in response.iter_text() if "ready" in chunk)
        live.wait_until(lambda: not the_execution(live.engine).journal._wakers)
        live.call(lambda: live.kernels[0].release())  # type: ignore[attr-defined]
        rest = httpx.get(f"{live.url}{place}/events", headers={"Accept": kind, "Last-Event-ID": "2"})
        assert [event["type"] for event in PARSE[kind](rest.text)] == ["stderr", "done"]
        assert not {name for name in live.tasks() - before if "Disconnect" in name or "EventStream" in name}

    def test_two_readers_follow_one_execution(self, live: Live):
        prefer = {"Prefer": "respond-async"}
        place = httpx.post(live.url + "/execute", json={"code": "loop"}, headers=prefer).headers["location"]
        url = f"{live.url}{place}/events"
        with (
            httpx.stream("GET", url, headers={"Accept": NDJSON}) as one,
            httpx.stream("GET", url, headers={"Accept": NDJSON}) as two,
        ):
            first, second = one.iter_lines(), two.iter_lines()
            seen = [[next(lines), next(lines)] for lines in (first, second)]
            live.call(lambda: live.kernels[0].release())  # type: ignore[attr-defined]
            assert seen[0] + list(first) == seen[1] + list(second)

    def test_a_stream_answers_its_own_input_request(self, live: Live):
        with httpx.stream("POST", live.url + "/execute", json={"code": "ask"}, headers={"Accept": NDJSON}) as response:
            lines = (json.loads(line) for line in response.iter_lines())
            request = next(event for event in lines if event["type"] == "input_request")
            assert (request["prompt"], request["password"]) == ("name? ", False)
            url = f"{live.url}{response.headers['location']}/input"
            assert httpx.post(url, json={"value": "Ada"}).status_code == 204
            assert next(lines)["text"] == "Ada\n"
            assert next(lines)["status"] == "ok"
