"""The outbox: messages to the client, on behalf of cells, and the streams of what is printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .cells import Cell, Cells
from .helper import Helper
from .interrupts import Interrupts
from .lifetime import end_process_group
from .protocol import EMPTY, IOPUB, Session, encode
from .stdio import OutStream

if TYPE_CHECKING:
    from .transport import Transport

_HOLD_SECONDS = 0.05  # the longest that a message waits for the next one


class Outbox:
    """Sends messages over the transport. Without a transport, as in a process that user code forked, they are lost."""

    def __init__(self, cells: Cells, helper: Helper, interrupts: Interrupts) -> None:
        self.session = Session()
        self.transport: Transport | None = None
        self.stdout = OutStream("stdout", cells, helper, interrupts, self.send_stream)
        self.stderr = OutStream("stderr", cells, helper, interrupts, self.send_stream)
        self.on_flushed: Callable[[], None] = lambda: None  # called in the helper thread, while a cell runs
        self._cells = cells
        self._helper = helper
        self._interrupts = interrupts
        self._flushes = False

    def attach(self, transport: Transport) -> None:
        """Have a client from now on."""
        self.transport = transport
        self.session = Session()
        self._flushes = False

    def publish(
        self,
        msg_type: str,
        content: dict[str, Any],
        *,
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
        hold: bool = False,
    ) -> None:
        """Send an iopub message on behalf of the calling cell."""
        self.send(self._cells.current(), IOPUB, msg_type, content, metadata=metadata, buffers=buffers, hold=hold)

    def status(self, cell: Cell, state: str, *, hold: bool = True) -> None:
        """Send a status."""
        self.send(cell, IOPUB, "status", {"execution_state": state}, hold=hold)

    def reply(
        self, cell: Cell, request_type: str, content: dict[str, Any], metadata: dict[str, Any] | None = None
    ) -> None:
        """Answer a request on its channel; the status `idle` follows."""
        msg_type = request_type.removesuffix("_request") + "_reply"
        self.send(cell, cell.channel, msg_type, content, metadata=metadata, hold=True)

    def finish(self, cell: Cell) -> None:
        """Send what a request still has to say, and that the kernel is idle."""
        self.stdout.finish(cell)
        self.stderr.finish(cell)
        self.status(cell, "idle", hold=False)

    def flush_streams(self) -> None:
        """Send what was printed, before something that must not overtake it."""
        self.stdout.flush()
        self.stderr.flush()

    def send_stream(
        self, cell: Cell, name: str, text: str, metadata: dict[str, Any] | None = None, *, hold: bool = False
    ) -> None:
        """Send text of stdout or stderr."""
        self.send(cell, IOPUB, "stream", {"name": name, "text": text}, metadata=metadata, hold=hold)

    def send(
        self,
        cell: Cell,
        channel: int,
        msg_type: str,
        content: dict[str, Any],
        *,
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
        hold: bool = False,
    ) -> None:
        """Send a message on behalf of `cell`. With `hold` it may wait a moment, to leave with the next one."""
        transport = self.transport
        if transport is None:
            return
        parts = [
            self.session.header(msg_type),
            cell.raw_header,
            encode(metadata) if metadata else EMPTY,
            encode(content),
            *buffers,
        ]
        try:
            transport.send(channel, parts, cell.idents, hold=hold)
        except OSError:
            end_process_group()
        if hold and not self._flushes:
            self._flushes = True
            self._helper.call_later(_HOLD_SECONDS, self._flush_held)
        if self._interrupts.deferred:
            self._interrupts.settle()

    def _flush_held(self) -> None:
        """Send what was held: no message waits long for a later one to take it along."""
        self._flushes = False
        if self.transport is not None:
            self.transport.flush()
        self.on_flushed()
