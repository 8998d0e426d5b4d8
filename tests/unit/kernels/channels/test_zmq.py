"""The zmq channels without a kernel at their other end."""

from __future__ import annotations

import asyncio
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


async def test_the_end_of_a_kernel_ends_the_wait_for_its_stdin(tmp_path: Path):
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    channels = ZmqChannels(connection_info(tmp_path), Nobody(), context=context)
    opening = asyncio.create_task(channels.open_stdin())
    await asyncio.sleep(0)
    await channels.aclose()
    await opening
    await channels.open_stdin()
    left = dict(channels._sockets)
    await channels.aclose()
    context.term()
    assert left == {}


async def test_a_link_in_the_place_of_a_kernels_socket_is_not_followed(tmp_path: Path):
    """The control socket is dialled when it is first used: by then code has run."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    kernel = tmp_path / "kernel"
    kernel.mkdir()
    victim, own = context.socket(zmq.ROUTER), context.socket(zmq.ROUTER)
    victim.bind(f"ipc://{tmp_path}/victim")
    info = connection_info(kernel)
    place = Path(f"{kernel}/k-{info['control_port']}")
    place.symlink_to(tmp_path / "victim")
    channels = ZmqChannels(info, Nobody(), context=context)
    channels.send(Channel.CONTROL, "interrupt_request", {})
    await asyncio.sleep(0.1)  # some looks
    place.unlink()
    own.bind(f"ipc://{place}")
    assert await asyncio.to_thread(own.poll, 30_000)
    assert not victim.poll(0)
    place.unlink()
    place.symlink_to(tmp_path / "victim")  # once it is connected
    own.close(0)
    assert not await asyncio.to_thread(victim.poll, 200)
    await channels.aclose()
    victim.close(0)
    context.term()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kernel", "victim"]


async def test_what_is_no_socket_is_not_connected_to(tmp_path: Path):
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    kernel = tmp_path / "kernel"
    kernel.mkdir()
    info = connection_info(kernel)
    Path(f"{kernel}/k-{info['control_port']}").touch()
    channels = ZmqChannels(info, Nobody(), context=context)
    channels.send(Channel.CONTROL, "interrupt_request", {})
    assert list(channels._waiting) == [Channel.CONTROL]
    await channels.aclose()
    context.term()
