"""Jupyter's own clients on real kernels through the gateway's API: cells, widgets, input, floods, deaths."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.dialects import Dialect
from tests.harness.fixtures import TOKEN
from tests.harness.waiting import DEADLINE
from tests.harness.websocket import Socket, state, text

NAMES = {"python": "python3", "typescript": "typescript"}
MEGABYTES = 60


def socket_of(client: Client, kernel_id: str, session: str = "", **options: Any) -> Socket:
    url = client.url.replace("http", "ws", 1)
    return Socket(f"{url}/api/kernels/{kernel_id}/channels?session_id={session}&token={TOKEN}", **options)


@pytest.fixture
def kernel(client: Client, dialect: Dialect) -> Iterator[str]:
    yield from started(client, dialect)


@pytest.fixture
def python_kernel(client: Client) -> Iterator[str]:
    yield from started(client, None)


def started(client: Client, dialect: Dialect | None) -> Iterator[str]:
    name = NAMES[dialect.name] if dialect else "python3"
    response = client.http.post("/api/kernels", json={"name": name})
    assert response.status_code == 201, response.text
    yield str(response.json()["id"])
    client.http.delete(f"/api/kernels/{response.json()['id']}")


def reply_of(messages: list[dict[str, Any]]) -> dict[str, Any]:
    (reply,) = [each for each in messages if each["msg_type"].endswith("_reply")]
    return dict(reply["content"])


def test_cells_keep_their_state_and_are_shared_with_execute(client: Client, kernel: str, dialect: Dialect) -> None:
    with socket_of(client, kernel) as socket:
        assert reply_of(socket.done(socket.send("kernel_info_request")))["status"] == "ok"
        assert reply_of(socket.done(socket.execute(dialect.set("n", 41))))["status"] == "ok"
        result = client.execute("n + 1", context_id=kernel, language=dialect.name)
        assert result.text == "42"
        seen = socket.until(lambda message: message["msg_type"] == "execute_result")
        assert seen[-1]["content"]["data"]["text/plain"] == "42"
        failed = socket.done(socket.execute(dialect.fail))
        assert reply_of(failed)["status"] == "error"


def test_input_is_answered(client: Client, kernel: str, dialect: Dialect) -> None:
    with socket_of(client, kernel) as socket:
        msg_id = socket.execute(dialect.input, allow_stdin=True)
        asked = socket.until(lambda message: message["msg_type"] == "input_request")[-1]
        assert asked["content"]["prompt"].startswith("name?")
        socket.send("input_reply", "stdin", value="Ada")
        assert "Ada" in text(socket.done(msg_id))


def test_an_interrupt_stops_a_loop(client: Client, kernel: str, dialect: Dialect) -> None:
    with socket_of(client, kernel) as socket:
        msg_id = socket.execute(dialect.print_loop)
        socket.until(lambda message: message["msg_type"] == "stream")
        assert client.http.post(f"/api/kernels/{kernel}/interrupt").status_code == 204
        assert reply_of(socket.done(msg_id))["status"] == "error"
        assert reply_of(socket.done(socket.execute(dialect.set("n", 1))))["status"] == "ok"


def test_a_traceback_has_colours_where_a_front_end_asked_and_nowhere_else(client: Client, python_kernel: str) -> None:
    with socket_of(client, python_kernel) as socket:
        for code in ("1 / 0", "def broken(", "import json\njson.loads('{')"):
            seen = socket.done(socket.execute(code))
            (error,) = [each["content"] for each in seen if each["msg_type"] == "error"]
            assert "\x1b[3" in "".join(error["traceback"])
            assert reply_of(seen)["traceback"] == error["traceback"]
            result = client.execute(code, context_id=python_kernel, language="python")
            assert result.error == error["ename"]
            assert "\x1b" not in result.traceback
        for wanted in (False, True):
            seen = socket.done(socket.send("execute_request", metadata={"colors": wanted}, code="1 / 0", silent=False))
            assert ("\x1b" in "".join(reply_of(seen)["traceback"])) is wanted


def test_what_a_kernel_does_not_know_is_answered_also_while_a_cell_runs(
    client: Client, kernel: str, dialect: Dialect
) -> None:
    with socket_of(client, kernel) as socket:
        running = socket.execute(dialect.loop)
        socket.until(lambda message: message["msg_type"] == "execute_input")
        socket.send("debug_request", "control", type="request", seq=1, command="debugInfo", arguments={})
        reply = socket.until(lambda message: message["msg_type"] == "debug_reply")[-1]
        assert (reply["channel"], reply["content"]["ename"]) == ("control", "NotImplementedError")
        client.http.post(f"/api/kernels/{kernel}/interrupt")
        socket.done(running)
        assert reply_of(socket.done(socket.send("usage_request")))["evalue"] == "usage_request is not supported"


def test_comms_that_a_kernel_does_not_know_leave_nobody_waiting(client: Client, kernel: str) -> None:
    with socket_of(client, kernel) as socket:
        assert reply_of(socket.done(socket.send("comm_info_request")))["comms"] == {}
        seen = socket.done(socket.send("comm_open", comm_id="c", target_name="none", data={}), replied=False)
        (closed,) = [each for each in seen if each["msg_type"] == "comm_close"]
        assert (closed["channel"], closed["content"]["comm_id"]) == ("iopub", "c")
        for msg_type in ("comm_msg", "comm_close"):
            socket.done(socket.send(msg_type, comm_id="unknown", data={}), replied=False)
        assert reply_of(socket.done(socket.execute("1")))["status"] == "ok"


def test_a_shutdown_request_reaches_a_busy_kernel(client: Client, kernel: str, dialect: Dialect) -> None:
    with socket_of(client, kernel) as socket:
        for restart in (True, False):
            assert reply_of(socket.done(socket.execute(dialect.set("n", 41))))["status"] == "ok"
            socket.execute(dialect.loop)
            socket.until(lambda message: message["msg_type"] == "execute_input")
            socket.send("shutdown_request", "control", restart=restart)
            reply = socket.until(lambda message: message["msg_type"] == "shutdown_reply")[-1]
            assert (reply["channel"], reply["content"]) == ("control", {"status": "ok", "restart": restart})
            if restart:
                assert reply_of(socket.done(socket.execute("n")))["status"] == "error"
        socket.until(lambda message: state(message) == "dead")
        assert socket.closed()[0] == 1001
    assert client.http.get(f"/contexts/{kernel}").status_code == 404


def test_the_control_channel_of_a_foreign_kernel_answers_while_a_cell_runs(client: Client) -> None:
    kernel = client.http.post("/api/kernels", json={"name": "stock"}).json()["id"]
    with socket_of(client, kernel) as socket:
        socket.execute("print('on', flush=True)\nwhile True: pass")
        socket.until(lambda message: message["msg_type"] == "stream")
        socket.send("kernel_info_request", "control")
        told = socket.until(lambda message: message["msg_type"] == "kernel_info_reply")[-1]
        assert (told["channel"], told["content"]["implementation"]) == ("control", "ipython")
        socket.send("shutdown_request", "control", restart=True)
        reply = socket.until(lambda message: message["msg_type"] == "shutdown_reply")[-1]
        assert (reply["channel"], reply["content"]["restart"]) == ("control", True)
        assert reply_of(socket.done(socket.execute("1")))["status"] == "ok"
    client.http.delete(f"/api/kernels/{kernel}")


def test_a_kernel_that_dies_is_named_and_replaced_at_once(client: Client, kernel: str, dialect: Dialect) -> None:
    with socket_of(client, kernel) as socket:
        msg_id = socket.execute(dialect.kill_itself)
        reply, states = None, []
        while reply is None or states[-1:] != ["starting"]:
            message = socket.receive()
            if message["msg_type"] == "execute_reply":
                reply = message
            states += [state(message)] if state(message) in ("restarting", "starting") else []
        assert (reply["content"]["ename"], reply["parent_header"]["msg_id"]) == ("KernelDied", msg_id)
        assert states == ["restarting", "starting"]
        assert reply_of(socket.done(socket.execute("1")))["status"] == "ok"


def test_a_flood_is_not_dropped_for_the_one_who_asked_for_it(client: Client, kernel: str, dialect: Dialect) -> None:
    code = dialect.flood_200_mb.replace("2000", str(MEGABYTES * 10))
    with socket_of(client, kernel) as socket:
        printed = text(socket.done(socket.execute(code)))
        assert printed.count("\n") == MEGABYTES * 10
        assert len(printed) == MEGABYTES * 1_000_000


def test_a_widget_is_opened_changed_from_both_sides_and_closed(client: Client, python_kernel: str) -> None:
    with socket_of(client, python_kernel) as socket:
        code = "import ipywidgets\ns = ipywidgets.IntSlider(value=1)\nseen = []\ns.observe(lambda c: seen.append(c['new']), 'value')\ns"
        opened = [each for each in socket.done(socket.execute(code)) if each["msg_type"] == "comm_open"]
        (slider,) = [each for each in opened if each["content"]["data"]["state"].get("_model_name") == "IntSliderModel"]
        comm_id = slider["content"]["comm_id"]
        update = {"method": "update", "state": {"value": 7}, "buffer_paths": []}
        socket.send("comm_msg", comm_id=comm_id, data=update)
        shown = socket.done(socket.execute("print(s.value, seen)"))
        assert text(shown) == "7 [7]\n"
        changed = [each for each in socket.done(socket.execute("s.value = 9")) if each["msg_type"] == "comm_msg"]
        assert changed[-1]["content"]["data"]["state"]["value"] == 9
        socket.send("comm_close", comm_id=comm_id, data={})
        assert text(socket.done(socket.execute("print(s.comm is None or s.comm.comm_id)")))


def test_buffers_travel_both_ways(client: Client, python_kernel: str) -> None:
    with socket_of(client, python_kernel) as socket:
        code = (
            "from comm import create_comm, get_comm_manager\n"
            "def opened(comm, msg):\n"
            "    comm.send({'n': len(msg['buffers'])}, buffers=[bytes(reversed(bytes(msg['buffers'][0])))])\n"
            "get_comm_manager().register_target('echo', opened)"
        )
        socket.done(socket.execute(code))
        header = {"msg_id": "b", "msg_type": "comm_open", "session": "s", "version": "5.3"}
        content = {"comm_id": "c", "target_name": "echo", "data": {}}
        body = json.dumps({"header": header, "channel": "shell", "content": content}).encode()
        socket.ws.send(struct.pack("!III", 2, 12, 12 + len(body)) + body + b"\x01\x02\xff")
        while isinstance(data := socket.ws.recv(DEADLINE), str):
            pass
        count, start, end = struct.unpack_from("!III", data)
        message = json.loads(data[start:end])
        assert (count, message["msg_type"], message["content"]["data"]) == (2, "comm_msg", {"n": 1})
        assert data[end:] == b"\xff\x02\x01"


def test_a_kernel_has_the_variables_that_its_request_may_give(client: Client, python: Any) -> None:
    body = {"env": {"KERNEL_USERNAME": "ada", "OTHER": "x", "KERNEL_GATEWAY": "0"}}
    kernel = client.http.post("/api/kernels", json=body).json()["id"]
    names = ("KERNEL_USERNAME", "OTHER", "KERNEL_GATEWAY")
    result = client.execute(f"import os; [os.environ.get(name) for name in {names}]", context_id=kernel)
    assert result.text == "['ada', None, '1']"
    client.http.delete(f"/api/kernels/{kernel}")
