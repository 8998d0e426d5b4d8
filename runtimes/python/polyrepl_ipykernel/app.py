"""The application: sockets, signals and the loop of the tuned kernel."""

from __future__ import annotations

from typing import Any

import zmq
from ipykernel.kernelapp import IPKernelApp
from tornado import ioloop
from traitlets import DottedObjectName, Type

from .interrupts import Interrupts
from .kernel import NoShellThread, PolyreplKernel
from .lifetime import die_with_parent
from .publisher import Publisher
from .streams import OutStream

_WAITING_MESSAGES = 64


class KernelApp(IPKernelApp):
    """ipykernel's application with our kernel, one thread less and no hop between a message and its socket."""

    kernel_class = Type(PolyreplKernel, klass="ipykernel.kernelbase.Kernel").tag(config=True)
    outstream_class = DottedObjectName(f"{OutStream.__init__.__module__}.OutStream", allow_none=True).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        self.interrupts = Interrupts()
        super().__init__(**kwargs)

    def init_poller(self) -> None:
        """Poll for the parent only where the system cannot tell of its death."""
        if not die_with_parent(self.parent_handle):
            super().init_poller()

    def init_control(self, context: zmq.Context[Any]) -> None:
        """Open the control channel, and read the shell channel in the main thread."""
        super().init_control(context)
        self.shell_channel_thread.io_loop.close()
        self.shell_channel_thread = NoShellThread()

    def init_iopub(self, context: zmq.Context[Any]) -> None:
        """Open the iopub channel; it drops nothing: a reader on this machine that falls behind makes the cell wait."""
        self.iopub_socket = context.socket(zmq.XPUB)
        if self.transport == "ipc":
            self.iopub_socket.sndhwm = _WAITING_MESSAGES
            self.iopub_socket.setsockopt(zmq.XPUB_NODROP, 1)
        else:
            self.iopub_socket.sndhwm = 0  # a reader elsewhere may be gone without a word; nobody waits for it
        self.iopub_socket.linger = 1000
        self._apply_curve_server_options(self.iopub_socket)
        self.iopub_port = self._bind_socket(self.iopub_socket, self.iopub_port)
        self.configure_tornado_logger()
        self.iopub_thread = Publisher(self.iopub_socket, self.session, self.interrupts)
        self.interrupts.retry_with(self.iopub_thread.io_loop)
        self.iopub_thread.start()
        self.iopub_socket = self.iopub_thread.background_socket

    def init_signal(self) -> None:
        """Install the only SIGINT handler that this process has."""
        self.interrupts.install()

    def start(self) -> None:
        """Serve until shutdown; a task that raises out of the loop does not end the kernel."""
        if self.poller is not None:
            self.poller.start()
        self.kernel.start()
        self.io_loop = ioloop.IOLoop.current()
        while True:
            try:
                self.io_loop.start()
            except (KeyboardInterrupt, SystemExit):
                continue
            return
