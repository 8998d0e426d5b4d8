"""Input: what `input()` and `getpass()` do in a cell. They ask the client (messaging protocol, "Messages on the stdin channel")."""

from __future__ import annotations

import threading

from IPython.core.error import StdinNotImplementedError

from .cells import Cells
from .inbox import Inbox, Worker
from .interrupts import Interrupts
from .outbox import Outbox
from .protocol import STDIN

_END_OF_INPUT = "\x04"
_INPUT_WAIT = 0.5  # seconds after which a wait for input looks again whether another thread received it


class Input:
    """Asks the client for lines, on behalf of the calling cell."""

    def __init__(self, cells: Cells, inbox: Inbox, outbox: Outbox, worker: Worker) -> None:
        self._cells = cells
        self._inbox = inbox
        self._outbox = outbox
        self._worker = worker

    def prepare(self, interrupts: Interrupts) -> None:
        """Let an interrupt stop a wait for input."""
        interrupts.places.may_stop(Input.raw_input, Input.getpass, Input.ask, Input._wait)

    def raw_input(self, prompt: object = "") -> str:
        """`input()`: ask the client for a line. Raises EOFError at the end of input."""
        return self.ask(str(prompt), password=False)

    def getpass(self, prompt: str = "Password: ", stream: object = None, **kwargs: object) -> str:
        """`getpass.getpass()`: the same, not to be shown."""
        return self.ask(prompt, password=True)

    def ask(self, prompt: str, *, password: bool) -> str:
        """Ask the client for a line. Raises StdinNotImplementedError where the cell must not ask."""
        cell = self._cells.current()
        if not cell.allow_stdin:
            caller = "getpass" if password else "input"
            msg = f"{caller}() was called, but this client does not answer input requests."
            raise StdinNotImplementedError(msg)
        self._outbox.flush_streams()
        self._inbox.inputs.clear()
        self._outbox.send(cell, STDIN, "input_request", {"prompt": prompt, "password": password})
        self._inbox.begin_input()
        try:
            value = self._wait()
        finally:
            self._inbox.end_input()
        if value == _END_OF_INPUT:
            raise EOFError("EOF when reading a line")
        return value

    def _wait(self) -> str:
        """Read until the answer is there; other requests wait for their turn."""
        inbox = self._inbox
        assert inbox.transport is not None
        while not inbox.inputs:
            inbox.transport.wait(_INPUT_WAIT)
            inbox.take_in()
        if threading.current_thread() is not threading.main_thread():
            self._worker.work_soon()  # it may have received what is not for it
        return inbox.inputs.popleft()
