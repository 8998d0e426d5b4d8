"""The code-interpreter dialect: every route, status, field and edge, over scripted kernels."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from engine.api.code_interpreter.history import MAX_ENTRIES, MAX_TEXT, Entry, History
from engine.api.code_interpreter.state import CodeInterpreterState
from engine.kernels.provisioners.fake import Die, Hold, Say

pytestmark = pytest.mark.anyio
URL = "/api/v1/code-interpreter/sessions"
SCRIPT = {
    "print": [Say("stream", {"name": "stdout", "text": "3.14\n"}), Say("stream", {"name": "stderr", "text": "warn\n"})],
    "value": [
        Say("stream", {"name": "stdout", "text": "out\n"}),
        Say("display_data", {"data": {"text/plain": "<Figure>", "image/png": "iVBOR"}, "metadata": {}}),
        Say("execute_result", {"data": {"text/plain": "42"}, "metadata": {}, "execution_count": 1}),
    ],
    "fail": [
        Say("stream", {"name": "stderr", "text": "first\n"}),
        Say("error", {"ename": "ValueError", "evalue": "bad", "traceback": ["Traceback", "ValueError: bad"]}),
    ],
    "none": [],
    "hold": [Hold()],
    "die": [Die()],
}


@pytest.fixture
async def client(api) -> httpx.AsyncClient:
    return (await api(SCRIPT)).client


@pytest.fixture
async def session(client) -> str:
    response = await client.post(URL, json={"session_id": "s1"})
    assert response.status_code == 201
    return "s1"


def is_detail(response: httpx.Response, status: int, text: str) -> None:
    assert (response.status_code, response.json()) == (status, {"detail": text})


def is_refused(response: httpx.Response, *location: str | int) -> None:
    assert response.status_code == 422, response.text
    (problem, *_) = response.json()["detail"]
    assert {"type", "loc", "msg", "input"} <= set(problem)
    assert problem["loc"] == list(location)


async def run(client: httpx.AsyncClient, code: str, **fields: Any) -> dict[str, Any]:
    response = await client.post(f"{URL}/s1/execute", json={"code": code, **fields})
    assert response.status_code == 200, response.text
    return response.json()


class TestSessions:
    async def test_a_session_is_begun(self, client):
        response = await client.post(URL, json={})
        assert response.status_code == 201
        body = response.json()
        assert set(body) == {"session_id", "status", "language", "created_at", "metadata"}
        assert str(uuid.UUID(body["session_id"])) == body["session_id"]
        assert (body["status"], body["language"], body["metadata"]) == ("active", "python", {})
        assert body["created_at"].endswith("Z")
        assert (await client.get(f"{URL}/{body['session_id']}")).json() == body

    async def test_an_id_a_language_and_a_config_can_be_given(self, client):
        body = {"session_id": "mine", "language": "ts", "config": {"anything": [1]}}
        told = (await client.post(URL, json=body)).json()
        assert (told["session_id"], told["language"]) == ("mine", "typescript")

    async def test_an_id_that_is_in_use_gets_a_new_session_and_its_kernel_ends(self, api):
        fake = await api(SCRIPT)
        for _ in range(2):
            assert (await fake.client.post(URL, json={"session_id": "s1"})).status_code == 201
            assert (await fake.client.get(f"{URL}/s1/history")).json() == {"entries": []}
            await run(fake.client, "print")
        assert len(fake.engine.contexts) == 1
        assert len(fake.kernels) == 2

    @pytest.mark.parametrize(
        ("body", "location"),
        [
            (b"", ("body",)),
            (b"{", ("body", 1)),
            (b'{"session_id": 3}', ("body", "session_id")),
            (b'{"language": []}', ("body", "language")),
            (b'{"config": 3}', ("body", "config")),
        ],
    )
    async def test_a_wrong_body_is_refused_as_fastapi_does(self, client, body: bytes, location: tuple[str | int, ...]):
        is_refused(await client.post(URL, content=body), *location)

    @pytest.mark.parametrize("body", [{"session_id": "not an id"}, {"language": "cobol"}])
    async def test_a_value_that_means_nothing_is_a_400_with_the_reason(self, client, body: dict[str, str]):
        response = await client.post(URL, json=body)
        assert response.status_code == 400
        assert isinstance(response.json()["detail"], str)
        assert next(iter(body)).removeprefix("session_") in response.json()["detail"]

    async def test_sessions_are_listed(self, client, session):
        assert [each["session_id"] for each in (await client.get(URL)).json()["sessions"]] == ["s1"]
        assert len((await client.get(f"{URL}?status=active")).json()["sessions"]) == 1
        assert (await client.get(f"{URL}?status=closed")).json() == {"sessions": []}

    async def test_an_unknown_session_is_not_found(self, client):
        is_detail(await client.get(f"{URL}/nope"), 404, "Session not found")
        is_detail(await client.post(f"{URL}/nope/execute", json={"code": "1"}), 404, "Session nope not found")
        for method, rest in (("GET", "history"), ("POST", "files"), ("GET", "files/a")):
            is_detail(await client.request(method, f"{URL}/nope/{rest}"), 404, "Session nope not found")

    async def test_a_session_is_ended_also_where_there_is_none(self, client, session):
        for name in (session, session, "never"):
            assert (await client.delete(f"{URL}/{name}")).status_code == 204
        is_detail(await client.get(f"{URL}/{session}"), 404, "Session not found")

    async def test_sessions_that_have_no_room_say_when_to_come_back(self, api):
        fake = await api(SCRIPT, max_contexts=1)
        await fake.engine.execute("hold", context_id="busy")
        response = await fake.client.post(URL, json={})
        assert (response.status_code, set(response.json())) == (429, {"detail"})
        assert response.headers["retry-after"]

    async def test_a_kernel_that_cannot_be_started_is_a_503_with_the_reason(self, api):
        response = await (await api({"start fails": []})).client.post(URL, json={})
        assert response.status_code == 503
        assert "could not be started" in response.json()["detail"]


class TestExecute:
    async def test_the_documented_answer_and_more(self, client, session):
        told = await run(client, "value")
        items = told.pop("items")
        assert [each["is_primary"] for each in items] == [False, True]
        assert items[0]["png"] == "iVBOR"
        assert told == {
            "session_id": "s1",
            "stdout": "out\n",
            "stderr": "",
            "exit_code": 0,
            "result": "42",
            "error": None,
            "output": "out\n42",
            "language": "python",
        }

    async def test_output_goes_by_its_stream(self, client, session):
        told = await run(client, "print")
        assert (told["stdout"], told["stderr"], told["result"], told["output"]) == ("3.14\n", "warn\n", "", "3.14")
        told = await run(client, "none")
        assert (told["stdout"], told["stderr"], told["result"], told["output"], told["exit_code"]) == (
            "",
            "",
            "",
            "",
            0,
        )

    async def test_very_many_outputs_are_told_whole(self, api):
        lines = [
            Say("stream", {"name": name, "text": f"{number}\n"})
            for number in range(100)
            for name in ("stdout", "stderr")
        ]
        client = (await api({"many": lines}, max_events=100)).client
        await client.post(URL, json={"session_id": "s1"})
        told, text = await run(client, "many"), "".join(f"{number}\n" for number in range(100))
        assert (told["stdout"], told["stderr"]) == (text, text)

    async def test_what_is_left_out_of_output_is_said_where_it_was(self, api):
        lines = [Say("stream", {"name": "stderr", "text": f"{number:09}\n"}) for number in range(1000)]
        client = (await api({"much": lines}, max_stream_bytes=1024)).client
        await client.post(URL, json={"session_id": "s1"})
        told = (await run(client, "much"))["stderr"]
        assert (told[:10], told[-10:]) == ("000000000\n", "000000999\n")
        assert "\n[... 8976 bytes omitted ...]\n" in told

    async def test_the_result_is_a_value_and_nothing_that_was_shown(self, api):
        shown = Say("display_data", {"data": {"text/plain": "<Figure>"}, "metadata": {}})
        client = (await api({"show": [shown]})).client
        await client.post(URL, json={"session_id": "s1"})
        told = await run(client, "show")
        assert (told["result"], told["output"], told["items"][0]["text"]) == ("", "", "<Figure>")

    async def test_an_error_is_on_stderr_with_exit_code_1(self, client, session):
        told = await run(client, "fail")
        assert (told["exit_code"], told["error"]) == (1, None)
        assert told["stderr"] == "first\nTraceback\nValueError: bad\n"

    async def test_a_timeout_says_so_and_interrupts(self, api):
        client = (await api(SCRIPT, default_timeout=0.2)).client
        await client.post(URL, json={"session_id": "s1"})
        told = await run(client, "hold")
        assert (told["exit_code"], told["stderr"]) == (1, "Execution timed out after 0.2s")
        assert (await run(client, "print"))["exit_code"] == 0

    async def test_a_kernel_that_dies_says_so(self, client, session):
        told = await run(client, "die")
        assert told["exit_code"] == 1
        assert "KernelDied" in told["stderr"]

    async def test_the_language_is_honoured(self, client, session):
        assert (await run(client, "print", language="typescript"))["language"] == "typescript"
        assert (await run(client, "print", language="py"))["language"] == "python"
        response = await client.post(f"{URL}/s1/execute", json={"code": "1", "language": "cobol"})
        assert response.status_code == 400
        assert "cobol" in response.json()["detail"]

    async def test_the_language_of_the_session_is_used_where_none_is_named(self, client):
        await client.post(URL, json={"session_id": "s1", "language": "typescript"})
        assert (await run(client, "print"))["language"] == "typescript"

    @pytest.mark.parametrize(
        ("body", "location"),
        [({}, ("body", "code")), ({"code": 1}, ("body", "code")), ({"code": "1", "language": 1}, ("body", "language"))],
    )
    async def test_a_wrong_field_is_named(self, client, session, body: dict[str, Any], location: tuple[str, ...]):
        is_refused(await client.post(f"{URL}/s1/execute", json=body), *location)


class TestHistory:
    async def test_code_and_files_are_remembered(self, client, session):
        await run(client, "value")
        await run(client, "fail", language="ts")
        await client.post(f"{URL}/s1/files", files={"file": ("up.txt", b"abc")})
        await client.get(f"{URL}/s1/files/up.txt")
        entries = (await client.get(f"{URL}/s1/history")).json()["entries"]
        assert [each["code"] for each in entries] == [
            "value",
            "fail",
            "upload_file('up.txt')",
            "download_file('up.txt')",
        ]
        assert set(entries[0]) == {"timestamp", "code", "language", "stdout", "stderr", "exit_code", "result"}
        assert (entries[0]["stdout"], entries[0]["result"], entries[0]["exit_code"]) == ("out\n", "42", 0)
        assert (entries[1]["language"], entries[1]["exit_code"]) == ("typescript", 1)
        assert entries[0]["timestamp"] <= entries[-1]["timestamp"]

    async def test_the_last_ones_are_told(self, client, session):
        for _ in range(3):
            await run(client, "print")
        await run(client, "none")
        entries = (await client.get(f"{URL}/s1/history?limit=2")).json()["entries"]
        assert [each["code"] for each in entries] == ["print", "none"]

    @pytest.mark.parametrize("limit", ["0", "501", "-1", "x", "", "99999999999999"])
    async def test_a_wrong_limit_is_refused(self, client, session, limit: str):
        is_refused(await client.get(f"{URL}/s1/history?limit={limit}"), "query", "limit")

    @pytest.mark.parametrize("limit", ["1", "500"])
    async def test_limits_from_1_to_500_are_taken(self, client, session, limit: str):
        assert (await client.get(f"{URL}/s1/history?limit={limit}")).status_code == 200

    def test_it_is_bounded(self):
        history = History()
        for number in range(MAX_ENTRIES + 10):
            history.add(Entry("t", str(number), "python"))
        assert len(history) == MAX_ENTRIES
        assert [entry.code for entry in history.last(2)] == [str(MAX_ENTRIES + 8), str(MAX_ENTRIES + 9)]
        for _ in range(100):
            history.add(Entry("t", "c", "python", stdout="x" * (MAX_TEXT + 1)))
        assert "1 characters omitted" in history.last(1)[0].stdout
        assert len(history) < 100


class TestFiles:
    async def test_a_file_goes_up_and_down(self, client, session):
        response = await client.post(f"{URL}/s1/files", files={"file": ("up.txt", b"abc")})
        assert (response.status_code, response.json()) == (200, {"filename": "up.txt", "size": 3, "session_id": "s1"})
        response = await client.get(f"{URL}/s1/files/up.txt")
        assert (response.status_code, response.content) == (200, b"abc")
        assert response.headers["content-type"] == "application/octet-stream"
        assert "attachment" in response.headers["content-disposition"]
        assert 'filename="up.txt"' in response.headers["content-disposition"]

    async def test_a_file_that_is_not_there_is_a_404(self, client, session):
        is_detail(await client.get(f"{URL}/s1/files/nope.txt"), 404, "File 'nope.txt' not found")

    async def test_a_path_that_leads_out_is_refused(self, client, session):
        for path in ("%2e%2e/x", "%2Fetc/passwd"):
            response = await client.get(f"{URL}/s1/files/{path}")
            assert (response.status_code, set(response.json())) == (400, {"detail"})
        response = await client.post(f"{URL}/s1/files", files={"file": ("../x", b"abc")})
        assert (response.status_code, set(response.json())) == (400, {"detail"})

    async def test_a_form_without_the_file_is_refused(self, client, session):
        is_refused(await client.post(f"{URL}/s1/files", files={"other": ("a", b"x")}), "body", "file")
        assert (await client.post(f"{URL}/s1/files", json={})).status_code == 400

    async def test_a_file_that_is_too_large_is_refused(self, api):
        client = (await api(SCRIPT, max_file_bytes=10)).client
        await client.post(URL, json={"session_id": "s1"})
        response = await client.post(f"{URL}/s1/files", files={"file": ("a", b"x" * 11)})
        assert (response.status_code, set(response.json())) == (413, {"detail"})


class TestService:
    async def test_health_readiness_and_providers(self, client):
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        ready = (await client.get("/readyz")).json()
        assert (ready["status"], set(ready)) == ("ok", {"status", "checks", "isolation"})
        assert (await client.get("/api/v1/providers")).json() == {
            "code_interpreter": {"default": "polyrepl", "available": ["polyrepl"]}
        }

    async def test_what_is_not_there_is_told_with_a_detail(self, client):
        is_detail(await client.get("/api/v1/memory"), 404, "Not Found")
        is_detail(await client.put(URL), 405, "Method Not Allowed")

    async def test_the_gateways_own_paths_keep_their_words(self, client):
        assert set((await client.get("/api/contents")).json()) == {"reason", "message"}

    async def test_a_token_is_asked_for_in_its_words(self, api):
        client = (await api(SCRIPT, token="t0ken")).client
        response = await client.get(URL)
        assert (response.status_code, set(response.json())) == (401, {"detail"})
        for headers in ({"Authorization": "Bearer t0ken"}, {"X-API-Key": "t0ken"}):
            assert (await client.get(URL, headers=headers)).status_code == 200
        assert (await client.get("/healthz")).status_code == 200

    async def test_the_surface_can_be_switched_off(self, api):
        assert "code" in (await (await api(surfaces=["native"])).client.get(URL)).json()


class TestSessionsOfTheSameId:
    async def test_a_file_that_comes_slowly_does_not_reach_the_session_after(self, client, session):
        has_begun, is_gone = asyncio.Event(), asyncio.Event()

        async def slow_body() -> AsyncIterator[bytes]:
            yield b"--b\r\n"
            has_begun.set()
            await is_gone.wait()
            yield b'Content-Disposition: form-data; name="file"; filename="mine"\r\n\r\nsecret\r\n--b--\r\n'

        headers = {"content-type": "multipart/form-data; boundary=b"}
        sending = asyncio.create_task(client.post(f"{URL}/s1/files", content=slow_body(), headers=headers))
        await has_begun.wait()
        assert (await client.post(URL, json={"session_id": "s1"})).status_code == 201
        is_gone.set()
        assert (await sending).status_code == 409
        assert (await client.get("/contexts/s1/files")).json()["items"] == []
        assert (await client.get(f"{URL}/s1/history")).json() == {"entries": []}

    async def test_what_was_run_in_one_is_not_in_the_history_of_the_next(self, fake_engine):
        engine = (await fake_engine()).engine
        state = CodeInterpreterState(engine)
        earlier = await engine.create_context(context_id="s1")
        await engine.delete_context("s1")
        present = await engine.create_context(context_id="s1")
        state.history(earlier).add(Entry("", "secret", "python"))
        assert state.history(present).last(10) == []


class TestOtherDialects:
    async def test_sessions_are_contexts_kernels_and_the_other_way_round(self, client, session):
        assert (await client.get("/contexts/s1")).json()["language"] == "python"
        assert (await client.get("/api/kernels/s1")).status_code == 200
        assert (await client.get("/kernels/s1")).json()["alive"] is True
        await client.post("/contexts", json={"context_id": "ours", "language": "ts"})
        told = (await client.post(f"{URL}/ours/execute", json={"code": "print"})).json()
        assert (told["stdout"], told["language"]) == ("3.14\n", "typescript")
        assert {each["session_id"] for each in (await client.get(URL)).json()["sessions"]} == {"s1", "ours"}

    async def test_files_are_those_of_the_context(self, client, session):
        await client.post(f"{URL}/s1/files", files={"file": ("dir/up.txt", b"abc")})
        assert (await client.get("/contexts/s1/files/dir/up.txt")).content == b"abc"
        await client.put("/contexts/s1/files/down.txt", content=b"xyz")
        assert (await client.get(f"{URL}/s1/files/down.txt")).content == b"xyz"
