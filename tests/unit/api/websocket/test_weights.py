"""What a client of the gateway's websocket may have waiting, in bytes, and what waits for room."""

from __future__ import annotations

import contextlib
import json
import socket as sockets
import struct
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed

from engine.contexts import Budget, Share
from engine.kernels.provisioners.fake import Ask, Hold, Say
from tests.harness.websocket import Gateway, Socket, scripted_gateway, text, types

QUEUE = 200_000  # bytes
CELL = 90_000  # characters
SCRIPT = {"hold": [Hold()], "ask": [Ask("name? ")], "ask in vain": [Say("input_request", {}), Hold()]}
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with scripted_gateway(tmp_path_factory, SCRIPT, queue_bytes=QUEUE, incoming_bytes=500_000) as gateway:
        yield gateway


def share_of(gateway: Gateway, kernel: str) -> Share:
    return gateway.live.engine.contexts.get(kernel)[0].relays.share


def incoming(gateway: Gateway) -> Budget:
    return gateway.live.engine.budgets.incoming


def begin(socket: Socket, code: str, until: str = "execute_input") -> str:
    """Send a cell and return once there is a message of that type."""
    msg_id = socket.execute(code, allow_stdin=True)
    socket.until(lambda message: message["msg_type"] == until)
    return msg_id


def cells(socket: Socket, count: int) -> list[str]:
    return [socket.execute(f"{number:03}".ljust(CELL, "x")) for number in range(count)]


