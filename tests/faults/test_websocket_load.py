"""Many websocket clients of one kernel, slow, stalled and vanishing ones, and much output: nobody loses anything for another's sake.

WEBSOCKET_LOAD_PRINTS and WEBSOCKET_LOAD_DISPLAYS make more output."""

from __future__ import annotations

import contextlib
import json
import os
import socket as sockets
import struct
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import uvloop
from websockets.exceptions import ConnectionClosed

from engine.core import Engine
from engine.jupyter.messages import Channel
from engine.jupyter.websocket_frames import V1, decode_v1, encode_v1
from engine.server import uvicorn_protocols as wire
from engine.settings import Settings
from tests.harness.client import Client
from tests.harness.in_process import serve
from tests.harness.processes import outside
from tests.harness.server import Server
from tests.harness.waiting import DEADLINE, wait_until
from tests.harness.websocket import Gateway, Socket, text

LINES = 200
PRINTS = int(os.environ.get("WEBSOCKET_LOAD_PRINTS", "5000"))
DISPLAYS = int(os.environ.get("WEBSOCKET_LOAD_DISPLAYS", "600"))
LIMIT = 16 * 1024 * 1024  # bytes that may wait for one client of the server in this process
PING = 9


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One kernel always waits."""
    with Server(settings={"pool_min": "1", "pool_max": "1", "pool_languages": "python"}) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    client = server.client()
    yield client
    client.close()


@pytest.fixture(scope="module")
def kernel(client: Client) -> str:
    return start(client)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A server in this process, with real kernels."""
    settings = Settings(run_dir=tmp_path_factory.mktemp("load") / "run", pool_max=0, websocket_buffer_bytes=LIMIT)
    with serve(Engine(settings)) as live:
        gateway = Gateway(live, [])
        yield gateway
        gateway.http.close()


def start(client: Client) -> str:
    response = client.http.post("/api/kernels", json={"name": "python3"})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def cwd_of(client: Client, kernel: str) -> Path:
    info = client.context(kernel, "python")
    assert info is not None
    return Path(info["cwd"])


def socket_of(client: Client, kernel: str, session: str = "") -> Socket:
    url = client.url.replace("http", "ws", 1)
    return Socket(f"{url}/api/kernels/{kernel}/channels?session_id={session}", ping_interval=None)


def connections(client: Client, kernel: str) -> int:
    return int(client.http.get(f"/api/kernels/{kernel}").json()["connections"])


