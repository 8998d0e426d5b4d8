"""The channels to a scripted kernel, in this process; the kernel itself is engine.kernels.provisioners.fake."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.jupyter import Channel
from engine.kernels.channels.channels import Channels, Listener, Receiver


class Peer(Protocol):
    """The kernel's side."""

    def attach(self, listener: Listener) -> None: ...

    def receive(
        self, channel: Channel, msg_id: str, msg_type: str, content: Any, metadata: Mapping[str, Any]
    ) -> None: ...


class FakeChannels(Channels):
    """Hands requests to the peer in `connection_info["peer"]` and its messages to the receiver."""

    def __init__(self, connection_info: Mapping[str, Any], receiver: Receiver, /, *, kernel_waits: bool = True) -> None:
        super().__init__(receiver)
        self._peer: Peer = connection_info["peer"]
        self._count = 0
        self.closed = False

    async def open(self) -> None:
        self._peer.attach(self._receiver.receive)

    async def open_stdin(self) -> None:
        return

    def send(
        self,
        channel: Channel,
        msg_type: str,
        content: Any,
        *,
        metadata: Mapping[str, Any] | None = None,
        fds: Sequence[int] = (),
    ) -> str:
        self._count += 1
        msg_id = f"fake_{self._count}"
        self._peer.receive(channel, msg_id, msg_type, content, metadata or {})
        return msg_id

    def forward(self, channel: Channel, parts: Sequence[bytes]) -> None:
        header, _, metadata, content = (json.loads(part) for part in parts[:4])
        self._peer.receive(channel, header["msg_id"], header["msg_type"], content, metadata)

    async def drain(self) -> None:
        return

    async def aclose(self) -> None:
        self.closed = True
