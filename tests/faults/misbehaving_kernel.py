"""A Jupyter kernel over zmq that breaks the protocol as the code of a cell says. Run as a program: CONNECTION_FILE [how it starts]."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import sys
import threading
import time
import uuid
from typing import Any

import zmq

FLOOD = 20_000  # messages


class Kernel:
    """One process. A cell that is `print TEXT` behaves; the other cells are named after what they do wrong."""

    def __init__(self, info: dict[str, Any]) -> None:
        self.key = info["key"].encode()
        separator = "-" if info["transport"] == "ipc" else ":"
        self.sockets: dict[str, zmq.Socket[bytes]] = {}
        for name, kind in (("shell", zmq.ROUTER), ("control", zmq.ROUTER), ("stdin", zmq.ROUTER), ("iopub", zmq.PUB)):
            socket = zmq.Context.instance().socket(kind)
            socket.sndhwm = 0
            socket.bind(f"{info['transport']}://{info['ip']}{separator}{info[name + '_port']}")
            self.sockets[name] = socket
        self.parent: dict[str, Any] = {}
        self.identity = b""
        self.count = 0

    def frames(self, msg_type: str, content: Any, parent: Any, key: bytes) -> list[bytes]:
        header = {"msg_id": uuid.uuid4().hex, "msg_type": msg_type, "session": "m", "username": "m", "version": "5.3"}
        parts = [json.dumps(part).encode() for part in (header, parent, {}, content)]
        signature = hmac.new(key, b"".join(parts), hashlib.sha256).hexdigest().encode() if key else b""
        return [b"<IDS|MSG>", signature, *parts]

    def publish(self, msg_type: str, content: Any, parent: Any = None, key: bytes | None = None) -> None:
        parent = self.parent if parent is None else parent
        self.sockets["iopub"].send_multipart([b"topic", *self.frames(msg_type, content, parent, key or self.key)])

    def reply(self, msg_type: str, content: Any, parent: Any = None) -> None:
        frames = self.frames(msg_type, content, self.parent if parent is None else parent, self.key)
        self.sockets["shell"].send_multipart([self.identity, *frames])

    def status(self, state: str) -> None:
        self.publish("status", {"execution_state": state})

    def write(self, text: str, **options: Any) -> None:
        self.publish("stream", {"name": "stdout", "text": text}, **options)

    def done(self, *, reply: bool = True, idle: bool = True) -> None:
        if reply:
            self.reply("execute_reply", {"status": "ok", "execution_count": self.count})
        if idle:
            self.status("idle")

    def serve(self, start: str) -> None:
        poller = zmq.Poller()
        poller.register(self.sockets["shell"], zmq.POLLIN)
        while True:
            poller.poll()
            self.identity, *frames = self.sockets["shell"].recv_multipart()
            header, _, _, content = (json.loads(part) for part in frames[2:6])
            if start == "mute":
                continue
            self.parent = header
            self.status("busy")
            if header["msg_type"] == "kernel_info_request":
                self.reply("kernel_info_reply", {"status": "ok", "protocol_version": "5.3"})
                self.status("idle")
            elif header["msg_type"] == "execute_request":
                self.count += 1
                self.run(content["code"])

    def run(self, code: str) -> None:
        match code:
            case "idle before output":
                self.status("idle")
                self.write("late")
                time.sleep(0.1)
                self.done(idle=False)
            case "no reply":
                self.done(reply=False)
            case "never idle":
                self.write("out")
                self.done(idle=False)
            case "twice":
                self.write("out")
                self.done()
                self.done()
            case "other parents":
                for parent in ({"msg_id": "unknown"}, {"msg_id": 3}, [], "x"):
                    self.write("not mine", parent=parent)
                    self.publish("status", {"execution_state": "idle"}, parent=parent)
                    self.reply("execute_reply", {"status": "error", "ename": "NotMine"}, parent=parent)
                self.write("mine")
                self.done()
            case "garbage":
                for junk in ([b""], [b"<IDS|MSG>"], [b"\xff" * 1000], [b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}"]):
                    self.sockets["iopub"].send_multipart(junk)
                    self.sockets["shell"].send_multipart([self.identity, *junk])
                for content in ([], None, 3, {"name": 3, "text": {"a": 1}}):
                    self.publish("display_data", content)
                self.write("mine")
                self.done()
            case "forged":
                self.write("forged", key=b"another key")
                self.write("mine")
                self.done()
            case "hang":
                while True:
                    time.sleep(60)
            case "die" | "die after the reply":
                if code != "die":
                    self.done(idle=False)
                    time.sleep(0.1)
                os._exit(3)
            case "flood after idle":
                self.done()
                parent = self.parent
                for number in range(FLOOD):
                    self.write(f"late {number}\n", parent=parent if number % 2 else {"msg_id": "unknown"})
            case "close":
                for name in ("shell", "iopub"):
                    self.sockets[name].close(0)
                threading.Event().wait()
            case _:
                self.write(code.removeprefix("print "))
                self.done()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    how = sys.argv[2] if len(sys.argv) > 2 else ""
    if how == "dies":
        sys.exit(4)
    with open(sys.argv[1]) as file:
        Kernel(json.load(file)).serve(how)
