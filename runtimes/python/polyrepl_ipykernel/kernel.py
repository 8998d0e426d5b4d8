"""The kernel: the life of one request, from its metadata to its last output."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import zmq
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelbase import Kernel
from traitlets import Float, Type

from .cells import Cell, mark_threads
from .environment import environment
from .interrupts import Interrupts
from .shell import RUNNERS, ZMQInteractiveShell
from .streams import OutStream, announce_children

_INPUT_POLL_MS = 1000
_END_OF_INPUT = "\x04"


class NoShellThread:
    """Stands where ipykernel keeps its shell channel thread: false, and the main thread takes its place."""

    def __init__(self) -> None:
        self.parent_thread = threading.main_thread()

    def __bool__(self) -> bool:
        return False


class PolyreplKernel(IPythonKernel):
    """ipykernel's kernel with the additions of ``runtimes/README.md``."""

    shell_class = Type(ZMQInteractiveShell)
    # Messages leave in order in the thread that sends them: there is nothing to wait for.
    _execute_sleep = Float(0.0)

    def __init__(self, **kwargs: Any) -> None:
        self.interrupts: Interrupts = kwargs["parent"].interrupts
        super().__init__(**kwargs)
        self.interrupts.watch(RUNNERS)
        self._streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, OutStream)]
        announce_children(*self._streams)
        mark_threads(lambda: self.shell.displayhook.parent_header)

    @property
    def _supports_kernel_subshells(self) -> bool:
        return False

    def start(self) -> None:
        """Start to serve, without the debugger that ipykernel would poll."""
        self.shell.exit_now = False
        Kernel.start(self)
        self.interrupts.wake(asyncio.get_event_loop())

    def set_parent(self, ident: Any, parent: dict[str, Any], channel: str = "shell") -> None:
        """Take our metadata out of a request before anything else looks at it."""
        if channel == "shell" and "header" in parent and not isinstance(parent["header"], Cell):
            parent["header"] = Cell.from_request(parent)
            if parent["header"]["msg_type"] == "execute_request":
                # Before the client can know of it: an interrupt that it sends then must not be lost.
                self.interrupts.begin_cell(self.shell.user_global_ns)
        super().set_parent(ident, parent, channel)

    def pre_handler_hook(self) -> None:
        """Leave the SIGINT handler alone."""

    def post_handler_hook(self) -> None:
        """Leave the SIGINT handler alone."""

    def _cancel_on_sigint(self, future: asyncio.Future[Any]) -> AbstractContextManager[None]:
        return nullcontext()

    async def execute_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Run a cell; once it is answered an interrupt has nothing to stop."""
        try:
            await super().execute_request(stream, ident, parent)
        finally:
            self.interrupts.end_cell()

    async def do_execute(self, code: str, silent: bool, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run a cell in its environment and send all of its output before the reply is made."""
        cell = self.get_parent("shell")["header"]
        # Left behind by an interrupt inside the display hook, it would fail later cells.
        self.shell.displayhook.msg = None
        self.shell._last_traceback_during_displayhook = False
        try:
            with environment(cell.env):
                return await super().do_execute(code, silent, *args, **kwargs)
        except asyncio.CancelledError as error:
            return self._cancelled_reply(error)
        finally:
            for stream in self._streams:
                stream.finish(cell)

    def _cancelled_reply(self, error: BaseException) -> dict[str, Any]:
        """Answer a cell that cancelled its own task."""
        self.shell.showtraceback((type(error), error, error.__traceback__))
        return {
            "status": "error",
            "ename": type(error).__name__,
            "evalue": str(error),
            "traceback": self.shell._last_traceback or [],
            "execution_count": self.shell.execution_count - 1,
            "user_expressions": {},
            "payload": [],
        }

    def _input_request(self, prompt: str, ident: Any, parent: dict[str, Any], password: bool = False) -> str:
        """Ask the frontend for a line; no message is torn apart by an interrupt, and waiting costs nothing."""
        for stream in self._streams:
            stream.flush()
        with self.interrupts:
            while self.stdin_socket.poll(0):
                self.stdin_socket.recv_multipart()
            content = {"prompt": prompt, "password": password}
            self.session.send(self.stdin_socket, "input_request", content, parent, ident=ident)
        while True:
            if not self.stdin_socket.poll(_INPUT_POLL_MS, zmq.POLLIN):
                continue
            with self.interrupts:
                value = self._receive_input()
            if value is not None:
                break
        if value == _END_OF_INPUT:
            raise EOFError
        return value

    def _receive_input(self) -> str | None:
        try:
            reply = self.session.recv(self.stdin_socket)[1]
            return str(reply["content"]["value"])
        except Exception:
            self.log.warning("Invalid input reply", exc_info=True)
            return None
