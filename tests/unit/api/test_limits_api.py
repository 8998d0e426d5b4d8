"""Limits in requests: what contexts get, what they show, and what is refused."""

from __future__ import annotations

import pytest

from engine.kernels.provisioners.fake import Hold
from engine.settings import MIB

pytestmark = pytest.mark.anyio

ASKED = {"memory": 100 * MIB, "processes": 64, "wall_seconds": 60.5}


async def test_a_context_shows_the_limits_that_it_was_asked_for_and_those_of_the_settings(api):
    client = (await api(context_limits={"cpus": 0.5})).client
    made = await client.post("/contexts", json={"context_id": "c", "limits": ASKED})
    assert made.status_code == 201, made.text
    assert made.json()["limits"] == {**ASKED, "cpus": 0.5, "disk": 10 << 30}
    assert (await client.get("/contexts/c")).json() | {"last_activity": ""} == made.json() | {"last_activity": ""}
    other = (await client.post("/contexts", json={})).json()["limits"]
    assert (other["processes"], other["cpus"]) == (1024, 0.5)


async def test_an_execution_makes_its_context_with_limits(api):
    client = (await api()).client
    body = {"code": "x", "context_id": "c", "limits": {"memory": 1e8}}
    assert (await client.post("/execute", json=body)).json()["status"] == "ok"
    assert (await client.get("/contexts/c")).json()["limits"]["memory"] == 100_000_000
    assert (await client.post("/execute", json=body)).json()["status"] == "ok"


async def test_a_context_keeps_its_limits_and_so_do_other_languages_of_its_id(api):
    client = (await api()).client
    await client.post("/contexts", json={"context_id": "c", "limits": {"memory": 100 * MIB}})
    for body in ({}, {"language": "typescript"}):
        refused = await client.post(
            "/execute", json={"code": "x", "context_id": "c", "limits": {"memory": 90 * MIB}, **body}
        )
        assert (refused.status_code, refused.json()["code"]) == (409, "OtherLimits")
        assert f"limits.memory is {90 * MIB}, and context 'c' has {100 * MIB}" in refused.json()["message"]
    unlimited = await client.post("/contexts", json={"context_id": "c", "limits": {"cpus": 1}})
    assert "has no such limit" in unlimited.json()["message"]
    await client.post("/execute", json={"code": "x", "context_id": "c", "language": "typescript"})
    second = (await client.get("/contexts/c", params={"language": "typescript"})).json()
    assert second["limits"]["memory"] == 100 * MIB


@pytest.mark.parametrize("path", ["/contexts", "/execute"])
@pytest.mark.parametrize(
    ("limits", "field", "error"),
    [
        ({"memory": 300 * MIB}, "limits.memory", f"is {300 * MIB}; allowed: at least {64 * MIB}, at most {200 * MIB}"),
        ({"processes": 1.5}, "limits.processes", "must be a whole number, not 1.5"),
        ({"cpus": 0}, "limits.cpus", "is 0; allowed: at least 0.1"),
        ({"speed": 1}, "limits.speed", "memory"),
        ({"disk": "much"}, "limits.disk", "valid number"),
        ([], "limits", "should be an object"),
    ],
    ids=str,
)
async def test_a_wrong_limit_is_refused_by_name(api, path: str, limits: object, field: str, error: str):
    fake = await api(context_limits={"memory": 200 * MIB})
    refused = await fake.client.post(path, json={"code": "x", "context_id": "c", "limits": limits})
    assert refused.status_code == 400
    (wrong,) = refused.json()["errors"]
    assert wrong["field"] == field
    assert error in wrong["error"]
    assert (await fake.client.get("/contexts/c")).status_code == 404


async def test_a_context_ends_at_its_lifetime_and_the_next_one_says_that_the_state_is_lost(api):
    fake = await api({"loop": [Hold()]})
    body = {"code": "loop", "context_id": "c", "limits": {"wall_seconds": 1}}
    ended = (await fake.client.post("/execute", json=body)).json()
    assert (ended["status"], ended["context_state"]) == ("interrupted", "lost")
    assert ended["error"]["name"] == "LimitExceeded"
    assert ended["error"]["value"] == "The context was ended at its limit of 1 s (wall_seconds)"
    assert (await fake.client.get("/contexts/c")).status_code == 404
    again = (await fake.client.post("/execute", json={"code": "x", "context_id": "c"})).json()
    assert (again["status"], again["context_state"]) == ("ok", "restarted")
