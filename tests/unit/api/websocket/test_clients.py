"""The gateway websocket: clients that are away, slow, wrong or many."""

from __future__ import annotations

import json

import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness.websocket import Gateway, state, text, types


def test_what_comes_while_a_session_is_away_is_kept_for_it(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel, "s1") as socket:
        msg_id = socket.execute("hold")
        socket.until(lambda message: message["msg_type"] == "execute_input")
    gateway.live.wait_until(lambda: not gateway.live.engine.contexts.get(kernel)[0].observers)
    gateway.live.call(gateway.kernels[-1].release)
    gateway.http.post("/execute", json={"context_id": kernel, "code": "hello"})
    with gateway.socket(kernel, "stranger") as stranger:
        assert text(stranger.done(stranger.execute("1"))) == ""
    with gateway.socket(kernel, "s1") as socket:
        assert "execute_reply" in types(socket.done(msg_id))
        assert text(socket.until(lambda message: message["msg_type"] == "stream")) == "hello\n"


def test_what_does_not_fit_while_a_session_is_away_is_told(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel, "s2"):
        pass
    gateway.live.wait_until(lambda: not gateway.live.engine.contexts.get(kernel)[0].observers)
    gateway.http.post("/execute", json={"context_id": kernel, "code": "flood"})
    with gateway.socket(kernel, "s2") as socket:
        first = socket.until(lambda message: message["msg_type"] == "stream")[-1]
        assert first["content"]["name"] == "stderr"
        assert "were not kept" in first["content"]["text"]
        assert text(socket.until(lambda message: state(message) == "idle")).count("x") < 60_000_000


def test_a_session_that_comes_again_takes_over(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel, "s3") as earlier, gateway.socket(kernel, "s3") as later:
        assert earlier.closed() == (1001, "This session was opened anew")
        assert gateway.model(kernel)["connections"] == 1
        assert text(later.done(later.execute("hello"))) == "hello\n"


def test_one_who_cannot_keep_up_is_closed_and_gets_the_rest_on_return(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel, "slow") as slow:
        result = gateway.http.post("/execute", json={"context_id": kernel, "code": "flood"}).json()
        assert result["status"] == "ok"
        code, reason = slow.closed()
        assert code == 1013
        assert "session_id" in reason
    with gateway.socket(kernel, "slow") as slow:
        missed = slow.until(
            lambda message: (
                state(message) == "idle" and message["parent_header"].get("msg_type") != "kernel_info_request"
            )
        )
        assert text(missed).count("x") > 10**6


def test_what_its_session_has_missed_is_no_slowness_of_one_that_returns(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel, "s4"):
        pass
    gateway.live.wait_until(lambda: not gateway.live.engine.contexts.get(kernel)[0].observers)
    gateway.http.post("/execute", json={"context_id": kernel, "code": "flood"})
    with gateway.socket(kernel, "s4", compression=None, max_queue=1) as socket:
        gateway.live.wait_until(lambda: gateway.live.engine.contexts.get(kernel)[0].observers)
        gateway.http.post("/execute", json={"context_id": kernel, "code": "more"})
        seen = text(socket.until(lambda message: message["content"].get("text", "")[:1] == "y"))
        seen += text(socket.until(lambda message: state(message) == "idle"))
    assert seen.count("x") > 5_000_000
    assert seen.endswith("y" * 7_000_000)


def test_one_message_may_be_larger_than_what_may_wait(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as socket:
        assert text(socket.done(socket.execute("large"))) == "z" * 9_000_000


@pytest.mark.parametrize("frame", ["{", "[]", b"\xff\xff\xff\xff", json.dumps({"channel": "iopub", "header": {}})])
def test_a_bad_frame_closes_its_socket_with_the_reason_and_harms_nobody(
    gateway: Gateway, kernel: str, frame: str | bytes
) -> None:
    with gateway.socket(kernel) as bad, gateway.socket(kernel) as good:
        bad.ws.send(frame)
        code, reason = bad.closed()
        assert code == 1007
        assert reason.startswith("Invalid message: ")
        assert text(good.done(good.execute("hello"))) == "hello\n"


@pytest.mark.parametrize("field", ["metadata", "content"])
def test_a_message_of_very_many_values_closes_its_socket_before_it_waits(
    gateway: Gateway, kernel: str, field: str
) -> None:
    with gateway.socket(kernel) as bad, gateway.socket(kernel) as good:
        message = {"channel": "shell", "header": {"msg_type": "execute_request"}, "content": {"code": "hello"}}
        bad.ws.send(json.dumps({**message, field: {"code": "hello", "x": [[]] * 100_000}}))
        assert bad.closed() == (1007, f"Invalid message: {field} has more than 100000 values")
        assert text(good.done(good.execute("hello,[{" * 100_000))) == ""  # they are in a string


@pytest.mark.parametrize("field", ["msg_id", "msg_type", "session"])
def test_what_is_remembered_of_a_message_is_small(gateway: Gateway, kernel: str, field: str) -> None:
    with gateway.socket(kernel) as bad:
        header = {"msg_id": "1", "msg_type": "execute_request", "session": "s", field: "x" * 5000}
        bad.ws.send(json.dumps({"channel": "shell", "header": header, "content": {"code": "1"}}))
        assert bad.closed() == (1007, f"Invalid message: header.{field} has 5000 characters, and may have 1000")


def test_a_frame_that_is_too_large_closes_its_socket_only(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as bad, gateway.socket(kernel) as good:
        bad.ws.send("x" * (17 * 1024 * 1024))
        assert bad.closed()[0] == 1009
        assert text(good.done(good.execute("hello"))) == "hello\n"


def test_many_requests_at_once_are_all_answered_in_order(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as socket:
        sent = [socket.execute(str(number)) for number in range(200)]
        replied = []
        while len(replied) < len(sent):
            message = socket.receive()
            if message["msg_type"] == "execute_reply":
                replied.append(message["parent_header"]["msg_id"])
        assert replied == sent


def test_one_who_asks_on_without_end_is_closed(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as socket, gateway.socket(kernel) as good:
        socket.execute("hold")
        socket.until(lambda message: message["msg_type"] == "execute_input")
        try:
            for number in range(1100):
                socket.execute(str(number))
        except ConnectionClosed:
            pass
        assert socket.closed()[0] == 1008
        gateway.live.call(gateway.kernels[-1].release)
        assert text(good.done(good.execute("hello"))) == "hello\n"


def test_two_hundred_sockets_on_one_kernel_all_see_the_same(gateway: Gateway, kernel: str) -> None:
    sockets = [gateway.socket(kernel) for _ in range(200)]
    try:
        msg_id = sockets[0].execute("hello")
        assert sockets[0].done(msg_id)
        assert {text(socket.done(msg_id, replied=False)) for socket in sockets[1:]} == {"hello\n"}
    finally:
        for socket in sockets:
            socket.__exit__()
