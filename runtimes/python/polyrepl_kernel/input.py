"""Input: what `input()` and `getpass()` do in a cell. They ask the client (messaging protocol, "Messages on the stdin channel")."""

from __future__ import annotations

import threading

from IPython.core.error import StdinNotImplementedError

from .cells import Cell, Cells
from .inbox import Inbox
from .interrupts import Interrupts
from .outbox import Outbox
from .protocol import STDIN

_END_OF_INPUT = "\x04"
_NO_INPUT = "EOF when reading a line"
_INPUT_WAIT = (
    0.5  # seconds after which a wait for input looks again whether another thread received it, or the cell has ended
)
_TURN_WAIT = 0.05


class Turn:
    """The right to ask, which one thread has at a time. Raises EOFError when the cell ends before it is there.

    An interrupt neither loses it nor waits for it."""

    def __init__(self, lock: threading.RLock, cell: Cell, interrupts: Interrupts) -> None:
        self._lock = lock
        self._cell = cell
        self._interrupts = interrupts

    def __enter__(self) -> None:
        _check_it_runs(self._cell)
        while not self._lock.acquire(timeout=_TURN_WAIT):
            _check_it_runs(self._cell)
            if self._interrupts.deferred:
                self._interrupts.settle()

    def __exit__(self, *exc_info: object) -> None:
        self._lock.release()


class Input:
    """Asks the client for lines, on behalf of the calling cell."""

    def __init__(self, cells: Cells, inbox: Inbox, outbox: Outbox, interrupts: Interrupts) -> None:
        self._cells = cells
        self._inbox = inbox
        self._outbox = outbox
        self._interrupts = interrupts
        self._main_thread = threading.main_thread().ident

    def prepare(self) -> None:
        """Let an interrupt stop a wait for input."""
        self._interrupts.places.may_stop(Input.raw_input, Input.getpass, Input.ask, Input._ask_now, Input._wait)

    def raw_input(self, prompt: object = "") -> str:
        """`input()`: ask the client for a line. Raises EOFError at the end of input."""
        return self.ask(str(prompt), password=False)

    def getpass(self, prompt: str = "Password: ", stream: object = None, **kwargs: object) -> str:
        """`getpass.getpass()`: the same, not to be shown."""
        return self.ask(prompt, password=True)

    def ask(self, prompt: str, *, password: bool) -> str:
        """Ask the client for a line; one thread asks at a time. Raises StdinNotImplementedError where the cell must not ask, and
        EOFError when it has ended: nobody would answer."""
        if self._inbox.transport is None:  # a process that user code has forked
            raise EOFError(_NO_INPUT)
        cell = self._cells.current()
        if not cell.allow_stdin:
            caller = "getpass" if password else "input"
            msg = f"{caller}() was called, but this client does not answer input requests."
            raise StdinNotImplementedError(msg)
        with Turn(self._inbox.turn, cell, self._interrupts):
            value = self._ask_now(cell, prompt, password=password)
        if value == _END_OF_INPUT:
            raise EOFError("EOF when reading a line")
        return value

    def _ask_now(self, cell: Cell, prompt: str, *, password: bool) -> str:
        self._outbox.flush_streams()
        self._inbox.inputs.clear()
        self._outbox.send(cell, STDIN, "input_request", {"prompt": prompt, "password": password})
        if threading.get_ident() != self._main_thread:
            return self._wait_aside(cell)
        self._inbox.begin_input()
        try:
            return self._wait()
        finally:
            self._inbox.end_input()

    def _wait(self) -> str:
        """Read until the answer is there; other requests wait for their turn."""
        inbox = self._inbox
        assert inbox.transport is not None
        while not inbox.inputs:
            inbox.transport.wait(_INPUT_WAIT)
            inbox.take_in()
        return inbox.inputs.popleft()

    def _wait_aside(self, cell: Cell) -> str:
        """The same in a thread that is not the loop's: what comes meanwhile is for the loop, and the cell may end."""
        inbox = self._inbox
        inbox.watch_aside()
        while not inbox.inputs:
            _check_it_runs(cell)
            inbox.wait_aside(_INPUT_WAIT)
        return inbox.inputs.popleft()


def _check_it_runs(cell: Cell) -> None:
    if cell.ended:
        raise EOFError(_NO_INPUT)
