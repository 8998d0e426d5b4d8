"""A process that talks on an inherited stream and does what the code says: sends junk, hangs up, ends, forks. Run as a program."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
from typing import Any


class Scripted:
    """One process; `serve` reads requests until the stream ends."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.say(1, "status", {"execution_state": "starting"}, b"{}")

    def say(self, channel: int, msg_type: str, content: dict[str, Any], parent: bytes) -> None:
        header = json.dumps({"msg_id": "k", "msg_type": msg_type}).encode()
        parts = [header, parent, b"{}", json.dumps(content).encode()]
        sizes = [len(part) for part in parts]
        head = struct.pack("<IBBH4I", 20 + sum(sizes), 1, channel, 4, *sizes)
        self.stream.sendall(head + b"".join(parts))

    def serve(self) -> None:
        buffer = b""
        while True:
            data, fds, _, _ = socket.recv_fds(self.stream, 1 << 16, 8)
            if not data:
                os._exit(0)
            buffer += data
            while len(buffer) >= 24 and len(buffer) >= 4 + struct.unpack_from("<I", buffer)[0]:
                length, _, _, _, *sizes = struct.unpack_from("<IBBH4I", buffer)
                header = buffer[24 : 24 + sizes[0]]
                content = json.loads(buffer[4 + length - sizes[3] : 4 + length])
                buffer = buffer[4 + length :]
                self.handle(json.loads(header)["msg_type"], content, header, fds)

    def handle(self, msg_type: str, content: dict[str, Any], parent: bytes, fds: list[int]) -> None:
        if msg_type == "execute_request":
            self.run(content["code"], parent)
            self.say(0, "execute_reply", {"status": "ok", "execution_count": 1}, parent)
            self.say(1, "status", {"execution_state": "idle"}, parent)
        elif msg_type == "fork_request":
            if os.fork() == 0:
                self.stream.close()
                Scripted(socket.socket(fileno=fds[0])).serve()
            os.close(fds[0])
            self.say(0, "fork_reply", {"status": "ok"}, parent)
        elif msg_type == "echo_request":
            self.say(1, "status", {"execution_state": "busy"}, parent)
            self.say(0, "echo_reply", content, parent)

    def run(self, code: str, parent: bytes) -> None:
        if code == "junk":
            self.stream.sendall(b"Fatal Python error: Segmentation fault\n" * 10)
            signal.pause()
        elif code == "hang up":
            self.stream.shutdown(socket.SHUT_RDWR)
            signal.pause()
        elif code == "exit":
            self.say(1, "stream", {"name": "stdout", "text": "last words"}, parent)
            os._exit(3)
        elif code == "pid":
            self.say(1, "stream", {"name": "stdout", "text": str(os.getpid())}, parent)


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        info = json.load(file)
    assert info["transport"] == "stream", info
    assert set(os.listdir("/proc/self/fd")) <= {"0", "1", "2", str(info["fd"]), "3", "4"}, os.listdir("/proc/self/fd")
    Scripted(socket.socket(fileno=info["fd"])).serve()
