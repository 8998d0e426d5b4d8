"""A kernel process and a small synchronous client for the tests of kernels; every wait has a deadline."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.session import Session

ROOT = Path(__file__).resolve().parents[3]
LAUNCHER = ROOT / "runtimes/python/launch.py"
CHANNELS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4}
DEADLINE = 60.0


@dataclass
class Result:
    """What one cell sent, without its status messages."""

    reply: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)

    def of(self, *types: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["msg_type"] in types]

    def text(self, name: str = "stdout") -> str:
        return "".join(m["content"]["text"] for m in self.of("stream") if m["content"]["name"] == name)

    def omitted(self) -> list[int]:
        return [m["metadata"]["omitted_bytes"] for m in self.of("stream") if "omitted_bytes" in m["metadata"]]

    @property
    def value(self) -> str:
        (message,) = self.of("execute_result")
        text: str = message["content"]["data"]["text/plain"]
        return text

    @property
    def error(self) -> str | None:
        names = [message["content"]["ename"] for message in self.of("error")]
        assert len(names) <= 1
        return names[0] if names else None


class KernelUnderTest:
    """A kernel process and a synchronous client; every wait has a deadline."""

    def __init__(self, directory: Path, *, launcher: list[str] | None = None, cwd: Path | None = None) -> None:
        key = uuid.uuid4().hex
        base = str(directory / "k")
        connection = directory / "connection.json"
        ports = {f"{name}_port": number for name, number in CHANNELS.items()}
        info = {"transport": "ipc", "ip": base, "key": key, "signature_scheme": "hmac-sha256", "hb_port": 5, **ports}
        connection.write_text(json.dumps(info))
        self.connection = connection
        self.session = Session(key=key.encode())
        self.context = zmq.Context()
        self.sockets: dict[str, zmq.Socket[bytes]] = {}
        # The kernel can ask for input only at a connection that stands: stdin goes first, and is waited for below.
        stdin_connected = self._connect("stdin", base)
        for name in ("shell", "iopub", "control"):
            self._connect(name, base)
        self.late: list[dict[str, Any]] = []
        command = [*(launcher or [sys.executable, str(LAUNCHER)]), "-f", str(connection)]
        environment = {**os.environ, "JPY_PARENT_PID": str(os.getpid())}
        environment.pop("PYTEST_CURRENT_TEST", None)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=cwd, env=environment)
        while self.receive("iopub")["msg_type"] != "iopub_welcome":
            pass
        assert stdin_connected.poll(DEADLINE * 1000)
        self.sockets["stdin"].disable_monitor()
        stdin_connected.close()

    def _connect(self, name: str, base: str) -> zmq.Socket[bytes]:
        """Connect a channel; returns a socket on which a message appears once the kernel has taken the connection."""
        socket = self.context.socket(zmq.SUB if name == "iopub" else zmq.DEALER)
        socket.linger = 0
        socket.rcvhwm = 0
        if name == "iopub":
            socket.subscribe(b"")
        else:
            socket.identity = self.session.bsession
        monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED) if name == "stdin" else socket
        socket.connect(f"ipc://{base}-{CHANNELS[name]}")
        self.sockets[name] = socket
        return monitor

    def receive(self, channel: str) -> dict[str, Any]:
        assert self.sockets[channel].poll(DEADLINE * 1000), f"nothing on {channel}"
        message: dict[str, Any] = self.session.recv(self.sockets[channel], 0)[1]
        return message

    def send(self, code: str, *, metadata: dict[str, Any] | None = None, **content: Any) -> str:
        body = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": False}
        message = self.session.msg("execute_request", {**body, **content}, metadata=metadata)
        self.session.send(self.sockets["shell"], message)
        return str(message["header"]["msg_id"])

    def collect(self, request: str, answer: Callable[[str], str] | None = None) -> Result:
        """Return what a request leads to, up to its reply and its idle; answer its input requests."""
        result, idle = Result(), False
        poller = zmq.Poller()
        for name in ("shell", "iopub", "stdin"):
            poller.register(self.sockets[name], zmq.POLLIN)
        end = time.monotonic() + DEADLINE
        while not (idle and result.reply):
            ready = dict(poller.poll(max(0, end - time.monotonic()) * 1000))
            assert ready, f"no reply or no idle: {result}"
            for name in ("iopub", "stdin", "shell"):
                if self.sockets[name] not in ready:
                    continue
                message = self.receive(name)
                if message["parent_header"].get("msg_id") != request:
                    self.late.append(message)
                elif name == "shell":
                    result.reply, result.metadata = message["content"], message["metadata"]
                elif name == "stdin":
                    assert answer is not None
                    reply = {"value": answer(message["content"]["prompt"])}
                    self.session.send(self.sockets["stdin"], "input_reply", reply, parent=message)
                elif message["content"].get("execution_state") == "idle":
                    # The reply is sent before, but on another socket.
                    idle = True
                elif message["msg_type"] != "status":
                    result.messages.append(message)
        return result

    def run(self, code: str, *, answer: Callable[[str], str] | None = None, **options: Any) -> Result:
        return self.collect(self.send(code, allow_stdin=answer is not None, **options), answer)

    def ask(self, msg_type: str, **content: Any) -> Result:
        """Send another shell request and return what it leads to."""
        message = self.session.send(self.sockets["shell"], msg_type, content)
        return self.collect(str(message["header"]["msg_id"]))

    def interrupt(self) -> None:
        os.kill(self.process.pid, signal.SIGINT)

    def wait_until_started(self, request: str) -> None:
        while True:
            message = self.receive("iopub")
            if message["msg_type"] == "execute_input" and message["parent_header"]["msg_id"] == request:
                return

    def close(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)
        self.context.destroy(linger=0)
