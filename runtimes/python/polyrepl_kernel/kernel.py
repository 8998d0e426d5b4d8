"""The kernel: takes requests, runs cells one after the other, and sends what comes of them."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import faulthandler
import os
import sys
from collections.abc import Coroutine, Iterator
from time import sleep
from typing import IO, Any, NoReturn

from . import children, clock, comms, control, damage, requests, signals
from .cells import Cell, Cells
from .execution import Execution, flush_replaced
from .helper import Helper
from .inbox import Inbox
from .input import Input
from .interrupts import Interrupts
from .outbox import Outbox
from .packages import Packages
from .pipes import Capture
from .protocol import IOPUB, Request, Session
from .reserve import Reserve, end_without_memory
from .shell import ZMQInteractiveShell
from .stdio import announce_children
from .threads import ThreadPools
from .transport import Transport

_SHORTAGE_SECONDS = 0.01
_MAX_SHORTAGES = 100
_MAX_FAILURES = 16


class Kernel:
    """A kernel around one shell. `serve` makes it live, and again in a process that was forked from it."""

    def __init__(self) -> None:
        self.cells = Cells()
        self.reserve = Reserve()
        self._failures = 0  # of the loop, since it last worked on a request
        self._shortages = 0  # of the helper's thread, in the present cell
        self.helper = Helper()
        self.interrupts = Interrupts(self.helper)
        self.outbox = Outbox(self.cells, self.helper, self.interrupts)
        self.inbox = Inbox(self.helper, self)
        self.input = Input(self.cells, self.inbox, self.outbox, self.interrupts)
        self.outbox.on_flushed = self.inbox.watch_aside
        self.comm_manager = comms.install(self.outbox)
        self.packages = Packages()
        self.shell: ZMQInteractiveShell
        self.loop: asyncio.AbstractEventLoop | None = None
        self.pools: ThreadPools | None = None  # that a zygote has loaded
        self.wakeup_fds: tuple[int, ...] = ()
        self.output_fds: set[int] = set()
        self.busy = False
        self.is_forked_child = False  # of user code
        self._context = contextvars.copy_context()

    @property
    def transport(self) -> Transport | None:
        """What carries messages to and from the client, where there is one."""
        return self.outbox.transport

    def prepare(self, shell: ZMQInteractiveShell) -> None:
        """Become the kernel of `shell`; nothing of this needs a descriptor or a thread."""
        self.shell = shell
        # Also where programs go back to after they have replaced them.
        sys.stdout = sys.__stdout__ = self.outbox.stdout  # type: ignore[assignment,misc]
        sys.stderr = sys.__stderr__ = self.outbox.stderr  # type: ignore[assignment,misc]
        self.cells.mark_threads()
        self.interrupts.prepare()
        signals.guard(self.interrupts, self.helper)
        self.interrupts.places.runs_user_code(comms.handle, flush_replaced)
        self.input.prepare()
        self.packages.watch_imports()
        announce_children(self.outbox.stdout, self.outbox.stderr, self.packages)
        os.register_at_fork(after_in_child=self._in_forked_child)

    def serve(
        self, transport: Transport, stdout: Capture, stderr: Capture, *, crash_report: IO[str] | int = 2
    ) -> NoReturn:
        """Answer requests until the client is gone. `crash_report`: where a fatal signal's traceback is written."""
        self.loop = self.loop or asyncio.new_event_loop()
        self.attach(transport, stdout, stderr, crash_report=crash_report)
        while self._failures < _MAX_FAILURES:
            try:
                self.loop.run_forever()
            except MemoryError:  # of the loop itself, which has lost a callback
                end_without_memory()
            except (KeyboardInterrupt, SystemExit):
                pass  # a task that raises it, or an interrupt that meets one, ends neither the loop nor the kernel
            except BaseException as error:
                self._failures += 1
                self.interrupts.fail(error)
        os._exit(1)

    def attach(
        self, transport: Transport, stdout: Capture, stderr: Capture, *, crash_report: IO[str] | int = 2
    ) -> None:
        """Have a client from now on, in this process. `loop` is set, and nobody else's."""
        assert self.loop is not None
        self.outbox.attach(transport)
        self.inbox.attach(transport, self.loop)
        self.busy = self.is_forked_child = False
        self.output_fds = {stdout.reader, stderr.reader, *([crash_report] if isinstance(crash_report, int) else ())}
        self.shell.init_environment()
        self.helper.reset()
        self.helper.on_shortage = self._wait_or_spend
        self.reserve.begin()
        self.outbox.stdout.attach(stdout)
        self.outbox.stderr.attach(stderr)
        faulthandler.enable(crash_report)
        self.loop.time = clock.monotonic  # type: ignore[method-assign]
        asyncio.set_event_loop(self.loop)
        on_idle = self._settle_idle_interrupt if transport.interrupts_early else None
        self.wakeup_fds = self.interrupts.attach(self.loop, on_idle)
        self.interrupts.places.may_stop(type(transport).wait)
        transport.start(self)
        self.helper.start()
        self.inbox.watch()
        self.outbox.status(Cell(), "starting", hold=False)
        self.loop.call_soon(self.receive)

    def receive(self) -> None:
        """Take in what has arrived, and work on it unless a cell runs."""
        try:
            self.inbox.take_in()
        except MemoryError:  # it stays where it is, and the loop comes back for it
            self.reserve.spend()
            return
        if not self.busy:
            self._context.run(self._work)
        self.inbox.watch()

    def work_soon(self) -> None:
        """Go on with what waits, in the loop's thread; to be called from any."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self._work, context=self._context)

    def start_task(self, cell: Coroutine[Any, Any, None]) -> None:
        """Run a cell that awaits. Its context variables are those of all cells, and so are what it sets."""
        assert self.loop is not None
        self.loop.create_task(cell, context=self._context)

    def answer_control(self, request: Request) -> bool:
        """Answer a request of the control channel, in any thread; False for one that has to wait for its turn."""
        return control.answer(self, request)

    def _work(self) -> None:
        """Answer the requests that wait, up to a cell that awaits. Not again meanwhile, should a cell turn the loop itself."""
        while self.inbox.queue and not self.busy:
            self.busy = True
            request = self.inbox.next()
            transport, failure = self.transport, None
            try:
                self.busy = self._answer(request)
            except BaseException as error:
                if not self.is_forked_child and self.transport is not transport:
                    raise  # a branch, which leaves its parent's frames
                self.busy, failure = False, error
            if self.is_forked_child:
                children.leave(failure)
            if failure is not None:
                self.refuse(request, failure)
            self.cells.leave_aside()
            self.reserve.renew()
            self._shortages = self._failures = 0

    def _wait_or_spend(self) -> None:
        """The helper's thread is short of memory. A cell that takes all of it fails in a moment, and must not get the reserve first."""
        self._shortages += 1
        if self.busy and self._shortages < _MAX_SHORTAGES:
            sleep(_SHORTAGE_SECONDS)
        else:
            self.reserve.spend()

    def _answer(self, request: Request) -> bool:
        """Returns whether the answer is still being made."""
        msg_type = request.msg_type
        request.check()
        if msg_type == "execute_request":
            return Execution(self, request).run()
        cell = Cell(request)
        is_comm = msg_type in ("comm_open", "comm_msg", "comm_close")
        self.cells.enter_aside(cell, runs_user_code=is_comm)
        self.outbox.status(cell, "busy")
        if msg_type in requests.HANDLERS:
            self.outbox.reply(cell, msg_type, requests.HANDLERS[msg_type](self, request))
        elif is_comm:
            comms.answer(self, request)
        elif msg_type == "interrupt_request":
            self.outbox.reply(cell, msg_type, {"status": "ok"})  # nothing runs
        elif msg_type == "shutdown_request":
            self.shut_down(cell, request)
        elif msg_type.endswith("_request"):
            self.outbox.reply(cell, msg_type, requests.unsupported(request))
        self.outbox.finish(cell)
        return False

    def refuse(self, request: Request, error: BaseException) -> None:
        """Answer what failed: a request that is malformed, or a fault of ours; silence would leave the client waiting."""
        if isinstance(error, MemoryError):
            self.reserve.release()
        try:
            self.interrupts.end_cell()
            self.outbox.flush_streams()
            self._send_refusal(request, error)
        except MemoryError:
            end_without_memory()

    def _send_refusal(self, request: Request, error: BaseException) -> None:
        cell, msg_type = Cell(request), request.msg_type
        ename, evalue = type(error).__name__, str(error)
        content: dict[str, Any] = {"ename": ename, "evalue": evalue, "traceback": [f"{ename}: {evalue}"]}
        damage.add_advice(content, self.shell.user_ns)
        self.outbox.status(cell, "busy")
        if msg_type == "execute_request":
            self.outbox.send(cell, IOPUB, "error", content, hold=True)
            content |= {"execution_count": self.shell.execution_count - 1, "user_expressions": {}}
        if msg_type.endswith("_request"):
            self.outbox.reply(cell, msg_type, {"status": "error", **content})
        self.outbox.status(cell, "idle", hold=False)

    def _settle_idle_interrupt(self) -> None:
        """An interrupt found no cell. The client sends a cell before it interrupts it: one that has arrived is meant, or nothing."""
        if not self.interrupts.idle:
            return
        self.inbox.take_in()
        if not self.inbox.has_cell:
            self.interrupts.idle = False
        self.work_soon()

    @property
    def session(self) -> Session:
        """The session of the messages that are sent."""
        return self.outbox.session

    def raw_input(self, prompt: object = "") -> str:
        """What `input()` does."""
        return self.input.raw_input(prompt)

    def getpass(self, prompt: str = "Password: ", stream: object = None, **kwargs: object) -> str:
        """What `getpass.getpass()` does."""
        return self.input.getpass(prompt)

    def get_parent(self, channel: str | None = None) -> dict[str, Any]:
        """The running request, as ipywidgets asks for it."""
        return self.shell.get_parent()

    _parent_header = property(get_parent)

    def shut_down(self, cell: Cell, request: Request) -> NoReturn:
        """Answer a shutdown_request and end the process in order."""
        self.outbox.reply(cell, "shutdown_request", {"status": "ok", "restart": bool(request.content.get("restart"))})
        self.outbox.finish(cell)
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        self.outbox.flush_streams()
        os._exit(0)

    def _in_forked_child(self) -> None:
        """A process that user code forked has no client: what it shows is lost, what it prints its parent captures."""
        self.is_forked_child = True
        self.helper.reset()
        self.outbox.transport = self.inbox.transport = None

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Keep the helper thread out of everything that is locked, so that a fork finds it whole."""
        assert self.transport is not None
        with contextlib.ExitStack() as stack:
            outbox = self.outbox
            for lock in (
                self.inbox.lock,
                outbox.stdout.lock,
                outbox.stderr.lock,
                *self.transport.locks,
                self.helper.lock,
            ):
                stack.enter_context(lock)
            yield
