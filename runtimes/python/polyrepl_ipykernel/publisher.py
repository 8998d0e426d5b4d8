"""The iopub socket: messages leave in the thread that sends them, in order, under a lock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import zmq
from ipykernel.iostream import IOPubThread
from jupyter_client.session import Session
from tornado.ioloop import IOLoop

from .interrupts import Interrupts


class Publisher(IOPubThread):
    """ipykernel's IOPub thread without the hop: its loop is left with timers, subscriptions and captured output.

    A zmq socket may be used from several threads if a lock orders the uses. Over ipc the lock is held while the reader is behind.
    """

    def __init__(self, socket: zmq.Socket[Any], session: Session, interrupts: Interrupts) -> None:
        self._interrupts = interrupts
        self._socket_lock = threading.RLock()
        super().__init__(socket, session=session)

    def schedule(self, f: Callable[[], Any]) -> None:
        """Run a function on the loop of this thread, or at once when the thread has ended."""
        if self.thread.is_alive():
            self.io_loop.add_callback(f)
        else:
            f()

    def send_multipart(self, msg: list[Any], *args: Any, **kwargs: Any) -> None:
        """Send a message; an interrupt of the main thread waits until all of its frames are out."""
        with self._interrupts, self._socket_lock:
            if self.socket is None:
                return
            self.socket.send_multipart(msg, *args, **kwargs)
            # Sending swallows the edge by which the loop would have learned of a subscription.
            if self.socket.EVENTS & zmq.POLLIN:
                self._receive_subscriptions()

    def stop(self) -> None:
        """End the thread; its loop closes what it still watches, which must not be the socket's own descriptor."""
        if self.thread.is_alive() and self.socket is not None:
            self.io_loop.add_callback(self.io_loop.remove_handler, self.socket.FD)
        super().stop()

    def _setup_event_pipe(self) -> None:
        """Leave out the inproc sockets of the hop."""

    def _setup_xpub_listener(self) -> None:
        self.io_loop.add_handler(self.socket.FD, self._on_readable, IOLoop.READ)

    def _on_readable(self, fd: Any, events: int) -> None:
        with self._socket_lock:
            self._receive_subscriptions()

    def _receive_subscriptions(self) -> None:
        while self.socket is not None:
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._handle_subscription(frames)
