"""What a request can hold is bounded, and so is what is said of it: however many entries are wrong, and however long they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.api.http.parsing import MAX_VALUES, check_values, parse_json
from engine.api.native.bodies import ExecuteBody
from engine.errors import FieldError, InvalidRequest, PolyreplError
from engine.validation import MAX_ENTRIES

pytestmark = pytest.mark.anyio

MANY = 3000
LONG = "x" * 300_000
MOST = 40_000  # bytes of an answer about an error
WRONG: dict[str, list[Any]] = {
    "a list of wrong entries": [0] * MANY,
    "a map of wrong values": {f"a{number}": 0 for number in range(MANY)},
    "a map of wrong names": {f"{number}": "" for number in range(MANY)},
    "a text that is no list": LONG,
    "long names": {LONG: 0},
    "long entries": [LONG, [LONG] * 3, {LONG: LONG}],
    "deep entries": [json.loads("[" * 100 + "]" * 100)] * 2,
}
FIELDS = [
    ("POST", "/execute", {"code": "1"}, ["stdin", "env_vars", "timeout_ms", "language", "context_id", "code"]),
    ("POST", "/execute/async", {"code": "1"}, ["stdin", "env_vars"]),
    ("POST", "/contexts", {}, ["language", "context_id", "cwd"]),
    ("POST", "/contexts/a/packages", {}, ["packages"]),
    ("POST", "/contexts/a/fork", {}, ["context_id", "checkpoint"]),
    ("POST", "/contexts/a/restore", {}, ["checkpoint"]),
    ("POST", "/contexts/a/complete", {"code": "1"}, ["cursor", "language"]),
    ("POST", "/e2b/execute", {"code": "1"}, ["env_vars", "language", "context_id"]),
    ("POST", "/e2b/contexts", {}, ["cwd", "language"]),
    ("POST", "/kernels", {}, ["tags", "session_name"]),
    ("POST", "/api/v1/code-interpreter/sessions", {}, ["language", "session_id"]),
    ("POST", "/api/kernels", {}, ["name", "env", "kernel_id"]),
    ("POST", "/api/sessions", {}, ["path", "type", "kernel"]),
]


@pytest.mark.parametrize("kind", WRONG)
async def test_an_answer_about_an_error_is_short(api, kind: str):
    client = (await api()).client
    for method, path, body, fields in FIELDS:
        for field in fields:
            response = await client.request(method, path, json={**body, field: WRONG[kind]})
            assert response.status_code < 400 or len(response.content) < MOST, (path, field)


async def test_a_body_is_weighed_until_it_is_parsed(api, monkeypatch: pytest.MonkeyPatch):
    fake = await api()
    held: list[int] = []
    parse = ExecuteBody.model_validate_json

    def note(raw: bytes) -> ExecuteBody:
        held.append(fake.engine.budgets.incoming.held)
        return parse(raw)

    monkeypatch.setattr(ExecuteBody, "model_validate_json", note)
    assert (await fake.client.post("/execute", json={"code": LONG})).status_code == 200
    assert held[0] > len(LONG) // 2
    assert fake.engine.budgets.incoming.held == 0


class TestNative:
    async def test_a_list_is_looked_at_up_to_the_first_wrong_entry(self, api):
        response = await (await api()).client.post("/execute", json={"code": "1", "stdin": ["ok", 0, 1, 2]})
        assert (response.status_code, response.json()["errors"]) == (
            400,
            [{"field": "stdin.1", "error": "Input should be a valid string"}],
        )

    async def test_the_first_20_problems_are_listed_and_all_are_counted(self, api):
        names = {f"bad name {number}": 0 for number in range(300)}
        told = (await (await api()).client.post("/execute", json={"code": "1", "env_vars": names})).json()
        assert len(told["errors"]) == 20
        assert told["error_count"] >= 300

    async def test_a_map_has_a_maximum_of_entries(self, api):
        names = {f"a{number}": "" for number in range(MAX_ENTRIES + 1)}
        told = (await (await api()).client.post("/execute", json={"code": "1", "env_vars": names})).json()
        assert told["errors"] == [
            {"field": "env_vars", "error": f"must have at most {MAX_ENTRIES} entries"},
        ]

    async def test_what_is_listed_in_full_is_not_counted(self, api):
        told = (await (await api()).client.post("/execute", json={})).json()
        assert "error_count" not in told


async def test_a_422_lists_20_problems_and_counts_them(api):
    tags = {f"a{number}": 0 for number in range(300)}
    response = await (await api()).client.post("/kernels", json={"tags": tags})
    assert response.status_code == 422
    found = response.json()["detail"]
    assert len(found) == 20
    assert found[0]["error_count"] == 300


class TestValues:
    @pytest.mark.parametrize("path", ["/execute", "/kernels", "/api/kernels", "/e2b/execute", "/mcp"])
    async def test_a_document_of_too_many_values_is_refused(self, api, path: str):
        body = b'{"code": "1", "ignored": [' + b"0," * MAX_VALUES + b"0]}"
        headers = {"accept": "*/*", "mcp-session-id": "of one that is open"}
        response = await (await api()).client.post(path, content=body, headers=headers)
        assert 400 <= response.status_code < 500
        assert f"has more than {MAX_VALUES} values" in response.text

    @pytest.mark.parametrize(
        "text", ["," * 500_000, '[{"' * 200_000, "\\\\" * 100_000 + ',"' * 200_000], ids=["a", "b", "c"]
    )
    async def test_what_is_in_a_text_is_no_value(self, text: str):
        raw = json.dumps({"code": text}).encode()
        assert (await parse_json(raw, json.loads)) == {"code": text}

    @pytest.mark.parametrize(
        "raw", [b"[" * 10_000_000, b"[" * 200 + b"[]," * 3_000_000, b'{"":[' * 1_000_000, b'"\\\\",' * 200_000]
    )
    async def test_nested_values_count_too(self, raw: bytes):
        with pytest.raises(InvalidRequest):
            check_values(raw)


async def test_bodies_that_have_come_in_part_are_bounded_together(api):
    fake = await api(incoming_bytes=100_000)
    client, held = fake.client, fake.engine.budgets.incoming
    begun = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b" " * 150_000
        begun.set()
        await asyncio.Event().wait()

    slow = asyncio.create_task(client.post("/execute", content=slowly()))
    async with asyncio.timeout(20):
        await begun.wait()
    response = await client.post("/execute", json={"code": "#" * 100_000})
    assert (response.status_code, response.headers["retry-after"]) == (429, "2")
    assert (await client.post("/execute", json={"code": "#" * 1000})).status_code == 200
    slow.cancel()
    await asyncio.wait({slow})
    assert (await client.post("/execute", json={"code": "#" * 100_000})).status_code == 200
    assert held.held == 0


async def test_a_query_has_a_maximum_of_parameters(api):
    client = (await api()).client
    response = await client.get("/contexts?" + "a&" * 1000)
    assert response.status_code == 400
    assert (await client.get("/contexts?" + "&".join(["a=b"] * 1000))).status_code == 200


async def test_a_form_has_a_maximum_of_parts(api):
    part = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n\r\n'
    client = (await api()).client
    response = await client.post(
        "/contexts/a/files?language=python",
        content=part * 1001 + b"--b--",
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    assert (response.status_code, response.json()["errors"][0]["error"]) == (400, "has more than 1000 parts")


def test_an_error_is_bounded_whatever_it_names():
    assert len(PolyreplError(LONG).message) <= 2000
    wrong = InvalidRequest(*[FieldError(LONG, LONG)] * 100)
    assert (len(wrong.errors), wrong.count) == (20, 100)
    assert len(wrong.errors[0].field) <= 200
    assert wrong.explanation.endswith("; and 80 more")


def test_the_end_of_a_long_message_is_kept():
    assert InvalidRequest(FieldError("a", LONG + " allowed: b")).errors[0].error.endswith(" allowed: b")
