"""POST /execute: what is refused, by field."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.test_execute import SCRIPT, wrong

pytestmark = pytest.mark.anyio


class TestRefused:
    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"   ",
            b"{",
            b"nonsense",
            b'{"code": "x"',
            b'{"code": "x"} trailing',
            b"[]",
            b"null",
            b'"x"',
            b"1",
            b'{"code": "\xff\xfe"}',
            b'{"code": "\xc3"}',
            b'{"code": "\\ud800"}',
            b"\x00",
            b"\xef\xbb\xbf",
            b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
            b'{"code": "x", "extra": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            b'{"code": NaN}',
        ],
        ids=lambda raw: repr(raw[:24]),
    )
    async def test_a_body_that_is_no_json_object_is_a_400(self, api, raw: bytes):
        client = (await api()).client
        response = await client.post("/execute", content=raw, headers={"Content-Type": "application/json"})
        assert wrong(response)

    async def test_a_missing_code_is_named(self, api):
        assert set(wrong(await (await api()).client.post("/execute", json={}))) == {"code"}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            *(("code", value) for value in (None, 1, True, [], {}, ["x"])),
            *(("context_id", value) for value in (1, "", "a b", "é", "a/b", "x" * 129, "a\n", [], "\0")),
            *(("language", value) for value in (1, [], "", "cobol", "py thon", "\0", "x" * 10_000)),
            *(("timeout_ms", value) for value in (0, -1, 1.5, "1000", True, [], 3_600_001, 10**18, 10**400)),
            *(("env_vars", value) for value in ([], "A=1", 1)),
            *(("stdin", value) for value in ("a", 1, {})),
            *(("on_disconnect", value) for value in ("stop", 1)),
        ],
    )
    async def test_a_wrong_value_is_named_by_its_field(self, api, field: str, value: Any):
        fake = await api()
        response = await fake.client.post("/execute", json={"code": "x", field: value})
        assert set(wrong(response)) == {field}
        assert not fake.kernels

    @pytest.mark.parametrize("name", ["1A", "A-B", "", "A=B", "É", "A B", "A\0", "A\n"])
    async def test_a_bad_name_of_an_environment_variable_is_named_and_its_value_is_not(self, api, name: str):
        response = await (await api()).client.post("/execute", json={"code": "x", "env_vars": {name: "hidden"}})
        assert set(wrong(response)) == {f"env_vars.{name}"}
        assert "hidden" not in response.text

    @pytest.mark.parametrize("value", [1, None, True, [], "with \0 inside"])
    async def test_a_bad_value_of_an_environment_variable_is_named_and_not_repeated(self, api, value: Any):
        response = await (await api()).client.post("/execute", json={"code": "x", "env_vars": {"OK": "1", "A": value}})
        found = wrong(response)
        assert set(found) == {"env_vars.A"}
        assert "inside" not in response.text

    async def test_a_bad_line_of_stdin_is_named(self, api):
        response = await (await api()).client.post("/execute", json={"code": "x", "stdin": ["a", 1]})
        assert set(wrong(response)) == {"stdin.1"}

    async def test_everything_that_is_wrong_is_named_at_once(self, api):
        body = {"context_id": "", "timeout_ms": -5, "env_vars": {"1": "v"}, "stdin": "x"}
        response = await (await api()).client.post("/execute", json=body)
        assert set(wrong(response)) == {"code", "context_id", "timeout_ms", "env_vars.1", "stdin"}

    async def test_an_unknown_language_lists_what_is_allowed(self, api):
        response = await (await api()).client.post("/execute", json={"code": "x", "language": "cobol"})
        error = wrong(response)["language"]
        for name in ("python", "py", "python3", "typescript", "ts", "javascript", "js", "node"):
            assert name in error

    @pytest.mark.parametrize("path", ["/execute", "/execute/async"])
    async def test_both_ways_to_execute_refuse_alike(self, api, path: str):
        client = (await api()).client
        assert set(wrong(await client.post(path, json={"code": 1}))) == {"code"}
        assert set(wrong(await client.post(path, json={"code": "x", "language": "cobol"}))) == {"language"}

    async def test_a_full_queue_is_a_429_that_says_when_to_come_back(self, api):
        client = (await api(SCRIPT, queue_size=1)).client
        prefer = {"Prefer": "respond-async"}
        statuses = []
        for _ in range(4):
            body = {"code": "stubborn", "context_id": "c"}
            response = await client.post("/execute", json=body, headers=prefer)
            statuses.append(response.status_code)
        assert statuses[-1] == 429
        assert int(response.headers["retry-after"]) >= 1
        assert set(response.json()) == {"message", "code", "remediation"}

    async def test_too_many_busy_contexts_are_a_429(self, api):
        client = (await api(SCRIPT, max_contexts=1)).client
        await client.post("/execute", json={"code": "stubborn"}, headers={"Prefer": "respond-async"})
        response = await client.post("/execute", json={"code": "x"})
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) >= 1

    async def test_a_server_that_shuts_down_answers_503(self, api):
        fake = await api()
        await fake.engine.aclose()
        response = await fake.client.post("/execute", json={"code": "x"})
        assert (response.status_code, set(response.json())) == (503, {"message", "code", "remediation"})
