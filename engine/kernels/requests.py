"""The requests a kernel works on: cells, whose late output still finds them, and others, which wait for one reply."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from engine.errors import KernelDied, KernelTimeout
from engine.jupyter import Channel, Message
from engine.kernels.run import Run

_REMEMBERED_RUNS = 100  # finished requests whose late output still finds its execution


class Requests:
    """All of one kernel, by the msg_id that its answers name as their parent."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._replies: dict[str, asyncio.Future[Message]] = {}

    def add_run(self, msg_id: str, run: Run) -> None:
        self._runs[msg_id] = run
        if len(self._runs) > _REMEMBERED_RUNS:
            self._runs.popitem(last=False)

    def find_run(self, message: Message) -> Run | None:
        """The cell that a message belongs to. A message that answers another request is handed over."""
        run = self._runs.get(message.parent_id)
        if run is None and message.channel is Channel.SHELL:
            reply = self._replies.get(message.parent_id)
            if reply is not None and not reply.done():
                reply.set_result(message)
        return run

    async def reply(self, msg_id: str, msg_type: str, timeout: float) -> Message:
        """The reply to a request that was sent just now. Raises KernelTimeout or KernelDied."""
        reply: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._replies[msg_id] = reply
        try:
            async with asyncio.timeout(timeout):
                return await reply
        except TimeoutError:
            raise KernelTimeout(msg_type, timeout) from None
        finally:
            del self._replies[msg_id]

    def fail(self, reason: str) -> None:
        """End every wait for a reply with KernelDied."""
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(KernelDied(reason))
