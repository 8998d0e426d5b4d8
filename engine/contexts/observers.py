"""The observers of a kernel: clients that see all of its messages, and get the answers to what they ask themselves.

An observer is known by its session. What comes while it is away is kept, within bounds, until it returns; what does not fit is
counted, and told on its return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.contexts.budgets import Share
from engine.jupyter import Channel, ClientMessage, Message, Outgoing, encode_header
from engine.kernels import Kernel

_MAX_AWAY = 8  # sessions of one kernel whose messages are kept
_REMEMBERED_REQUESTS = 1000  # whose answers still find who asked
_INFO = "kernel_info_request"
_encoder = msgspec.json.Encoder()


class Observer(ABC):
    """One client."""

    session: str

    @abstractmethod
    def deliver(self, message: Outgoing) -> None:
        """Take a message, without waiting; who can take no more leaves, with it."""

    @abstractmethod
    def take(self) -> list[Outgoing]:
        """Take back what it was not sent yet."""

    @abstractmethod
    def note_done(self, *, is_cell: bool) -> None:
        """Nothing is left to do for one of its requests. Called once for each. `is_cell`: whether it was one."""

    @abstractmethod
    def end(self, reason: str) -> None:
        """No message will come any more; `reason` is a sentence for the client."""


class Held:
    """The messages of one context that wait for clients. Each is weighed once, for however many it waits."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self._closed = False

    @property
    def has_room(self) -> bool:
        return self._share.has_room

    def hold(self, message: Outgoing) -> None:
        if not message.holders and not self._closed:
            self._share.take(message.size)
        message.holders += 1

    def drop(self, message: Outgoing) -> None:
        message.holders -= 1
        if not message.holders and not self._closed:
            self._share.give(message.size)

    def close(self) -> None:
        """Weigh nothing more: the context has ended, and its clients go."""
        self._closed = True
        self._share.give(self._share.held)


class Backlog:
    """What an absent session has missed: the latest of it, in order, within `max_bytes` and what there is room for."""

    def __init__(self, max_bytes: int, held: Held) -> None:
        self._max_bytes = max_bytes
        self._held = held
        self._messages: deque[Outgoing] = deque()
        self._bytes = 0
        self.lost = 0
        self.lost_bytes = 0

    def add(self, message: Outgoing) -> None:
        self._held.hold(message)
        self._messages.append(message)
        self._bytes += message.size
        while self._messages and (self._bytes > self._max_bytes or not self._held.has_room):
            gone = self._messages.popleft()
            self._held.drop(gone)
            self._bytes -= gone.size
            self.lost += 1
            self.lost_bytes += gone.size

    def replay(self) -> list[Outgoing]:
        """All that is kept; before it, where something is not, a line on stderr that says so."""
        notice = []
        if self.lost:
            text = f"[polyrepl: {self.lost} messages ({self.lost_bytes} bytes) were not kept while you were away]\n"
            notice = [_message(Channel.IOPUB, "stream", {"name": "stderr", "text": text})]
        return [*notice, *self._messages]

    def clear(self) -> None:
        """Keep nothing more."""
        for message in self._messages:
            self._held.drop(message)
        self._messages.clear()


