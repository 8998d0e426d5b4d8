"""A kernel process on a stream and a small synchronous client, for tests of what only the stream has; every wait has a deadline."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
LAUNCHER = ROOT / "runtimes/python/launch.py"
DEADLINE = 60.0
SHELL, IOPUB, CONTROL, STDIN = range(4)
Sent = dict[str, Any]


class StreamKernel:
    """Starts the kernel with a connection file that names an inherited socket. `command` is what the file's name is put behind."""

    def __init__(self, directory: Path, command: Sequence[str] = (sys.executable, str(LAUNCHER), "-f")) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(DEADLINE)
        connection = directory / "connection.json"
        connection.write_text(json.dumps({"transport": "stream", "fd": theirs.fileno()}))
        self.process = subprocess.Popen(
            [*command, str(connection)],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            cwd=directory,
            start_new_session=True,
        )
        theirs.close()
        self._buffer = bytearray()
        self._count = 0

    def request(self, code: str, *, metadata: dict[str, Any] | None = None, **content: Any) -> str:
        """Send an execute_request; returns its msg_id."""
        body = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": False}
        return self.send(SHELL, "execute_request", {**body, **content}, metadata)

    def send(self, channel: int, msg_type: str, content: Any, metadata: Any = None) -> str:
        self._count += 1
        msg_id = f"request_{self._count}"
        header = {"msg_id": msg_id, "session": "s", "username": "u", "date": "", "msg_type": msg_type, "version": "5.4"}
        self.send_parts(channel, [json.dumps(part).encode() for part in (header, {}, metadata or {}, content)])
        return msg_id

    def send_parts(self, channel: int, parts: list[bytes]) -> None:
        """Send what need not be a message."""
        self.socket.sendall(frame(channel, parts))

    def messages(self) -> Iterator[Sent]:
        """Everything that the kernel sends, until it closes the stream."""
        while True:
            while (parts := self._take()) is not None:
                channel, header, parent, metadata, content = parts
                yield {
                    "channel": channel,
                    "msg_type": header["msg_type"],
                    "parent": parent.get("msg_id", ""),
                    "metadata": metadata,
                    "content": content,
                }
            data = self.socket.recv(1 << 18)
            if not data:
                return
            self._buffer += data

    def _take(self) -> tuple[int, Any, Any, Any, Any] | None:
        if len(self._buffer) < 8:
            return None
        length, version, channel, count = struct.unpack_from("<IBBH", self._buffer)
        assert version == 1
        if len(self._buffer) < 4 + length:
            return None
        sizes = struct.unpack_from(f"<{count}I", self._buffer, 8)
        at, parts = 8 + 4 * count, []
        for size in sizes:
            parts.append(bytes(self._buffer[at : at + size]))
            at += size
        del self._buffer[: 4 + length]
        header, parent, metadata, content = map(json.loads, parts[:4])
        return channel, header, parent, metadata, content

    def until(self, msg_id: str, msg_type: str, **content: Any) -> list[Sent]:
        """The messages of a request up to the one of that type and content."""
        found = []
        for message in self.messages():
            if message["parent"] != msg_id:
                continue
            found.append(message)
            if message["msg_type"] == msg_type and content.items() <= message["content"].items():
                return found
        raise EOFError

    def run(self, code: str, **options: Any) -> list[Sent]:
        """Run a cell; returns its messages, the status `idle` last."""
        return self.until(self.request(code, **options), "status", execution_state="idle")

    def interrupt(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def close(self) -> None:
        self.socket.close()
        try:
            self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            self.process.wait()


def frame(channel: int, parts: list[bytes]) -> bytes:
    sizes = [len(part) for part in parts]
    head = struct.pack("<IBBH", 4 + 4 * len(parts) + sum(sizes), 1, channel, len(parts))
    return head + struct.pack(f"<{len(parts)}I", *sizes) + b"".join(parts)


def reply(messages: list[Sent]) -> dict[str, Any]:
    (content,) = [each["content"] for each in messages if each["msg_type"] == "execute_reply"]
    found: dict[str, Any] = content
    return found


def value(messages: list[Sent]) -> str:
    (content,) = [each["content"] for each in messages if each["msg_type"] == "execute_result"]
    text: str = content["data"]["text/plain"]
    return text


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until_childless(pid: int) -> None:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while left := [child for child in map(int, children.read_text().split()) if not is_gone(child)]:
        wait_until_gone(left[0])


def wait_until_gone(pid: int) -> None:
    end = time.monotonic() + DEADLINE
    while not is_gone(pid):
        assert time.monotonic() < end, f"process {pid} is still there"
        os.sched_yield()
