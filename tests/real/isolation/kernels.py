"""Kernels that a zygote forks into boxes, by the frames of their streams."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
from typing import Any

from tests.real.isolation.boxes import DEADLINE, Box, Parent

_HEAD = struct.Struct("<IBBH")
_SHELL = 0


class Kernel:
    """A kernel, by the server's end of its stream."""

    def __init__(self, stream: socket.socket, pidfd: int = -1, pid: int = 0) -> None:
        self.stream, self.pidfd, self.pid = stream, pidfd, pid
        stream.settimeout(DEADLINE)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.peer = 0  # the number that the sender of the last frame has here
        self.number = 0

    def request(self, kind: str, content: dict[str, Any], fds: tuple[int, ...] = ()) -> list[dict[str, Any]]:
        """The messages that answer a request, up to idle and the reply, as ``{"type", "content"}``."""
        self.number += 1
        header = {"msg_id": f"m{self.number}", "msg_type": kind, "session": "s", "version": "5.4"}
        parts = [json.dumps(part).encode() for part in (header, {}, {}, content)]
        sizes = struct.pack("<4I", *map(len, parts))
        frame = _HEAD.pack(4 + len(sizes) + sum(map(len, parts)), 1, _SHELL, 4) + sizes + b"".join(parts)
        socket.send_fds(self.stream, [frame], list(fds))
        found: list[dict[str, Any]] = []
        while not {"idle", "reply"} <= {_part_of(each) for each in found}:
            message = self.receive()
            if message["parent"] == header["msg_id"]:
                found.append(message)
        return found

    def run(self, code: str) -> str:
        """What a cell prints; its error fails the test."""
        messages = self.request("execute_request", {"code": code})
        errors = [each["content"] for each in messages if each["type"] == "error"]
        assert not errors, errors
        return "".join(each["content"]["text"] for each in messages if each["type"] == "stream")

    def receive(self) -> dict[str, Any]:
        size, _, channel, count = _HEAD.unpack(self._read(_HEAD.size))
        body = self._read(size - 4)
        lengths = struct.unpack(f"<{count}I", body[: 4 * count])
        at, parts = 4 * count, []
        for length in lengths:
            parts.append(body[at : at + length])
            at += length
        header, parent, _, content = (json.loads(part or b"{}") for part in parts[:4])
        return {"type": header["msg_type"], "channel": channel, "parent": parent.get("msg_id"), "content": content}

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more, ancillary, _, _ = self.stream.recvmsg(size - len(data), socket.CMSG_SPACE(12))
            assert more, "the kernel has closed its stream"
            for _, kind, payload in ancillary:
                if kind == socket.SCM_CREDENTIALS:
                    self.peer = struct.unpack("3i", payload)[0]
            data += more
        return data

    def kill(self) -> None:
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def close(self) -> None:
        self.stream.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)


def _part_of(message: dict[str, Any]) -> str:
    if message["type"] == "status":
        return str(message["content"]["execution_state"])
    return "reply" if message["channel"] == _SHELL else ""


def fork(zygote: Parent, box: Box, *, cwd: str = "/", **changes: Any) -> Kernel:
    """A kernel in a box, once it says that it starts."""
    answer, pidfds, reader, stream = zygote.start(box, [], confinement=zygote.confinement(**changes), cwd=cwd)
    assert answer["op"] == "spawned", answer
    os.close(reader)
    kernel = Kernel(stream, pidfds[0], answer["pid"])
    assert kernel.receive()["content"] == {"execution_state": "starting"}
    return kernel


def branch(kernel: Kernel, tag: str = "branch", **content: Any) -> Kernel:
    """A branch of a kernel, once it says that it starts."""
    ours, theirs = socket.socketpair()
    pipes = [*os.pipe(), *os.pipe()]
    try:
        plan = {"directories": [], "env": {}, "tag": tag, **content}
        messages = kernel.request("fork_request", plan, (theirs.fileno(), *pipes))
    finally:
        theirs.close()
        for fd in pipes:
            os.close(fd)
    (reply,) = (each["content"] for each in messages if _part_of(each) == "reply")
    assert reply["status"] == "ok", reply
    made = Kernel(ours)
    assert made.receive()["content"] == {"execution_state": "starting"}
    return made
