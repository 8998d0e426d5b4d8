"""Executions of other APIs behind a cell of the gateway's websocket, which has no deadline."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.kernels.provisioners.fake import Hold
from tests.harness.websocket import Gateway, scripted_gateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    script = {"hold": [Hold()]}
    with scripted_gateway(tmp_path_factory, script, max_timeout=0.2, default_timeout=0.2) as gateway:
        yield gateway


def test_an_execution_behind_a_cell_without_a_deadline_is_refused_in_the_end(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as socket:
        held = socket.execute("hold")
        socket.until(lambda message: message["msg_type"] == "execute_input")
        behind = socket.execute("x = 1")
        language = gateway.live.engine.contexts.get(kernel)[0].language.name
        response = gateway.http.post("/execute", json={"code": "1", "context_id": kernel, "language": language})
        assert (response.status_code, response.json()["status"]) == (409, "error")
        assert response.json()["error"]["name"] == "ContextBusy"
        gateway.live.call(gateway.kernels[-1].release)
        assert [socket.done(each)[-1]["content"]["execution_state"] for each in (held, behind)] == ["idle", "idle"]
        later = gateway.http.post("/execute", json={"code": "1", "context_id": kernel, "language": language})
        assert (later.status_code, later.json()["status"]) == (200, "ok")