def opened_by_hand(client: Client, kernel: str) -> sockets.socket:
    """A websocket that answers nothing by itself."""
    url = urlsplit(client.url)
    raw = sockets.create_connection((str(url.hostname), url.port or 80), timeout=DEADLINE)
    lines = (
        f"GET /api/kernels/{kernel}/channels HTTP/1.1",
        f"Host: {url.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    )
    raw.sendall("\r\n".join((*lines, "", "")).encode())
    return raw


def flood(megabytes: int) -> str:
    return f"for i in range({megabytes}): print('x' * 999_999)"


def numbers(count: int) -> str:
    return "".join(f"{number}\n" for number in range(count))


def test_a_kernel_that_waits_is_handed_out(server: Server, client: Client) -> None:
    ready = 'polyrepl_pool_ready{language="python"} 1.0'
    wait_until(lambda: ready in client.http.get("/metrics").text, what="a kernel waits")
    waiting = {process.pid for process in server.kernels()}
    kernel = start(client)
    with socket_of(client, kernel) as socket:
        seen = socket.done(socket.execute("import os; print(os.getpid())"))
        assert outside(int(text(seen)), cwd_of(client, kernel)) in waiting


def test_two_hundred_sockets_see_everything_in_order_whatever_some_of_them_do(client: Client, kernel: str) -> None:
    with contextlib.ExitStack() as stack:
        elsewhere = stack.enter_context(socket_of(client, start(client)))
        readers = [stack.enter_context(socket_of(client, kernel)) for _ in range(180)]
        vanishing = [opened_by_hand(client, kernel) for _ in range(20)]
        wait_until(lambda: connections(client, kernel) == 200, what="all are there")
        msg_id = readers[0].execute(f"import time\nfor i in range({LINES}): print(i, flush=True); time.sleep(0.002)")
        readers[0].until(lambda message: message["msg_type"] == "stream")
        for raw in vanishing:
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
            raw.close()
        for number in range(20):
            assert text(elsewhere.done(elsewhere.execute(f"print({number})"))) == f"{number}\n"
        readers[0].done(msg_id)
        slow, fast = readers[1:20], readers[20:]
        for group in (fast, slow):  # the slow ones read nothing before all others are done
            assert {text(reader.done(msg_id, replied=False)) for reader in group} == {numbers(LINES)}
        wait_until(lambda: connections(client, kernel) == 180, what="those that vanished are noticed")
        again = readers[5].execute("print('on')")
        assert text(readers[5].done(again)) == "on\n"


class V1Socket(Socket):
    """A client of the binary protocol."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, subprotocols=[V1], **options)

    def send(self, msg_type: str, channel: str = "shell", **content: Any) -> str:
        header = {"msg_id": uuid.uuid4().hex, "msg_type": msg_type, "session": self.session, "version": "5.3"}
        parts = [json.dumps(part).encode() for part in (header, {}, {}, content)]
        self.ws.send(encode_v1(Channel(channel), parts))
        return header["msg_id"]

    def receive(self) -> dict[str, Any]:
        data = self.ws.recv(DEADLINE)
        assert isinstance(data, bytes)
        channel, parts = decode_v1(data)
        header, parent, _, content = (json.loads(part) for part in parts[:4])
        return {
            "channel": channel.value,
            "msg_type": header["msg_type"],
            "parent_header": parent,
            "content": content,
        }


@pytest.mark.parametrize("make", [Socket, V1Socket])
def test_no_output_is_dropped(gateway: Gateway, make: Callable[..., Socket]) -> None:
    """Nor that of one who reads nothing for a while, which holds its kernel up."""
    code = (
        f"for i in range({PRINTS}): print(i, flush=True)\n"
        f"for i in range({DISPLAYS}): display({{'text/plain': f'{{i:05}}' + 'x' * 20_000}}, raw=True)"
    )
    kernel = gateway.start()
    (context,) = gateway.live.engine.contexts.get(kernel)
    with make(f"{gateway.live.url.replace('http', 'ws')}/api/kernels/{kernel}/channels", compression=None) as socket:
        msg_id = socket.execute(code)
        gateway.live.wait_until(lambda: "(1 behind)" in repr(context.observers))
        messages = socket.done(msg_id)
    assert text(messages) == numbers(PRINTS)
    shown = [each["content"]["data"]["text/plain"] for each in messages if each["msg_type"] == "display_data"]
    assert [entry[:5] for entry in shown] == [f"{number:05}" for number in range(DISPLAYS)]
    assert {len(entry) for entry in shown} == {20_005}
    gateway.http.delete(f"/api/kernels/{kernel}")


def test_a_session_that_returns_gets_what_was_made_meanwhile(client: Client, kernel: str) -> None:
    gone = cwd_of(client, kernel) / "gone"
    code = f"""
import os, time
for i in range(300):
    print(i, flush=True)
    while not os.path.exists({str(gone)!r}):
        time.sleep(0.01)
"""
    with socket_of(client, kernel, "returning") as socket:
        msg_id = socket.execute(code)
        before = socket.until(lambda message: message["msg_type"] == "stream")
    wait_until(lambda: connections(client, kernel) == 0, what="it has left")
    gone.touch()
    client.execute("print('meanwhile')", context_id=kernel, language="python")  # runs after that cell
    with socket_of(client, kernel, "returning") as socket:
        after = socket.until(lambda message: message["content"].get("text", "").endswith("meanwhile\n"))
    printed = text(before) + text(after)
    assert printed == numbers(300) + "meanwhile\n"
    replies = [each["parent_header"]["msg_id"] for each in after if each["msg_type"] == "execute_reply"]
    assert replies == [msg_id]


def test_a_peer_that_answers_no_ping_is_dropped_and_one_that_does_stays() -> None:
    with Server(settings={"pool_max": "0", "websocket_ping_interval": "1"}) as server:
        client = server.client()
        kernel = start(client)
        with socket_of(client, kernel) as living, opened_by_hand(client, kernel) as dead:
            wait_until(lambda: connections(client, kernel) == 2, what="both are there")
            received = b""
            while data := dead.recv(65536):
                received += data
            assert bytes([0x80 | PING]) in received
            wait_until(lambda: connections(client, kernel) == 1, what="the dead one is gone")
            assert text(living.done(living.execute("print('alive')"))) == "alive\n"
        client.close()


def test_one_that_stalls_in_its_own_output_is_closed_and_harms_nobody(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "STALL_WAIT", 1.0)
    kernel, other = gateway.start(), gateway.start()
    client = Client(gateway.live.url)
    with (
        opened_by_hand(client, kernel) as stalled,
        gateway.socket(kernel) as watching,
        gateway.socket(other) as elsewhere,
    ):
        stalled.sendall(frame_of({"msg_id": "m", "msg_type": "execute_request"}, code=flood(30)))
        assert text(elsewhere.done(elsewhere.execute("print('hello')"))) == "hello\n"
        assert len(text(watching.done("m", replied=False))) == 30_000_000
        wait_until(lambda: connections(client, kernel) == 1, what="the stalled one is dropped")
        assert text(watching.done(watching.execute("print('hello')"))) == "hello\n"
    client.close()


def frame_of(header: dict[str, str], **content: str) -> bytes:
    """A text frame of a request; masked with zeros."""
    text = json.dumps({"header": header, "channel": "shell", "content": content}).encode()
    return struct.pack("!BBHI", 0x81, 0x80 | 126, len(text), 0) + text


def test_a_slow_reader_of_its_own_output_beside_a_fast_one_gets_all_of_it(gateway: Gateway) -> None:
    kernel = gateway.start()
    with gateway.socket(kernel) as slow, gateway.socket(kernel) as fast, ThreadPoolExecutor(1) as pool:
        msg_id = slow.execute(flood(15))
        watched = pool.submit(fast.done, msg_id, replied=False)
        assert len(text(slow.done(msg_id))) == 15_000_000
        assert len(text(watched.result(DEADLINE))) == 15_000_000


def up_to_the_close(socket: Socket) -> tuple[list[dict[str, Any]], int | None]:
    seen = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            seen.append(socket.receive())
    return seen, socket.ws.close_code


LINE = 100_000
COUNTED = {
    "python3": f"for i in range(300): print(f'{{i:05}}'.ljust({LINE - 1}, 'x'))",
    "typescript": f"for (let i = 0; i < 300; i++) console.log(String(i).padStart(5, '0').padEnd({LINE - 1}, 'x'))",
}


@pytest.mark.parametrize("name", COUNTED)
def test_one_that_reads_nothing_of_anothers_output_is_let_go_told_and_holds_nobody_up(
    gateway: Gateway, name: str
) -> None:
    whole = "".join(f"{number:05}".ljust(LINE - 1, "x") + "\n" for number in range(300))
    kernel = gateway.http.post("/api/kernels", json={"name": name}).json()["id"]
    (context,) = gateway.live.engine.contexts.get(kernel)
    with gateway.socket(kernel, "other", max_queue=1, compression=None) as other, gateway.socket(kernel) as asking:
        gateway.live.wait_until(lambda: len(context.observers) == 2)
        assert text(asking.done(asking.execute(COUNTED[name]))) == whole
        assert len(context.observers) == 1
        before, code = up_to_the_close(other)
        assert code == 1013
        with gateway.socket(kernel, "other") as again:
            mark = asking.send("kernel_info_request")
            after = again.until(lambda message: message["parent_header"].get("msg_id") == mark)
    (notice,) = [each for each in after if each["content"].get("name") == "stderr"]
    assert "were not kept while you were away" in notice["content"]["text"]
    after.remove(notice)
    assert whole.startswith(text(before))
    assert whole.endswith(text(after))
    assert LIMIT - LINE < len(text(before) + text(after)) < len(whole)
    gateway.http.delete(f"/api/kernels/{kernel}")


def test_an_accepted_socket_sends_at_once(tmp_path: Path) -> None:
    """TCP_NODELAY, asked of the kernel for the server's end of the connection, which is in this process; on the server's loop."""
    engine = Engine(Settings(run_dir=tmp_path / "run", pool_max=0))
    with serve(engine, new_loop=uvloop.new_event_loop) as live:
        gateway = Gateway(live, [])
        with contextlib.closing(gateway.http), gateway.socket(gateway.start()) as socket:
            assert socket.receive()
            peer = socket.ws.socket.getsockname()
            (fd,) = [each.fd for each in psutil.Process().net_connections("tcp") if each.raddr == peer]
            with sockets.socket(fileno=os.dup(fd)) as accepted:
                assert accepted.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY)


def test_clients_that_are_gone_leave_no_task(gateway: Gateway) -> None:
    kernel = gateway.start()
    for _ in range(20):
        with gateway.socket(kernel) as socket:
            socket.ws.send("[]")
            assert socket.closed()[0] == 1007
    gateway.live.wait_until(lambda: not gateway.live.engine.contexts.get(kernel)[0].observers)
    assert not {name for name in gateway.live.tasks() if name.startswith("_Client.")}
