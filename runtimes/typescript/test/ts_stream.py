"""A kernel on the stream and the part of jupyter_client's client that the tests use, so that they run over either transport."""

import json
import os
import queue
import socket
import struct
import subprocess
import time
from collections import deque

from jupyter_client.session import Session

CHANNELS = ("shell", "iopub", "control", "stdin")


class StreamManager:
    """Starts the process with one end of a socket, as the server does, and ends it with its group."""

    def __init__(self, command, directory, connection_directory, *, stderr=None):
        self.socket, theirs = socket.socketpair()
        connection_file = connection_directory / "connection.json"
        connection_file.write_text(json.dumps({"transport": "stream", "fd": theirs.fileno()}))
        self.process = subprocess.Popen(
            command(str(connection_file)),
            cwd=directory,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
        theirs.close()
        self.provisioner = self

    def is_alive(self):
        return self.process.poll() is None

    def shutdown_kernel(self, now=True):
        self.socket.close()
        if self.is_alive():
            os.killpg(self.process.pid, 9)
        self.process.wait()


class StreamClient:
    """Speaks frames; offers `get_<channel>_msg`, `<channel>_channel.send`, `input` and `session` like BlockingKernelClient."""

    def __init__(self, connection):
        self.session = Session()
        self._socket = connection
        self._buffer = bytearray()
        self._arrived = {channel: deque() for channel in CHANNELS}
        for channel in CHANNELS:
            setattr(self, f"{channel}_channel", _Channel(self, channel))
            setattr(self, f"get_{channel}_msg", getattr(self, f"{channel}_channel").receive)

    def send(self, channel, message):
        parts = [
            json.dumps(message[key], default=str).encode() for key in ("header", "parent_header", "metadata", "content")
        ]
        self._socket.settimeout(30)
        self._socket.sendall(frame(CHANNELS.index(channel), parts))

    def receive(self, channel, timeout):
        """The next message of that channel; raises queue.Empty after `timeout` seconds."""
        end = time.monotonic() + timeout
        while not self._arrived[channel]:
            self._read(max(0.0001, end - time.monotonic()))
        return self._arrived[channel].popleft()

    def has(self, channel, timeout):
        try:
            self._arrived[channel].appendleft(self.receive(channel, timeout))
        except queue.Empty:
            return False
        return True

    def input(self, value):
        self.send("stdin", self.session.msg("input_reply", {"value": value}))

    def stop_channels(self):
        self._socket.close()

    def _read(self, seconds):
        self._socket.settimeout(seconds)
        try:
            data = self._socket.recv(1 << 18)
        except TimeoutError:
            raise queue.Empty from None
        assert data, "the kernel closed its stream"
        self._buffer += data
        while (found := self._take()) is not None:
            channel, message = found
            self._arrived[channel].append(message)

    def _take(self):
        if len(self._buffer) < 8:
            return None
        length, version, channel, count = struct.unpack_from("<IBBH", self._buffer)
        if len(self._buffer) < 4 + length:
            return None
        assert version == 1
        sizes = struct.unpack_from(f"<{count}I", self._buffer, 8)
        at, parts = 8 + 4 * count, []
        for size in sizes:
            parts.append(json.loads(self._buffer[at : at + size]))
            at += size
        del self._buffer[: 4 + length]
        message = dict(zip(("header", "parent_header", "metadata", "content"), parts, strict=True))
        return CHANNELS[channel], {**message, "msg_type": message["header"]["msg_type"]}


class _Channel:
    def __init__(self, client, name):
        self._client = client
        self._name = name

    def send(self, message):
        self._client.send(self._name, message)

    def receive(self, timeout):
        return self._client.receive(self._name, timeout)


def frame(channel, parts):
    """Channel by its number, parts as bytes."""
    head = struct.pack("<IBBH", 4 + 4 * len(parts) + sum(map(len, parts)), 1, channel, len(parts))
    return head + struct.pack(f"<{len(parts)}I", *map(len, parts)) + b"".join(parts)
