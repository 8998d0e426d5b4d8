"""The websocket of a kernel, over scripted kernels and real connections: who gets which message, and what happens to those who leave."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from engine.core import Engine
from engine.jupyter.client_frames import V1
from engine.kernels.channels.fake import FakeChannels
from engine.kernels.provisioners.fake import FakeProvisioner
from engine.settings import Settings
from tests.harness.in_process import serve
from tests.harness.websocket import WAIT, Gateway, Socket, state, text, types
from tests.unit.api.websocket.conftest import SCRIPT


def test_a_cell_runs_and_its_messages_come_on_their_channels(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as socket:
        assert state(socket.receive()) == "idle"  # told on arrival
        messages = socket.done(socket.execute("hello"))
        assert text(messages) == "hello\n"
        assert {message["msg_type"]: message["channel"] for message in messages} == {
            "status": "iopub", "execute_input": "iopub", "stream": "iopub", "execute_reply": "shell",
        }  # fmt: skip


@pytest.mark.parametrize("code", ["hello", "die"])
def test_every_message_has_a_session_and_a_parent_with_an_id(gateway: Gateway, kernel: str, code: str) -> None:
    """Clients look both up in each message: on arrival, around a cell, and when the kernel is replaced."""
    with gateway.socket(kernel) as socket:
        seen = [socket.receive()]
        socket.execute(code)
        seen += socket.until(is_idle_again if code == "die" else lambda message: state(message) == "idle")
        assert ("restarting" in map(state, seen)) is (code == "die")
        gateway.http.delete(f"/api/kernels/{kernel}")
        seen += socket.until(lambda message: state(message) == "dead")
    unasked = [each for each in seen if each["parent_header"].get("msg_type") == "kernel_info_request"]
    assert unasked[0] is seen[0]
    for message in seen:
        assert message["parent_header"]["msg_id"]
        assert message["header"]["session"]
    for message in unasked:
        assert message["parent_header"]["session"]


def is_idle_again(message: dict[str, Any]) -> bool:
    return state(message) == "idle" and message["parent_header"].get("msg_type") == "kernel_info_request"


def test_the_other_form_is_spoken_where_it_is_offered(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel, subprotocols=[V1]) as socket:
        assert socket.ws.subprotocol == V1
        assert isinstance(socket.ws.recv(WAIT), bytes)
    with gateway.socket(kernel, subprotocols=["other"]) as socket:
        assert socket.ws.subprotocol is None
        assert isinstance(socket.ws.recv(WAIT), str)


def test_everybody_sees_output_and_only_the_one_who_asked_the_reply(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as one, gateway.socket(kernel) as other:
        assert gateway.model(kernel)["connections"] == 2
        msg_id = one.execute("hello")
        one.done(msg_id)
        seen = other.done(msg_id, replied=False)
        assert text(seen) == "hello\n"
        assert "execute_reply" not in types(seen)


def test_what_execute_runs_can_be_watched(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as socket:
        result = gateway.http.post("/execute", json={"context_id": kernel, "code": "hello"}).json()
        assert result["logs"]["stdout"] == ["hello"]
        seen = socket.until(lambda message: message["msg_type"] == "stream")
        assert text(seen) == "hello\n"


def test_executions_and_cells_of_sockets_take_turns(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as socket:
        held = socket.execute("hold")
        socket.until(lambda message: message["msg_type"] == "execute_input")
        assert gateway.model(kernel)["execution_state"] == "busy"
        start = {"json": {"context_id": kernel, "code": "2"}, "headers": {"Prefer": "respond-async"}}
        execution = gateway.http.post("/execute", **start).json()["execution_id"]
        behind = socket.execute("3")
        assert gateway.http.get(f"/executions/{execution}").json()["status"] == "queued"
        gateway.live.call(gateway.kernels[-1].release)
        socket.done(held)
        socket.done(behind)
        assert gateway.http.get(f"/executions/{execution}").json()["status"] == "ok"
        codes = [content["code"] for content, _ in gateway.kernels[-1].requests]
        assert codes == ["hold", "2", "3"]


@pytest.mark.parametrize("way", ["rest", "native", "control"])
def test_an_interrupt_stops_the_cell_of_a_socket(gateway: Gateway, kernel: str, way: str) -> None:
    with gateway.socket(kernel) as socket:
        held = socket.execute("hold")
        socket.until(lambda message: message["msg_type"] == "execute_input")
        if way == "control":
            socket.send("interrupt_request", "control")
        else:
            path = "/api/kernels" if way == "rest" else "/contexts"
            assert gateway.http.post(f"{path}/{kernel}/interrupt").status_code in (200, 204)
        (reply,) = [each for each in socket.done(held) if each["msg_type"] == "execute_reply"]
        assert reply["content"]["ename"] == "KeyboardInterrupt"


def test_behind_a_cell_that_fails_those_of_its_client_are_aborted(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as socket, gateway.socket(kernel) as other:
        socket.execute("hold", stop_on_error=False)
        socket.until(lambda message: message["msg_type"] == "execute_input")
        bad, aborted, others = socket.execute("bad"), socket.execute("hello"), other.execute("hello")
        other.send("kernel_info_request")
        other.until(lambda message: message["msg_type"] == "execute_input")
        gateway.live.call(gateway.kernels[-1].release)
        assert "error" in types(socket.done(bad))
        busy, reply, idle = socket.done(aborted)
        assert (state(busy), reply["content"]["status"], state(idle)) == ("busy", "aborted", "idle")
        assert text(other.done(others)) == "hello\n"


def test_input_is_asked_of_the_one_whose_cell_it_is(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as socket, gateway.socket(kernel) as other:
        msg_id = socket.execute("ask", allow_stdin=True)
        asked = socket.until(lambda message: message["msg_type"] == "input_request")[-1]
        assert (asked["channel"], asked["content"]["prompt"]) == ("stdin", "name? ")
        socket.send("input_reply", "stdin", value="Ada")
        assert text(socket.done(msg_id)) == "Ada\n"
        assert "input_request" not in types(other.done(msg_id, replied=False))


def test_a_kernel_that_dies_is_named_restarted_and_works_again(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as socket:
        seen = socket.done(socket.execute("die"))
        (reply,) = [each for each in seen if each["msg_type"] == "execute_reply"]
        assert reply["content"]["ename"] == "KernelDied"
        assert text(socket.done(socket.execute("hello"))) == "hello\n"


def test_the_death_of_a_watched_kernel_is_told_and_the_next_one_starts_at_once(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as socket:
        count = len(gateway.kernels)
        gateway.http.post("/execute", json={"context_id": kernel, "code": "die"})
        socket.until(lambda message: state(message) == "restarting")
        gateway.live.wait_until(lambda: len(gateway.kernels) > count)


def test_a_client_that_was_not_there_at_the_death_is_told_by_its_first_cell(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as socket:
        assert text(socket.done(socket.execute("hello"))) == "hello\n"
    (context,) = gateway.live.engine.contexts.get(kernel)
    gateway.live.wait_until(lambda: not context.observers)
    gateway.live.call(lambda: gateway.kernels[-1]._on_death(-9))
    gateway.live.wait_until(lambda: context.state == "dead")
    with gateway.socket(kernel) as socket:
        told = text(socket.done(socket.execute("hello")))
        assert told.startswith("[polyrepl: the earlier state is lost: its kernel died (killed by SIGKILL) at ")
        assert told.endswith("\nhello\n")
        assert text(socket.done(socket.execute("hello"))) == "hello\n"
    answer = gateway.http.post("/execute", json={"context_id": kernel, "code": "hello"}).json()
    assert answer["context_state"] == "restarted"


def test_a_restart_keeps_the_socket_and_answers_what_waits(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as socket:
        held = socket.execute("hold")
        socket.until(lambda message: message["msg_type"] == "execute_input")
        waiting = socket.execute("hello")
        assert gateway.http.post(f"/api/kernels/{kernel}/restart").status_code == 200
        replies = {}
        while len(replies) < 2:
            message = socket.receive()
            if message["msg_type"] == "execute_reply":
                replies[message["parent_header"]["msg_id"]] = message["content"]["status"]
        assert replies == {held: "error", waiting: "error"}
        assert text(socket.done(socket.execute("hello"))) == "hello\n"


def test_a_deleted_kernel_says_that_it_is_dead_and_lets_its_sockets_go(gateway: Gateway) -> None:
    kernel = gateway.start()
    with gateway.socket(kernel) as socket:
        gateway.http.delete(f"/api/kernels/{kernel}")
        socket.until(lambda message: state(message) == "dead")
        assert socket.closed() == (1001, "The context was deleted")


def test_a_shutdown_request_ends_a_busy_kernel_and_is_answered(gateway: Gateway) -> None:
    kernel = gateway.start()
    with gateway.socket(kernel) as socket:
        socket.execute("hold")
        socket.until(lambda message: message["msg_type"] == "execute_input")
        asked = socket.send("shutdown_request", "control", restart=False)
        reply = socket.until(lambda message: message["msg_type"] == "shutdown_reply")[-1]
        assert (reply["channel"], reply["parent_header"]["msg_id"]) == ("control", asked)
        assert reply["content"] == {"status": "ok", "restart": False}
        socket.until(lambda message: state(message) == "dead")
        assert socket.closed()[0] == 1001
    for path in ("/api/kernels", "/contexts"):
        assert gateway.http.get(f"{path}/{kernel}").status_code == 404


def test_a_shutdown_request_with_restart_gives_a_new_kernel_on_the_same_socket(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as socket:
        count = len(gateway.kernels)
        held = socket.execute("hold")
        socket.until(lambda message: message["msg_type"] == "execute_input")
        socket.send("shutdown_request", "control", restart=True)
        replies: dict[str, dict[str, Any]] = {}
        while len(replies) < 2:
            message = socket.receive()
            if message["msg_type"].endswith("_reply"):
                replies[message["msg_type"]] = message
        assert replies["shutdown_reply"]["content"] == {"status": "ok", "restart": True}
        assert replies["execute_reply"]["parent_header"]["msg_id"] == held
        assert replies["execute_reply"]["content"]["status"] == "error"
        assert text(socket.done(socket.execute("hello"))) == "hello\n"
        assert len(gateway.kernels) == count + 1


def test_a_watched_context_is_not_ended_to_make_room(gateway: Gateway, kernel: str) -> None:
    (context,) = gateway.live.engine.contexts.get(kernel)
    assert context.can_go
    with gateway.socket(kernel) as socket:
        socket.receive()
        assert not context.can_go


def test_an_unknown_kernel_has_no_socket(gateway: Gateway) -> None:
    with pytest.raises(InvalidStatus) as caught:
        gateway.socket("nope")
    assert caught.value.response.status_code == 404
    assert json.loads(caught.value.response.body)["message"] == "Kernel does not exist: nope"


def test_a_socket_needs_the_token_and_an_allowed_origin(tmp_path: Any) -> None:
    settings = Settings(run_dir=tmp_path / "run", pool_max=0, token="secret")  # type: ignore[arg-type]
    engine = Engine(settings, provisioner=FakeProvisioner.of(SCRIPT), channels=FakeChannels)
    with serve(engine) as live:
        kernel = httpx.post(f"{live.url}/api/kernels?token=secret", timeout=WAIT).json()["id"]
        url = f"{live.url.replace('http', 'ws')}/api/kernels/{kernel}/channels"
        refused = [
            (url, {}, 401),
            (f"{url}?token=no", {}, 401),
            (f"{url}?token=secret", {"Origin": "https://a.example"}, 403),
            (f"{url}/nope?token=secret", {}, 404),
        ]
        for where, headers, status in refused:
            with pytest.raises(InvalidStatus) as caught:
                Socket(where, additional_headers=headers)
            assert caught.value.response.status_code == status
            body = json.loads(caught.value.response.body)
            assert body["reason"] == {401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}[status]
            assert ("allowed_origins" in body["message"]) is (status == 403)
        for where, headers in ((f"{url}?token=secret", {}), (url, {"Authorization": "token secret"})):
            with Socket(where, additional_headers=headers) as socket:
                assert text(socket.done(socket.execute("hello"))) == "hello\n"