def replied(socket: Socket, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        message = socket.receive()
        if message["msg_type"] == "execute_reply":
            found.append(message["parent_header"]["msg_id"])
    return found


def test_cells_without_room_wait_in_the_network_and_all_run_in_their_order(gateway: Gateway, kernel: str) -> None:
    share = share_of(gateway, kernel)
    with gateway.socket(kernel) as socket:
        first = begin(socket, "hold")
        sent = cells(socket, 20)
        gateway.live.wait_until(lambda: not share.has_room)
        assert share.held < QUEUE + 2 * CELL
        gateway.live.call(gateway.kernels[-1].release)
        assert replied(socket, 21) == [first, *sent]
        gateway.live.wait_until(lambda: share.held == 0)


def test_another_client_interrupts_while_cells_of_the_first_wait_for_room(gateway: Gateway, kernel: str) -> None:
    share = share_of(gateway, kernel)
    with gateway.socket(kernel) as socket, gateway.socket(kernel, max_queue=None) as other:
        first = begin(socket, "hold")
        cells(socket, 20)
        gateway.live.wait_until(lambda: not share.has_room)
        asked = other.send("interrupt_request", "control")
        assert "interrupt_reply" in types(other.done(asked))
        assert replied(socket, 21)[0] == first


def test_an_answer_to_input_is_read_past_the_room(gateway: Gateway, kernel: str) -> None:
    share = share_of(gateway, kernel)
    with gateway.socket(kernel) as socket:
        first = begin(socket, "ask", "input_request")
        sent = cells(socket, 3)
        gateway.live.wait_until(lambda: not share.has_room)
        socket.send("input_reply", "stdin", value="Ada")
        seen = socket.done(first)
        assert text(seen) == "Ada\n"
        assert replied(socket, 3) == sent


def test_cells_wait_for_room_again_after_a_question_that_nobody_answered(gateway: Gateway, kernel: str) -> None:
    share = share_of(gateway, kernel)
    with gateway.socket(kernel) as socket:
        asked = begin(socket, "ask in vain", "input_request")
        gateway.live.call(gateway.kernels[-1].release)
        socket.done(asked)
        first = begin(socket, "hold")
        sent = cells(socket, 8)
        gateway.live.wait_until(lambda: not share.has_room)
        gateway.live.call(gateway.kernels[-1].release)
        assert replied(socket, 9) == [first, *sent]


def test_a_client_that_is_asked_and_sends_cells_without_end_is_closed_with_the_numbers(
    gateway: Gateway, kernel: str
) -> None:
    with gateway.socket(kernel) as socket:
        begin(socket, "ask", "input_request")
        with contextlib.suppress(ConnectionClosed):
            cells(socket, 8)
        code, reason = socket.closed()
    assert code == 1008
    assert "bytes, at most 400000" in reason


def test_a_client_that_leaves_while_its_cell_waits_for_room_leaves_nothing(gateway: Gateway, kernel: str) -> None:
    share = share_of(gateway, kernel)
    with gateway.socket(kernel) as socket:
        begin(socket, "hold")
        cells(socket, 4)
        gateway.live.wait_until(lambda: not share.has_room)
        socket.ws.close_socket()
    gateway.http.delete(f"/api/kernels/{kernel}")
    gateway.live.wait_until(lambda: share.held == 0 and incoming(gateway).held == 0)


def test_messages_that_are_being_received_are_weighed_together_and_small_ones_always_come(
    gateway: Gateway, kernel: str
) -> None:
    begun = []
    try:
        for _ in range(8):
            begun.append(partial(gateway, kernel, 150_000))
        gateway.live.wait_until(lambda: incoming(gateway).refused._value.get())
        assert incoming(gateway).held <= 500_000
        with gateway.socket(kernel) as socket:
            assert socket.done(socket.execute("1"))
        codes = [code for code in map(close_code, begun) if code is not None]
        assert set(codes) == {1013}
    finally:
        for connection in begun:
            connection.close()
    gateway.live.wait_until(lambda: incoming(gateway).held == 0)


def test_pings_are_answered_and_weigh_nothing_afterwards(gateway: Gateway, kernel: str) -> None:
    with gateway.socket(kernel) as socket:
        for turn in range(80):
            answers = [socket.ws.ping(f"{turn}-{number}".ljust(120)) for number in range(100)]
            assert answers[-1].wait(20)
        assert incoming(gateway).held == 0
        assert socket.done(socket.execute("1"))


def partial(gateway: Gateway, kernel: str, size: int) -> sockets.socket:
    """A websocket that has sent the first `size` bytes of a message that goes on."""
    connection = sockets.create_connection(("127.0.0.1", gateway.live.port), timeout=20)
    connection.sendall(HANDSHAKE.format(path=f"/api/kernels/{kernel}/channels").encode())
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += connection.recv(65536)
    assert b" 101 " in seen
    connection.sendall(b"\x81" + bytes([0x80 | 127]) + struct.pack("!Q", 2 * size) + bytes(4) + b"x" * size)
    return connection


def close_code(connection: sockets.socket) -> int | None:
    """The code that it was closed with, if it was."""
    connection.settimeout(0.2)
    seen = b""
    try:
        while chunk := connection.recv(65536):
            seen += chunk
            if (at := seen.rfind(b"\x88")) >= 0 and len(seen) >= at + 4:
                return int(struct.unpack("!H", seen[at + 2 : at + 4])[0])
    except TimeoutError:
        return None
    return None


def test_bodies_that_are_being_received_are_weighed_together_and_small_ones_always_come(gateway: Gateway) -> None:
    begun = []
    try:
        for _ in range(5):
            connection = sockets.create_connection(("127.0.0.1", gateway.live.port), timeout=20)
            begun.append(connection)
            head = "POST /execute HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 400000\r\n\r\n"
            connection.sendall(head.encode() + b" " * 160_000)
        gateway.live.wait_until(lambda: incoming(gateway).held > 450_000)
        large = gateway.http.post("/execute", content=json.dumps({"code": "x" * 400_000}))
        assert large.status_code == 429
        assert int(large.headers["retry-after"]) >= 1
        assert large.json()["code"] == "TooManyBytes"
        assert "at most 500000" in large.json()["message"]
        assert gateway.http.post("/execute", json={"code": "1"}).json()["status"] == "ok"
    finally:
        for connection in begun:
            connection.close()
    gateway.live.wait_until(lambda: incoming(gateway).held == 0)
    assert gateway.http.post("/execute", content=json.dumps({"code": "x" * 100_000})).status_code == 200
