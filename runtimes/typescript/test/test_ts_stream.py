"""What only the stream has: its beginning and its end, frames that are none, a client that does not read, an interrupt in the queue."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from ts_kernel import DEADLINE, Kernel, command
from ts_stream import CHANNELS, StreamClient, StreamManager, frame

SHELL = CHANNELS.index("shell")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("stream"), transport="stream")
    yield kernel
    kernel.close()


@pytest.fixture
def own_kernel(tmp_path):
    kernel = Kernel(tmp_path, transport="stream")
    yield kernel
    kernel.close()


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until_gone(pid):
    end = time.monotonic() + DEADLINE
    while not is_gone(pid):
        assert time.monotonic() < end, f"process {pid} is still there"
        os.sched_yield()


def resident_mb(pid):
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) // 1024


def test_the_first_message_is_starting_and_a_request_may_come_before_it(tmp_path):
    manager = StreamManager(command, tmp_path, tmp_path)
    client = StreamClient(manager.socket)
    try:
        body = {"code": "1 + 1", "silent": False, "allow_stdin": False, "stop_on_error": False}
        client.shell_channel.send(client.session.msg("execute_request", body))
        first = client.get_iopub_msg(timeout=DEADLINE)
        assert (first["msg_type"], first["content"]) == ("status", {"execution_state": "starting"})
        assert first["parent_header"] == {}
        assert client.get_shell_msg(timeout=DEADLINE)["content"]["status"] == "ok"
    finally:
        manager.shutdown_kernel()


def test_a_request_that_arrives_in_pieces_is_a_request(kernel):
    message = kernel.client.session.msg("kernel_info_request", {})
    parts = [
        json.dumps(message[key], default=str).encode() for key in ("header", "parent_header", "metadata", "content")
    ]
    for byte in frame(SHELL, parts):
        kernel.manager.socket.sendall(bytes([byte]))
    reply = kernel.client.get_shell_msg(timeout=DEADLINE)
    assert reply["parent_header"]["msg_id"] == message["header"]["msg_id"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xff\xff\xff\x01\x00\x04\x00", "a frame of 4294967295 bytes"),
        (b"GET / HTTP/1.1\r\n\r\n", "version"),
        (b"\x14\0\0\0\x01\x00\x04\x00" + b"\xff" * 16, "the parts of a frame end"),
    ],
)
def test_what_is_no_frame_ends_the_kernel_with_a_reason(tmp_path, data, reason):
    (tmp_path / "connection").mkdir()
    manager = StreamManager(command, tmp_path, tmp_path / "connection", stderr=subprocess.PIPE)
    try:
        StreamClient(manager.socket).get_iopub_msg(timeout=DEADLINE)
        manager.socket.sendall(data)
        _, said = manager.process.communicate(timeout=DEADLINE)
        assert reason in said.decode()
    finally:
        manager.shutdown_kernel()


def test_a_message_without_a_header_is_dropped_and_the_next_is_answered(kernel):
    for header in (b"not json", b"[1]", b"null", b"{}"):
        kernel.manager.socket.sendall(frame(SHELL, [header, b"{}", b"{}", b'{"code": "1"}']))
    assert kernel.value("1 + 1") == "2"


def follow(kernel, msg_id):
    """The messages of a cell one by one, each read only when it is asked for."""
    while True:
        message = kernel.client.get_iopub_msg(timeout=DEADLINE)
        if message["parent_header"].get("msg_id") != msg_id:
            continue
        yield message
        if message["content"].get("execution_state") == "idle":
            break
    kernel.client.get_shell_msg(timeout=DEADLINE)


def test_a_client_that_reads_slowly_makes_the_cell_wait_and_loses_nothing(kernel):
    kernel.run("0")
    before = resident_mb(kernel.pid)
    code = "for (let i = 0; i < 1000; i++) console.log(String(i).padStart(5, '0') + 'x'.repeat(99_994))"
    texts, sizes = [], []
    for message in follow(kernel, kernel.send(code)):
        if message["msg_type"] == "stream":
            texts.append(message["content"]["text"])
            sizes.append(resident_mb(kernel.pid))
    text = "".join(texts)
    assert len(text) == 1000 * 100_000
    assert [int(each[:5]) for each in text.splitlines()] == list(range(1000))
    assert max(sizes) - before < 100


def test_displays_wait_for_a_client_that_reads_slowly_too(kernel):
    kernel.run("0")
    before = resident_mb(kernel.pid)
    code = "for (let i = 0; i < 3000; i++) display.html('x'.repeat(100_000))"
    sizes = [
        resident_mb(kernel.pid) for each in follow(kernel, kernel.send(code)) if each["msg_type"] == "display_data"
    ]
    assert len(sizes) == 3000
    assert max(sizes) - before < 100


@pytest.mark.parametrize(
    "code", ["0", "for (;;) {}", "for (;;) console.log('x'.repeat(1000))", "await new Promise(() => {})"]
)
def test_a_kernel_ends_with_its_client_and_so_does_what_it_started(own_kernel, code):
    child = int(own_kernel.value("require('node:child_process').spawn('sleep', ['300']).pid"))
    msg_id = own_kernel.send(code)
    own_kernel.wait_for(lambda m: m["parent_header"].get("msg_id") == msg_id)
    own_kernel.manager.socket.close()
    own_kernel.manager.process.wait(DEADLINE)
    wait_until_gone(child)


def test_an_interrupt_meets_the_cell_that_waits_behind_another_request(kernel):
    kernel.run(
        "var slow = new Proxy({}, { ownKeys() { const end = Date.now() + 300; while (Date.now() < end); return [] } })"
    )
    for _ in range(3):
        kernel.client.shell_channel.send(
            kernel.client.session.msg("complete_request", {"code": "slow.x", "cursor_pos": 6})
        )
        msg_id = kernel.send("await new Promise(() => {})")
        kernel.interrupt()
        assert kernel.client.get_shell_msg(timeout=DEADLINE)["msg_type"] == "complete_reply"
        assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert kernel.value("7") == "7"


def test_a_cell_that_follows_an_interrupt_is_announced_at_once(kernel):
    msg_id = kernel.send("await new Promise(() => {})", {"after_interrupt": True})
    kernel.wait_for(lambda m: m["msg_type"] == "execute_input" and m["parent_header"]["msg_id"] == msg_id)
    kernel.interrupt()
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"


def test_a_result_that_no_message_can_hold_is_left_out_and_named(kernel):
    result = kernel.run("display.html('x'.repeat(70e6)); throw new Error('y'.repeat(70e6))")
    assert result.displays == []
    assert "display_data left out" in result.stream("stderr")
    assert len(result.reply["evalue"]) == 1024 * 1024
    assert kernel.value("7") == "7"
