"""The inbox: requests as they arrive, taken in by whichever thread is free, and kept in their order."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol

from .helper import Helper
from .lifetime import end_process_group
from .protocol import CONTROL, STDIN, Request

if TYPE_CHECKING:
    from .transport import Transport

_MAX_QUEUE = 256  # requests taken in while a cell runs; the others stay where they are


class Worker(Protocol):
    """Whoever works on the requests: the kernel."""

    busy: bool

    def receive(self) -> None: ...
    def work_soon(self) -> None: ...
    def answer_control(self, request: Request) -> bool: ...


class Inbox:
    """Takes requests in. Those of the control channel are answered at once, the others wait in `queue` for the worker.

    While a cell keeps the loop's thread, the helper thread takes requests in; while a cell asks for input, the cell does."""

    def __init__(self, helper: Helper, worker: Worker) -> None:
        self.queue: deque[Request] = deque()
        self.inputs: deque[str] = deque()  # the client's answers to input requests
        self.lock = threading.Lock()  # held while requests are taken in, so that they keep their order
        self.turn = threading.RLock()  # of who may ask for input
        self.transport: Transport | None = None
        self._answered = threading.Event()  # for threads that wait for input while others take it in
        self._helper = helper
        self._worker = worker
        self._loop: asyncio.AbstractEventLoop | None = None
        self._control: deque[Request] = deque()
        self._asks = False  # whoever waits for input takes everything in
        self._reads = False

    def attach(self, transport: Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Have a client from now on; nothing of an earlier one is left."""
        self.transport = transport
        self._loop = loop
        self.queue.clear()
        self.inputs.clear()
        self._control.clear()
        self.lock = threading.Lock()
        self.turn = threading.RLock()
        self._answered = threading.Event()
        self._asks = self._reads = False

    @property
    def has_cell(self) -> bool:
        """Whether an execute_request has arrived, or has begun to."""
        waits = any(request.msg_type == "execute_request" for request in self.queue)
        return waits or bool(self.transport and self.transport.has_partial)

    def next(self) -> Request:
        """Take the request that waits longest out of the queue; from now on the helper may take requests in."""
        self._asks = False
        return self.queue.popleft()

    def put(self, request: Request) -> None:
        """Take in a request that came another way; to be called from any thread."""
        self.queue.append(request)
        self._worker.work_soon()

    def take_in(self) -> None:
        """Take in what has arrived. Ends the process when the client is gone."""
        with self.lock:
            self._receive()

    def _receive(self) -> None:
        assert self.transport is not None
        try:
            received = self.transport.receive()
        except (EOFError, OSError, ValueError):
            end_process_group()
        for request in received:
            if request.channel == STDIN and request.msg_type == "input_reply":
                self.inputs.append(_input_of(request))
                self._answered.set()
            elif request.channel == CONTROL:
                self._control.append(request)
                self._helper.call_later(0, self._answer_control)
            else:
                self.queue.append(request)

    def _answer_control(self) -> None:
        while self._control:
            request = self._control.popleft()
            if not self._worker.answer_control(request):
                self.put(request)

    def watch(self) -> None:
        """Read on, in the loop's thread, only while the queue has room."""
        assert self._loop is not None
        assert self.transport is not None
        wanted = len(self.queue) < _MAX_QUEUE
        if wanted and not self._reads:
            self._loop.add_reader(self.transport.fileno(), self._worker.receive)
        elif self._reads and not wanted:
            self._loop.remove_reader(self.transport.fileno())
        self._reads = wanted

    def watch_aside(self) -> None:
        """Have the helper take requests in while a cell keeps the loop from it: those of the control channel do not wait."""
        if self.transport is not None and self.transport.is_shared and self._worker.busy:
            self._helper.add_reader(self.transport.fileno(), self._take_in_aside)

    def _take_in_aside(self) -> None:
        assert self.transport is not None
        with self.lock:
            wanted = self._worker.busy and not self._asks and len(self.queue) < _MAX_QUEUE
            if wanted:
                self._receive()
        if wanted:
            self._worker.work_soon()  # the cell may have ended meanwhile
        else:
            self._helper.remove_reader(self.transport.fileno())

    def wait_aside(self, timeout: float) -> None:
        """Return when input may be there, or after `timeout` seconds; to be called in a thread that is not the loop's."""
        assert self.transport is not None
        self._answered.clear()
        if self.inputs:
            return
        if self.transport.is_shared:
            self._answered.wait(timeout)  # the helper takes it in, or the loop
        else:
            self.transport.wait(timeout)
            self.take_in()
            self._worker.work_soon()  # it may have received what is not for it

    def begin_input(self) -> None:
        """The caller waits for input, and takes everything in meanwhile."""
        with self.lock:
            self._asks = True

    def end_input(self) -> None:
        """The caller has its input."""
        with self.lock:
            self._asks = False
        self.watch_aside()


def _input_of(request: Request) -> str:
    """The line that an input_reply brings; an empty one where it brings no text, so that the cell goes on."""
    try:
        value = request.content.get("value")
    except ValueError:
        return ""
    return value if isinstance(value, str) else ""
