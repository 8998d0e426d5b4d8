"""The zmq channels without a kernel at their other end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import zmq

from engine.jupyter.messages import Channel
from engine.kernels.channels.zmq import ZmqChannels
from engine.kernels.connection_file import connection_info

pytestmark = pytest.mark.anyio


class Nobody:
    """Gets nothing: there is no kernel."""

    def receive(self, message: Any) -> None:
        raise AssertionError(message)

    note_bad_message = note_broken = receive


async def test_what_is_sent_after_the_end_opens_no_socket(tmp_path: Path):
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    channels = ZmqChannels(connection_info(tmp_path), Nobody(), context=context)
    channels.send(Channel.CONTROL, "interrupt_request", {})
    await channels.aclose()
    channels.send(Channel.SHELL, "kernel_info_request", {})
    channels.forward(Channel.SHELL, [b"{}", b"{}", b"{}", b"{}"])
    left = dict(channels._sockets)
    await channels.aclose()  # before the assertion: the context waits for what is open
    context.term()
    assert left == {}
