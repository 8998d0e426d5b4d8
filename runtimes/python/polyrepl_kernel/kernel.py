"""The kernel: takes requests, runs cells one after the other, and sends what comes of them."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import faulthandler
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Coroutine, Iterator, Sequence
from typing import IO, Any, NoReturn, Protocol

from IPython.core.error import StdinNotImplementedError

from . import comms, control, requests
from .cells import Cell, Cells
from .execution import Execution
from .helper import Helper
from .interrupts import Interrupts
from .packages import Packages
from .protocol import CONTROL, EMPTY, IOPUB, STDIN, Request, Session, encode
from .shell import ZMQInteractiveShell
from .stdio import Capture, OutStream, announce_children

_END_OF_INPUT = "\x04"
_INPUT_WAIT = 0.5  # seconds after which a wait for input looks again whether somebody else received it
_HOLD_SECONDS = 0.05  # the longest that a message waits for the next one
_MAX_QUEUE = 256  # requests taken in while a cell runs; the others stay where they are


class Transport(Protocol):
    """What carries messages: `StreamTransport`, `ZmqTransport`, or a scripted one."""

    def fileno(self) -> int: ...
    def send(
        self, channel: int, parts: Sequence[bytes], idents: Sequence[bytes] = (), *, hold: bool = False
    ) -> None: ...
    def flush(self) -> None: ...
    def receive(self) -> list[Request]: ...
    def wait(self, timeout: float) -> None: ...
    def start(self, kernel: Kernel) -> None: ...

    @property
    def has_partial(self) -> bool: ...

    @property
    def is_shared(self) -> bool: ...

    @property
    def interrupts_early(self) -> bool: ...

    @property
    def locks(self) -> Sequence[Any]: ...


class Kernel:
    """A kernel around one shell. `serve` makes it live, and again in a process that was forked from it."""

    def __init__(self) -> None:
        self.cells = Cells()
        self.helper = Helper()
        self.interrupts = Interrupts(self.helper)
        self.stdout = OutStream("stdout", self.cells, self.helper, self.interrupts, self._send_stream)
        self.stderr = OutStream("stderr", self.cells, self.helper, self.interrupts, self._send_stream)
        self.session = Session()
        self.comm_manager = comms.install(self)
        self.packages = Packages()
        self.shell: ZMQInteractiveShell
        self.transport: Transport | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.wakeup_fds: tuple[int, ...] = ()
        self.output_fds: set[int] = set()
        self.busy = False
        self._context = contextvars.copy_context()
        self._queue: deque[Request] = deque()
        self._inputs: deque[str] = deque()
        self._control: deque[Request] = deque()
        self._intake = threading.Lock()  # held while requests are taken in, so that they keep their order
        self._asks = False  # whoever waits for input takes everything in
        self._reads = False
        self._flushes = False

    def prepare(self, shell: ZMQInteractiveShell) -> None:
        """Become the kernel of `shell`; nothing of this needs a descriptor or a thread."""
        self.shell = shell
        sys.stdout, sys.stderr = self.stdout, self.stderr  # type: ignore[assignment]
        self.cells.mark_threads()
        self.interrupts.prepare()
        self.interrupts.runs_user_code(comms.handle)
        self.interrupts.may_stop(Kernel.raw_input, Kernel.getpass, Kernel.ask, Kernel._wait_for_input)
        announce_children(self.stdout, self.stderr)
        os.register_at_fork(after_in_child=self._in_forked_child)

    def serve(
        self, transport: Transport, stdout: Capture, stderr: Capture, *, crash_report: IO[str] | int = 2
    ) -> NoReturn:
        """Answer requests until the client is gone. `crash_report`: where a fatal signal's traceback is written."""
        self.loop = self.loop or asyncio.new_event_loop()
        self.attach(transport, stdout, stderr, crash_report=crash_report)
        while True:
            # A task that raises SystemExit, or an interrupt that meets one, ends neither the loop nor the kernel.
            with contextlib.suppress(KeyboardInterrupt, SystemExit):
                self.loop.run_forever()

    def attach(
        self, transport: Transport, stdout: Capture, stderr: Capture, *, crash_report: IO[str] | int = 2
    ) -> None:
        """Have a client from now on, in this process. `loop` is set, and nobody else's."""
        self.transport = transport
        self.session = Session()
        self._queue.clear()
        self._inputs.clear()
        self._control.clear()
        self._intake = threading.Lock()
        self.busy = self._asks = self._reads = self._flushes = False
        self.output_fds = {stdout.reader, stderr.reader, *([crash_report] if isinstance(crash_report, int) else ())}
        self.shell.init_environment()
        self.helper.reset()
        self.stdout.attach(stdout)
        self.stderr.attach(stderr)
        faulthandler.enable(crash_report)
        assert self.loop is not None
        asyncio.set_event_loop(self.loop)
        on_idle = self._settle_idle_interrupt if transport.interrupts_early else None
        self.wakeup_fds = self.interrupts.attach(self.loop, on_idle)
        self.interrupts.may_stop(type(transport).wait)
        transport.start(self)
        self.helper.start()
        self._watch_requests()
        self._send(Cell(), IOPUB, "status", {"execution_state": "starting"})
        self.loop.call_soon(self.receive)

    # -- requests -----------------------------------------------------------------------------------------------------

    def receive(self) -> None:
        """Take in what has arrived, and work on it unless a cell runs."""
        self._take_in()
        if not self.busy:
            self._context.run(self._work)
        self._watch_requests()

    def work_soon(self) -> None:
        """Go on with what waits, in the loop's thread; to be called from any."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self._work, context=self._context)

    def start_task(self, cell: Coroutine[Any, Any, None]) -> None:
        """Run a cell that awaits. Its context variables are those of all cells, and so are what it sets."""
        assert self.loop is not None
        self.loop.create_task(cell, context=self._context)

    def _take_in(self) -> None:
        with self._intake:
            self._receive()

    def _receive(self) -> None:
        assert self.transport is not None
        try:
            received = self.transport.receive()
        except (EOFError, OSError, ValueError):
            self.end()
        for request in received:
            if request.channel == STDIN and request.msg_type == "input_reply":
                self._inputs.append(_input_of(request))
            elif request.channel == CONTROL:
                self._control.append(request)
                self.helper.call_later(0, self._answer_control)
            else:
                self._queue.append(request)

    def _watch_aside(self) -> None:
        """Have the helper take requests in while a cell keeps the loop from it: those of the control channel do not wait."""
        if self.transport is not None and self.transport.is_shared and self.busy:
            self.helper.add_reader(self.transport.fileno(), self._take_in_aside)

    def _take_in_aside(self) -> None:
        assert self.transport is not None
        with self._intake:
            wanted = self.busy and not self._asks and len(self._queue) < _MAX_QUEUE
            if wanted:
                self._receive()
        if wanted:
            self.work_soon()  # the cell may have ended meanwhile
        else:
            self.helper.remove_reader(self.transport.fileno())

    def _answer_control(self) -> None:
        while self._control:
            request = self._control.popleft()
            if not control.answer(self, request):
                self.enqueue(request)

    def enqueue(self, request: Request) -> None:
        """Take in a request that came another way; to be called from any thread."""
        self._queue.append(request)
        self.work_soon()

    def _watch_requests(self) -> None:
        """Read on only while the queue has room."""
        assert self.loop is not None
        assert self.transport is not None
        wanted = len(self._queue) < _MAX_QUEUE
        if wanted and not self._reads:
            self.loop.add_reader(self.transport.fileno(), self.receive)
        elif self._reads and not wanted:
            self.loop.remove_reader(self.transport.fileno())
        self._reads = wanted

    def _work(self) -> None:
        """Answer the requests that wait, up to a cell that awaits. Not again meanwhile, should a cell turn the loop itself."""
        while self._queue and not self.busy:
            self.busy = True
            self._asks = False
            request = self._queue.popleft()
            try:
                self.busy = self._answer(request)
            except (Exception, SystemExit) as error:
                self.busy = False
                self.interrupts.end_cell()
                self.flush_streams()
                self.refuse(request, error)

    def _answer(self, request: Request) -> bool:
        """Returns whether the answer is still being made."""
        msg_type = request.msg_type
        request.check()
        if msg_type == "execute_request":
            return Execution(self, request).run()
        cell = Cell(request)
        self.cells.enter(cell)
        self.status(cell, "busy")
        if msg_type in requests.HANDLERS:
            self.reply(cell, msg_type, requests.HANDLERS[msg_type](self, request))
        elif msg_type in ("comm_open", "comm_msg", "comm_close"):
            self._handle_comm(request)
        elif msg_type == "interrupt_request":
            self.reply(cell, msg_type, {"status": "ok"})  # nothing runs
        elif msg_type == "shutdown_request":
            self.shut_down(cell, request)
        elif msg_type.endswith("_request"):
            self.reply(cell, msg_type, requests.unsupported(request))
        self.finish(cell)
        return False

    def _handle_comm(self, request: Request) -> None:
        self.interrupts.begin_cell(self.shell.user_global_ns, forget_earlier=True)
        try:
            comms.handle(self.comm_manager, request)
        except KeyboardInterrupt:
            self.shell.showtraceback()
        finally:
            self.interrupts.end_cell()

    def refuse(self, request: Request, error: BaseException) -> None:
        """Answer what failed: a request that is malformed, or a fault of ours; silence would leave the client waiting."""
        cell, msg_type = Cell(request), request.msg_type
        ename, evalue = type(error).__name__, str(error)
        content: dict[str, Any] = {"ename": ename, "evalue": evalue, "traceback": [f"{ename}: {evalue}"]}
        self.status(cell, "busy")
        if msg_type == "execute_request":
            self._send(cell, IOPUB, "error", content, hold=True)
            content |= {"execution_count": self.shell.execution_count - 1, "user_expressions": {}}
        if msg_type.endswith("_request"):
            self.reply(cell, msg_type, {"status": "error", **content})
        self.status(cell, "idle", hold=False)

    def finish(self, cell: Cell) -> None:
        """Send what a request still has to say, and that the kernel is idle."""
        self.stdout.finish(cell)
        self.stderr.finish(cell)
        self.status(cell, "idle", hold=False)

    def _settle_idle_interrupt(self) -> None:
        """An interrupt found no cell. The client sends a cell before it interrupts it: one that has arrived is meant, or nothing."""
        if not self.interrupts.idle:
            return
        self._take_in()
        waits = any(request.msg_type == "execute_request" for request in self._queue)
        if not waits and not (self.transport and self.transport.has_partial):
            self.interrupts.idle = False
        self.work_soon()

    # -- messages -----------------------------------------------------------------------------------------------------

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
        self._send(self.cells.current(), IOPUB, msg_type, content, metadata=metadata, buffers=buffers, hold=hold)

    def status(self, cell: Cell, state: str, *, hold: bool = True) -> None:
        """Send a status."""
        self._send(cell, IOPUB, "status", {"execution_state": state}, hold=hold)

    def reply(
        self, cell: Cell, request_type: str, content: dict[str, Any], metadata: dict[str, Any] | None = None
    ) -> None:
        """Answer a request on its channel; the status `idle` follows."""
        msg_type = request_type.removesuffix("_request") + "_reply"
        self._send(cell, cell.channel, msg_type, content, metadata=metadata, hold=True)

    def _send_stream(
        self, cell: Cell, name: str, text: str, metadata: dict[str, Any] | None = None, *, hold: bool = False
    ) -> None:
        self._send(cell, IOPUB, "stream", {"name": name, "text": text}, metadata=metadata, hold=hold)

    def _send(
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
            self.end()
        if hold and not self._flushes:
            self._flushes = True
            self.helper.call_later(_HOLD_SECONDS, self._flush_held)
        if self.interrupts.deferred:
            self.interrupts.settle()

    def _flush_held(self) -> None:
        """Nothing waits for long for a message that would take it along."""
        self._flushes = False
        if self.transport is not None:
            self.transport.flush()
        self._watch_aside()

    def flush_streams(self) -> None:
        """Send what was printed, before something that must not overtake it."""
        self.stdout.flush()
        self.stderr.flush()

    # -- input --------------------------------------------------------------------------------------------------------

    def raw_input(self, prompt: object = "") -> str:
        """`input()`: ask the client for a line. Raises EOFError at the end of input."""
        return self.ask(str(prompt), password=False)

    def getpass(self, prompt: str = "Password: ", stream: object = None, **kwargs: object) -> str:
        """`getpass.getpass()`: the same, not to be shown."""
        return self.ask(prompt, password=True)

    def ask(self, prompt: str, *, password: bool) -> str:
        """Ask the client for input, on behalf of the calling cell."""
        cell = self.cells.current()
        if not cell.allow_stdin:
            caller = "getpass" if password else "raw_input"
            msg = f"{caller} was called, but this frontend does not support input requests."
            raise StdinNotImplementedError(msg)
        self.flush_streams()
        self._inputs.clear()
        self._send(cell, STDIN, "input_request", {"prompt": prompt, "password": password})
        self._note_asking(True)
        try:
            value = self._wait_for_input()
        finally:
            self._note_asking(False)
        if value == _END_OF_INPUT:
            raise EOFError
        return value

    def _wait_for_input(self) -> str:
        """Read until the answer is there; other requests wait for their turn."""
        assert self.transport is not None
        while not self._inputs:
            self.transport.wait(_INPUT_WAIT)
            self._take_in()
        if threading.current_thread() is not threading.main_thread():
            self.work_soon()  # it may have received what is not for it
        return self._inputs.popleft()

    def _note_asking(self, asks: bool) -> None:
        with self._intake:
            self._asks = asks
        if not asks:
            self._watch_aside()

    # -- libraries ----------------------------------------------------------------------------------------------------

    def get_parent(self, channel: str | None = None) -> dict[str, Any]:
        """The running request, as ipywidgets asks for it."""
        return self.shell.get_parent()

    _parent_header = property(get_parent)

    # -- the end ------------------------------------------------------------------------------------------------------

    def shut_down(self, cell: Cell, request: Request) -> NoReturn:
        """Answer a shutdown_request and end the process in order."""
        self.reply(cell, "shutdown_request", {"status": "ok", "restart": bool(request.content.get("restart"))})
        self.finish(cell)
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        self.flush_streams()
        os._exit(0)

    def end(self) -> NoReturn:
        """The client is gone: end this process and what it started."""
        with contextlib.suppress(OSError):
            if os.getpgid(0) == os.getpid():
                os.killpg(0, signal.SIGKILL)
        os._exit(0)

    def _in_forked_child(self) -> None:
        """A process that user code forked has no client: what it shows is lost, what it prints its parent captures."""
        self.transport = None

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Keep the helper thread out of everything that is locked, so that a fork finds it whole."""
        assert self.transport is not None
        with contextlib.ExitStack() as stack:
            for lock in (self._intake, self.stdout.lock, self.stderr.lock, *self.transport.locks, self.helper.lock):
                stack.enter_context(lock)
            yield


def _input_of(request: Request) -> str:
    """The line that an input_reply brings; an empty one where it brings no text, so that the cell goes on."""
    try:
        value = request.content.get("value")
    except ValueError:
        return ""
    return value if isinstance(value, str) else ""
