"""The zmq transport: the sockets by which any Jupyter client talks with the kernel (messaging protocol, "Wire protocol")."""

from __future__ import annotations

import _thread
import hashlib
import hmac
import json
import os
import select
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import zmq

from . import control
from .lifetime import end_process_group
from .protocol import CONTROL, EMPTY, IOPUB, SHELL, STDIN, Request

if TYPE_CHECKING:
    from .kernel import Kernel

_DELIMITER = b"<IDS|MSG>"
_WAITING_MESSAGES = 64
_LINGER_MS = 1000
_PARENT_INTERVAL = 1.0  # seconds between looks for the process that started us
_NAMES = {SHELL: "shell", IOPUB: "iopub", CONTROL: "control", STDIN: "stdin"}


class ZmqTransport:
    """Five sockets. Shell and stdin are read by the loop's thread, control and subscriptions by the helper thread.

    A zmq socket may be used from several threads if a lock orders the uses. Over ipc it is held while a reader is behind."""

    has_partial = False
    is_shared = False
    interrupts_early = False  # clients wait until the cell has begun

    def __init__(self, connection: dict[str, Any], path: str) -> None:
        self._connection = connection
        self._path = path
        self._mac = hmac.new(str(connection.get("key", "")).encode(), digestmod=hashlib.sha256)
        self._signs = bool(connection.get("key"))
        self._lock = threading.RLock()
        self._context = zmq.Context()
        self._sockets = {
            channel: self._bind(name, zmq.XPUB if channel == IOPUB else zmq.ROUTER) for channel, name in _NAMES.items()
        }
        self._heartbeat = self._bind("hb", zmq.ROUTER)
        self._kernel: Kernel | None = None
        self._write_ports()

    def _bind(self, name: str, kind: int) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.linger = _LINGER_MS
        if name == "iopub" and self._connection["transport"] == "ipc":
            socket.sndhwm = _WAITING_MESSAGES
            socket.setsockopt(zmq.XPUB_NODROP, 1)
        else:
            socket.sndhwm = 0  # a reader elsewhere may be gone without a word; nobody waits for it
        if name == "iopub":
            socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        transport, ip, port = self._connection["transport"], self._connection["ip"], self._connection[f"{name}_port"]
        if transport == "tcp" and not port:
            self._connection[f"{name}_port"] = socket.bind_to_random_port(f"tcp://{ip}")
        else:
            socket.bind(f"{transport}://{ip}{'-' if transport == 'ipc' else ':'}{port}")
        return socket

    def _write_ports(self) -> None:
        """Tell clients which ports were chosen, where the connection file left that to us."""
        with open(self._path) as file:
            if json.load(file) == self._connection:
                return
        with open(self._path, "w") as file:
            json.dump(self._connection, file)

    def start(self, kernel: Kernel) -> None:
        """Answer what must be answered while user code runs: heartbeats, control requests, subscriptions."""
        self._kernel = kernel
        _thread.start_new_thread(self._echo, ())
        kernel.helper.add_reader(self._sockets[CONTROL].fileno(), self._on_control)
        kernel.helper.add_reader(self._sockets[IOPUB].fileno(), self._on_subscription)
        parent = os.environ.get("JPY_PARENT_PID", "")
        if parent.isdigit() and int(parent) > 1 and os.getppid() == int(parent):
            self._look_for_parent(int(parent))

    def _look_for_parent(self, parent: int) -> None:
        assert self._kernel is not None
        if os.getppid() != parent:
            end_process_group()
        self._kernel.helper.call_later(_PARENT_INTERVAL, lambda: self._look_for_parent(parent))

    def _echo(self) -> None:
        with suppress(zmq.ZMQError):
            zmq.proxy(self._heartbeat, self._heartbeat)

    def fileno(self) -> int:
        """The descriptor to watch for requests."""
        return self._sockets[SHELL].fileno()

    @property
    def locks(self) -> tuple[Any, ...]:
        """Held while messages are sent and received."""
        return (self._lock,)

    def send(self, channel: int, parts: Sequence[bytes], idents: Sequence[bytes] = (), *, hold: bool = False) -> None:
        """Send a message; zmq has no use for `hold`."""
        if channel == IOPUB:
            idents = (b"kernel",)
        frames = [*idents, _DELIMITER, self._sign(parts), *parts]
        with self._lock:
            socket = self._sockets[channel]
            socket.send_multipart(frames, copy=True)
            # Sending swallows the edge by which the readers' descriptors would tell of something to receive.
            if socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
                self._look_again(channel)

    def _look_again(self, channel: int) -> None:
        kernel = self._kernel
        if kernel is None:
            return
        if channel == IOPUB:
            self._on_subscription()
        elif channel == CONTROL:
            kernel.helper.call_later(0, self._on_control)
        elif kernel.loop is not None:
            kernel.loop.call_soon_threadsafe(kernel.receive)

    def _sign(self, parts: Sequence[bytes]) -> bytes:
        if not self._signs:
            return b""
        mac = self._mac.copy()
        for part in parts[:4]:
            mac.update(part)
        return mac.hexdigest().encode()

    def flush(self) -> None:
        """Do nothing: every message was sent at once."""

    def wait(self, timeout: float) -> None:
        """Return when stdin may have something, or after `timeout` seconds."""
        poller = select.poll()
        with self._lock:
            if self._sockets[STDIN].getsockopt(zmq.EVENTS) & zmq.POLLIN:
                return
            poller.register(self._sockets[STDIN].fileno(), select.POLLIN)
        poller.poll(timeout * 1000)

    def receive(self) -> list[Request]:
        """The requests that have arrived on shell and stdin."""
        return self._receive(SHELL) + self._receive(STDIN)

    def _receive(self, channel: int) -> list[Request]:
        requests = []
        with self._lock:
            while self._sockets[channel].getsockopt(zmq.EVENTS) & zmq.POLLIN:
                try:
                    frames = self._sockets[channel].recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                request = self._parse(channel, frames)
                if request is not None:
                    requests.append(request)
        return requests

    def _parse(self, channel: int, frames: list[bytes]) -> Request | None:
        """A request, or None for what is none or is signed wrongly: nobody is there to complain to."""
        try:
            start = frames.index(_DELIMITER)
            signature, *parts = frames[start + 1 :]
            if not hmac.compare_digest(signature, self._sign(parts)):
                return None
            return Request(channel, parts, idents=frames[:start])
        except ValueError:
            return None

    def _on_subscription(self) -> None:
        with self._lock:
            socket = self._sockets[IOPUB]
            while socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
                frames = socket.recv_multipart(zmq.NOBLOCK)
                if frames[0][:1] == b"\x01" and self._kernel is not None:
                    self._welcome(frames[0][1:])

    def _welcome(self, topic: bytes) -> None:
        """Greet a subscriber (JEP 65), so that it knows that it will miss nothing."""
        assert self._kernel is not None
        content = json.dumps({"subscription": topic.decode("utf-8", "replace")}).encode()
        parts = [self._kernel.outbox.session.header("iopub_welcome"), EMPTY, EMPTY, content]
        self._sockets[IOPUB].send_multipart([topic, _DELIMITER, self._sign(parts), *parts])

    def _on_control(self) -> None:
        """Answer control requests while a cell may run; what this thread cannot do joins the queue of the shell channel."""
        kernel = self._kernel
        assert kernel is not None
        for request in self._receive(CONTROL):
            if not control.answer(kernel, request):
                kernel.inbox.put(request)