class Observers:
    """The observers of one context's kernels, one after the other. `max_kept`: bytes that each absent session may have."""

    def __init__(self, *, max_kept: int, share: Share) -> None:
        self.held = Held(share)
        self.last_activity: datetime | None = None
        self._max_kept = max_kept
        self._present: dict[str, Observer] = {}
        self._away: OrderedDict[str, Backlog] = OrderedDict()
        self._askers: OrderedDict[str, str] = OrderedDict()  # session by msg_id
        self._kernel: Kernel | None = None
        self._running: str | None = None  # session whose cell runs
        self._cell: object = None  # which that is
        self._header = b""  # of its request
        self._closed: str | None = None  # why
        self._behind: set[str] = set()
        self.cells = 0  # that clients have run: what they did is kept by the clients, not here

    def __repr__(self) -> str:
        return f"<Observers {len(self._present)} present ({len(self._behind)} behind), {len(self._away)} away>"

    def __len__(self) -> int:
        return len(self._present)

    def watch(self, kernel: Kernel | None) -> None:
        """Observe this kernel from now on."""
        if self._kernel is not None:
            self._kernel.observer = None
        self._kernel = kernel
        if kernel is not None:
            kernel.observer = self.receive
            self._apply_pressure()

    def join(self, observer: Observer) -> None:
        """Take in a client; it first gets what its session missed. One that is there under the same session has to go.

        After the end of the context it is told that, and not taken in."""
        if self._closed is not None:
            observer.end(self._closed)
            return
        earlier = self._present.get(observer.session)
        backlog = self._away.pop(observer.session, None)
        self._present[observer.session] = observer
        self._behind.discard(observer.session)
        missed = backlog.replay() if backlog else []
        if earlier is not None:
            missed += earlier.take()
            earlier.end("This session was opened anew")
        for message in missed:
            observer.deliver(message)
        if backlog is not None:
            backlog.clear()
        self._apply_pressure()

    def leave(self, observer: Observer) -> None:
        """A client is gone. What it was not sent, and what its session gets from now on, is kept for its return."""
        if self._present.get(observer.session) is not observer:
            return
        del self._present[observer.session]
        self._behind.discard(observer.session)
        backlog = self._away[observer.session] = Backlog(self._max_kept, self.held)
        for message in observer.take():
            backlog.add(message)
        if len(self._away) > _MAX_AWAY:
            self._away.popitem(last=False)[1].clear()
        self._apply_pressure()

    def close(self, reason: str) -> None:
        """The context is at its end: tell it, and let everybody go, also those that come later."""
        self._closed = reason
        self.say_status("dead")
        self.watch(None)
        self._away.clear()
        while self._present:
            _, observer = self._present.popitem()
            observer.end(reason)
        self.held.close()

    def note_request(self, session: str, request: ClientMessage) -> None:
        """The answers to this are for that session."""
        self._askers[request.msg_id] = session
        if len(self._askers) > _REMEMBERED_REQUESTS:
            self._askers.popitem(last=False)

    def note_running(self, session: str, cell: object, header: bytes) -> None:
        """A cell of that session runs. `header`: of its request."""
        self._running, self._cell, self._header = session, cell, header
        self._apply_pressure()

    def note_stopped(self, cell: object) -> None:
        """That cell does not run any more; another one may, by now."""
        if self._cell is cell:
            self._running = self._cell = None
            self._header = b""
            self._apply_pressure()

    def note_pressure(self, observer: Observer, *, is_behind: bool) -> None:
        """A client cannot read as fast as messages come, or can again."""
        if self._present.get(observer.session) is observer:
            (self._behind.add if is_behind else self._behind.discard)(observer.session)
            self._apply_pressure()

    def _apply_pressure(self) -> None:
        """A client's own cell goes no faster than it reads. Nobody else's waits for it."""
        if self._kernel is not None:
            self._kernel.pause(self._running is not None and self._running in self._behind)

    def receive(self, message: Message) -> None:
        """Take a message of the kernel."""
        self.last_activity = datetime.now(UTC)
        if message.msg_type == "iopub_welcome" or not (self._present or self._away):
            return
        if message.channel is Channel.IOPUB:
            parts = message.parts()
            if not message.parent_id:
                is_output = message.msg_type == "stream"  # of C code, or a child process
                parts[1] = (self._header if is_output else b"") or encode_header(_INFO)
            self._publish(Outgoing(message.channel, parts))
            return
        asker = self._askers.get(message.parent_id)
        if asker is not None:
            self._send(asker, Outgoing(message.channel, message.parts()))

    def say_status(self, state: str, parent: bytes | None = None) -> None:
        """Publish a status in the kernel's place. `parent`: the header of the request that it is about."""
        self._publish(_message(Channel.IOPUB, "status", {"execution_state": state}, parent=parent))

    def say_stderr(self, text: str, parent: bytes) -> None:
        """Publish a line as output of the request with that header."""
        self._publish(_message(Channel.IOPUB, "stream", {"name": "stderr", "text": text}, parent=parent))

    def answer(self, session: str, request: ClientMessage, content: dict[str, Any], *, aborted: bool = False) -> None:
        """Answer a request in the kernel's place, an error also as output where it was to run code."""
        parent = request.parts[0]
        metadata = {"status": "aborted"} if aborted else {}
        self.say_status("busy", parent)
        if content["status"] == "error" and request.is_cell:
            error = {name: content[name] for name in ("ename", "evalue", "traceback")}
            self._publish(_message(Channel.IOPUB, "error", error, parent=parent))
        reply = request.msg_type.removesuffix("_request") + "_reply"
        self._send(session, _message(request.channel, reply, content, parent=parent, metadata=metadata))
        self.say_status("idle", parent)

    def _publish(self, message: Outgoing) -> None:
        for backlog in self._away.values():  # before the others, of whom one may leave with this message
            backlog.add(message)
        for observer in list(self._present.values()):
            observer.deliver(message)

    def _send(self, session: str, message: Outgoing) -> None:
        observer = self._present.get(session)
        if observer is not None:
            observer.deliver(message)
        elif session in self._away:
            self._away[session].add(message)


def status_message(state: str) -> Outgoing:
    """The status of a kernel, for a client that has just come."""
    return _message(Channel.IOPUB, "status", {"execution_state": state})


def _message(
    channel: Channel,
    msg_type: str,
    content: dict[str, Any],
    *,
    parent: bytes | None = None,
    metadata: dict[str, Any] | None = None,
) -> Outgoing:
    """A message of ours. Clients look for a msg_id in the parent of each message, so that one that nobody asked for answers a request
    of ours: Jupyter's servers ask each kernel for its info when a client arrives."""
    parts = [encode_header(msg_type), parent or encode_header(_INFO)]
    return Outgoing(channel, [*parts, _encoder.encode(metadata or {}), _encoder.encode(content)])
