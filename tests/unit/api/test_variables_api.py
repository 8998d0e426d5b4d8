"""The API of variables: what a scripted kernel says is checked, bounded and waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.kernels.provisioners.fake import Die, Hold, Misbehave, Say

pytestmark = pytest.mark.anyio

ITEM = {"name": "a", "type": "int", "kind": "value", "preview": "1"}
READY = Say("stream", {"name": "stdout", "text": "ready\n"})


def reply(**content: Any) -> list[Say]:
    return [Say("variables_reply", {"status": "ok", "items": [], "total": 0, "truncated": False, **content})]


async def list_them(served: Any, query: str = "", context_id: str = "c") -> Any:
    return await served.client.get(f"/contexts/{context_id}/variables{query}")


async def start(served: Any, **fields: Any) -> str:
    body = {"code": "1", "context_id": "c", **fields}
    response = await served.client.post("/execute", json=body, headers={"Prefer": "respond-async"})
    return str(response.headers["location"])


class TestListing:
    async def test_they_are_told_as_the_kernel_tells_them(self, api):
        items = [ITEM, {**ITEM, "name": "b", "shape": [2, 3], "size_bytes": 48, "dtype": "f8", "columns": ["x"]}]
        served = await api({"variables_request": reply(items=items, total=7, truncated=True)})
        await served.client.post("/execute", json={"code": "1", "context_id": "c"})
        response = await list_them(served)
        assert response.status_code == 200
        assert response.json() == {"items": items, "total": 7, "truncated": True}

    async def test_a_context_without_a_kernel_has_none(self, api):
        served = await api({"die": [Die()]})
        await served.client.post("/execute", json={"code": "die", "context_id": "c"})
        assert (await list_them(served)).json() == {"items": [], "total": 0, "truncated": False}

    async def test_an_unknown_context_is_a_404(self, api):
        assert (await list_them(await api())).status_code == 404

    @pytest.mark.parametrize(
        "query", ["?limit=0", "?limit=1001", "?limit=x", f"?after={'x' * 201}", f"?match={'x' * 201}"]
    )
    async def test_a_wrong_parameter_is_named(self, api, query: str):
        response = await list_them(await api(), query)
        assert response.status_code == 400
        assert response.json()["errors"][0]["field"] == query[1:].partition("=")[0]

    async def test_a_language_that_cannot_tell_is_a_501_with_the_reason(self, api):
        served = await api()
        await served.client.post("/execute", json={"code": "1", "context_id": "c", "language": "ipykernel"})
        response = await list_them(served)
        assert response.status_code == 501
        assert "ipykernel" in response.json()["message"]

    async def test_of_several_languages_the_one_that_can_tell_is_asked(self, api):
        served = await api({"variables_request": reply(items=[ITEM], total=1)})
        for language in ("ipykernel", "python"):
            await served.client.post("/execute", json={"code": "1", "context_id": "c", "language": language})
        assert (await list_them(served)).json()["items"] == [ITEM]
        assert (await list_them(served, "?language=ipykernel")).status_code == 501


class TestTurns:
    async def test_they_are_told_when_the_running_cell_has_ended(self, api):
        served = await api({"loop": [READY, Hold()], "variables_request": reply(items=[ITEM], total=1)})
        place = await start(served, code="loop")
        while (await served.client.get(place)).json()["logs"]["stdout"] != ["ready"]:
            await asyncio.sleep(0)
        waiting = asyncio.create_task(list_them(served))
        served.kernels[-1].release()
        assert (await waiting).json()["items"] == [ITEM]

    async def test_a_cell_that_runs_on_makes_them_busy(self, api, monkeypatch):
        monkeypatch.setattr("engine.core._TURN_WAIT", 0.05)
        served = await api({"loop": [Hold()]})
        place = await start(served, code="loop")
        response = await list_them(served)
        assert (response.status_code, response.headers["retry-after"]) == (409, "1")
        await served.client.post(f"{place}/interrupt")


class TestUntrustedKernels:
    @pytest.mark.parametrize(
        "said",
        [
            {"items": "many"},
            {"items": [{"name": "a"}]},
            {"items": [{**ITEM, "kind": "other"}]},
            {"items": [{**ITEM, "preview": "x" * 1001}]},
            {"items": [{**ITEM, "size_bytes": 2**70}]},
            {"items": [{**ITEM, "shape": [-1]}]},
            {"items": [ITEM] * 1001},
            {"total": -1},
            {"status": "error", "ename": "MemoryError"},
        ],
    )
    async def test_what_is_no_list_of_variables_is_refused(self, api, said: dict[str, Any]):
        served = await api({"variables_request": reply(**said)})
        await served.client.post("/execute", json={"code": "1", "context_id": "c"})
        response = await list_them(served)
        assert response.status_code == 409
        assert "could not be read" in response.json()["message"]

    async def test_a_kernel_that_does_not_answer_is_left_alone(self, api, monkeypatch):
        monkeypatch.setattr("engine.core._VARIABLES_WAIT", 0.05)
        served = await api({"variables_request": []})
        await served.client.post("/execute", json={"code": "1", "context_id": "c"})
        response = await list_them(served)
        assert response.status_code == 409
        assert "within 0.05 s" in response.json()["message"]
        result = (await served.client.post("/execute", json={"code": "2", "context_id": "c"})).json()
        assert (result["status"], result["context_state"], len(served.kernels)) == ("ok", "preserved", 1)

    async def test_a_kernel_that_dies_meanwhile_is_named(self, api):
        served = await api({"variables_request": [Die()]})
        await served.client.post("/execute", json={"code": "1", "context_id": "c"})
        response = await list_them(served)
        assert response.status_code == 500
        assert "died" in response.json()["message"]


CHANGES = {"created": ["a"], "changed": [], "removed": ["b"]}


class TestChanges:
    def script(self, changes: Any) -> dict[str, Any]:
        said = Say("execute_reply", {"status": "ok", "execution_count": 1}, {"changes": changes})
        return {"1": [said, Misbehave(reply=False)]}

    async def test_they_are_in_the_result_and_in_the_last_event(self, api):
        served = await api(self.script(CHANGES))
        body = {"code": "1", "variables": True}
        result = (await served.client.post("/execute", json=body)).json()
        assert result["variables"] == CHANGES
        events = (await served.client.get(f"/executions/{result['execution_id']}/events")).json()["events"]
        assert events[-1]["variables"] == CHANGES

    async def test_the_kernel_is_asked_only_for_those_who_ask(self, api):
        served = await api(self.script(CHANGES))
        result = (await served.client.post("/execute", json={"code": "1", "context_id": "c"})).json()
        await served.client.post("/execute", json={"code": "1", "context_id": "c", "variables": True})
        assert "variables" not in result
        assert [metadata.get("changes") for _, metadata in served.kernels[-1].requests] == [None, True]

    @pytest.mark.parametrize(
        "changes", [5, {"created": 1}, {**CHANGES, "created": ["x"] * 1001}, {**CHANGES, "removed": ["x" * 1001]}]
    )
    async def test_nonsense_of_a_kernel_is_left_out(self, api, changes: Any):
        served = await api(self.script(changes))
        result = (await served.client.post("/execute", json={"code": "1", "variables": True})).json()
        assert result["status"] == "ok"
        assert "variables" not in result

    async def test_a_language_that_cannot_tell_is_refused_before_it_runs(self, api):
        served = await api()
        response = await served.client.post("/execute", json={"code": "1", "language": "ipykernel", "variables": True})
        assert response.status_code == 501
        assert served.kernels == []

    async def test_an_idempotency_key_belongs_to_what_was_asked(self, api):
        served = await api()
        headers = {"Idempotency-Key": "k"}
        await served.client.post("/execute", json={"code": "1"}, headers=headers)
        response = await served.client.post("/execute", json={"code": "1", "variables": True}, headers=headers)
        assert response.status_code == 422
