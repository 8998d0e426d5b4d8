"""Event loops of processes that are forked: asyncio's own, whose descriptors are exchanged rather than the loop."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from typing import Any


def above(number: int) -> asyncio.AbstractEventLoop:
    """A new loop whose descriptors are all greater than `number`."""
    fillers = [os.dup(0)]
    while fillers[-1] <= number:
        fillers.append(os.dup(0))
    try:
        return asyncio.new_event_loop()
    finally:
        for fd in fillers:
            os.close(fd)


def descriptors(loop: Any) -> list[int]:
    """What belongs to the loop itself."""
    return [loop._selector.fileno(), loop._ssock.fileno(), loop._csock.fileno()]


def renew(loop: Any) -> None:
    """Put new descriptors in the place of those that the loop shares with its twin in the parent.

    The loop itself stays, as do the queues, locks and futures that know it."""
    selector = loop._selector
    waker = selector.get_key(loop._ssock)
    with select.epoll() as fresh:
        os.dup2(fresh.fileno(), selector.fileno(), inheritable=False)
    for key in list(selector.get_map().values()):
        selector.unregister(key.fd)  # touches the new one only
    pair = socket.socketpair()
    for ours, new in zip((loop._ssock, loop._csock), pair, strict=True):
        with new:
            new.setblocking(False)
            os.dup2(new.fileno(), ours.fileno(), inheritable=False)
    selector.register(loop._ssock, waker.events, waker.data)
    loop._ready.clear()
    loop._default_executor = None  # its threads are the parent's
