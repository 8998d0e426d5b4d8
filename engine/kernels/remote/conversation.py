"""A conversation with a remote kernel: what was asked, what has come of it, and what a cut may have lost. No sockets.

A Python kernel keeps what it sends (`cells`). After a cut it is asked for what did not come, on the control channel, also
while a cell runs; what comes meanwhile is held back. Of other kernels, numbers show gaps (`losses`), a question behind the
cell shows that its end was lost, and the cell ends with the error OutputLost, its kernel and its state kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from engine.jupyter import Channel, Message, Parts, Session, Steps
from engine.kernels.remote.cells import REPLAY, cell, keep_messages
from engine.kernels.remote.losses import Numbers
from engine.kernels.remote.replay import KEPT_BYTES, messages_of, question, read_answer
from engine.log import get_logger

_MAX_PENDING = 1000
_MAX_OWN = 200
_MAX_RESENDS = 2
_MAX_HELD = 64 * 1024 * 1024  # bytes
_AT_ONCE = 20  # messages of a replay that are taken in one step
_REPLAY_AGAIN = 4  # pauses without an answer before a replay is asked for again
_REPLAY_WAIT = 120  # pauses without one before it is given up
_LOST = "The connection to the remote Jupyter was cut while this cell ran; part of its output may be lost. The state is kept"
_END_LOST = "The connection to the remote Jupyter was cut while this cell ran; how it ended is lost. The state is kept"
_LIMITS = ("IOPub message rate exceeded", "IOPub data rate exceeded")
DEAD = "dead: its process ended, and the remote Jupyter could not restart it"
GONE = "gone: the remote Jupyter knows it no longer"
RESTARTED = "restarted by the remote Jupyter, after its process had ended"


class _Header(msgspec.Struct):
    msg_id: str = ""
    msg_type: str = ""


_header_decoder = msgspec.json.Decoder(_Header)
_Handle = Callable[[Message, str, int], None]  # of a message, the execution state that it tells, and its number


class Link(Protocol):
    """Who carries a conversation: the channels."""

    def deliver(self, message: Message) -> None:
        """Take a message of the kernel. Each comes once, in the kernel's order."""

    def put(self, channel: Channel, parts: Parts) -> None:
        """Send this."""

    def note_answer(self) -> None:
        """A question of `probe` or `ask_to_keep` has been answered."""

    def note_end(self, reason: str) -> None:
        """The kernel is no longer of use; `reason` is a participle."""

    def schedule_look(self) -> None:
        """Call `look_after_replay` after a pause."""


class _Pending:
    """A message on the shell channel whose effects have not ended."""

    def __init__(self, msg_type: str, parts: Parts) -> None:
        self.msg_type = msg_type
        self.parts = parts
        self.was_seen = False  # the kernel has said something about it
        self.has_reply = not msg_type.endswith("_request")
        self.idle: Message | None = None
        self.reply_number = 0
        self.was_cut = False  # something of it may be lost
        self.is_doubtful = False  # it may not have come to the kernel
        self.resends = 0


class _Replay:
    """A replay that is under way. `notice`: what the remote said of output that it threw away, where that is the reason.

    It ends with an answer to a request of which iopub told, before the kernel answered it: from there on all comes by itself."""

    def __init__(self, notice: Message | None = None) -> None:
        self.notice = notice
        self.held: list[Message] = []
        self.held_bytes = 0
        self.is_whole = True
        self.pauses = 0  # since the latest answer
        self.asked: set[str] = set()  # over the present socket
        self.told: set[str] = set()
        self.answered: set[str] = set()

    def begin_anew(self) -> None:
        """There is a new socket, of which nothing is known yet."""
        self.pauses = 0
        for requests in (self.asked, self.told, self.answered):
            requests.clear()

    @property
    def is_caught_up(self) -> bool:
        return bool(self.asked & self.told & self.answered)

    def hold(self, message: Message) -> None:
        self.held.append(message)
        self.held_bytes += message.size + sum(map(len, message.buffers))


class Conversation:
    """Feed it with what is sent and received, and with `note_cut` and `note_connected`. What comes of it goes to `link`."""

    def __init__(self, session: Session, link: Link) -> None:
        self._session = session
        self._link = link
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._own: OrderedDict[str, _Handle] = OrderedDict()
        self._on_control: OrderedDict[str, None] = OrderedDict()
        self._numbers = Numbers()
        self._probe = ""  # msg_id of the question that comes behind every request sent before it
        self._probe_replied = self._probe_idle = False
        self._replay: _Replay | None = None
        self._answer: Parts | None = None  # to an input_request, until something shows that it has come
        self.is_ready = False  # the kernel has answered on shell and iopub
        self.is_ipython = False
        self.keeps_messages = False

    def __repr__(self) -> str:
        return f"<Conversation {len(self._pending)} pending{', replaying' if self._replay else ''}>"

    def __len__(self) -> int:
        return len(self._pending)

    def note_sent(self, channel: Channel, parts: Parts) -> None:
        header = _header_decoder.decode(parts[0])
        if channel is Channel.SHELL and (header.msg_type.endswith("_request") or self.keeps_messages):
            self._pending[header.msg_id] = _Pending(header.msg_type, parts)
            if len(self._pending) > _MAX_PENDING:
                self._pending.popitem(last=False)
        elif channel is Channel.CONTROL:
            _remember(self._on_control, header.msg_id, None)
        elif header.msg_type == "input_reply":
            self._answer = parts

    def probe(self) -> None:
        """Ask the kernel something; what was sent before has been worked on when it answers."""
        self._probe_replied = self._probe_idle = False
        self._probe = self._ask(Channel.SHELL, "kernel_info_request", {}, self._note_probe)

    def ask_to_keep(self) -> None:
        """Have the kernel keep its messages from now on; `keeps_messages` tells once it does. May be asked again."""
        content = {
            "code": cell(keep_messages, msg_type=REPLAY, limit=KEPT_BYTES),
            "silent": True,
            "store_history": False,
            "allow_stdin": False,
        }
        self._ask(Channel.SHELL, "execute_request", content, self._note_keeps)

    def _ask(self, channel: Channel, msg_type: str, content: Any, handle: _Handle) -> str:
        msg_id, parts = self._session.build_parts(msg_type, content)
        _remember(self._own, msg_id, handle)
        self._link.put(channel, parts)
        return msg_id

    def _note_keeps(self, message: Message, state: str, number: int) -> None:
        if message.channel is Channel.SHELL:
            self.keeps_messages = self._numbers.are_known and message.content.get("status") == "ok"
            self._link.note_answer()

    def note_cut(self) -> None:
        if not any(
            pending.was_cut for pending in self._pending.values()
        ):  # else the gaps since that cut go on counting
            self._numbers.note_cut()
        for pending in self._pending.values():
            pending.was_cut, pending.is_doubtful = True, not pending.was_seen

    def note_connected(self) -> None:
        """There is a new socket."""
        if self.keeps_messages:
            self._begin_replay()
        if self._pending:
            self.probe()

    def release(self) -> None:
        """Deliver what is held back: nothing else will come."""
        if self._replay is not None:
            self._replay.is_whole = False
            self._end_replay(self._replay)

    def close(self) -> None:
        """Nobody listens any more."""
        self._replay = None

    def receive(self, message: Message) -> Steps[None]:
        """Take in a message, in steps: one can hold thousands of others. Raises MessageError for a content that is none."""
        state = _state_of(message)
        # A new process says "starting" once, and perhaps nobody hears it. Its numbers tell, too.
        is_new = state and self.keeps_messages and not self._numbers.is_one(_msg_id(message))
        if is_new or state in ("restarting", "dead") or (state == "starting" and self.is_ready):
            self.release()
            self._link.note_end(DEAD if state == "dead" else RESTARTED)
        elif self._replay is not None:
            yield from self._receive_in(self._replay, message, state)
        elif self.keeps_messages and _tells_of_a_limit(message) and not self._numbers.is_one(_msg_id(message)):
            self._begin_replay(message)
        else:
            self._take(message)

    def _begin_replay(self, notice: Message | None = None) -> None:
        if self._replay is None:
            self._replay = _Replay(notice)
            self._link.schedule_look()
        self._replay.begin_anew()
        self._ask_to_replay(self._replay)

    def _ask_to_replay(self, replay: _Replay) -> None:
        replay.asked.add(self._ask(Channel.CONTROL, f"{REPLAY}_request", question(self._numbers), _ignore))

    def look_after_replay(self) -> None:
        """Ask again where no answer has come, or not the last one; in the end give it up."""
        replay = self._replay
        if replay is None:
            return
        replay.pauses += 1
        if replay.pauses > _REPLAY_WAIT or replay.held_bytes > _MAX_HELD:
            self.release()
            return
        if replay.answered or replay.pauses % _REPLAY_AGAIN == 0:
            self._ask_to_replay(replay)
        self._link.schedule_look()

    def _receive_in(self, replay: _Replay, message: Message, state: str) -> Steps[None]:
        if message.msg_type == f"{REPLAY}_reply" and message.parent_id in self._own:
            yield from self._take_again(replay, message)
        else:
            replay.hold(message)
            if state == "busy":
                replay.told.add(message.parent_id)
        if self._replay is replay and replay.is_caught_up and not (replay.notice is not None and self._pending):
            self._end_replay(replay)

    def _take_again(self, replay: _Replay, reply: Message) -> Steps[None]:
        answer = read_answer(reply)
        if answer.dropped >= self._numbers.first_lost():
            replay.is_whole = False
        elif replay.is_whole:
            for pending in self._pending.values():
                pending.was_cut = False
        for number, (channel, parts) in enumerate(messages_of(reply, answer), 1):
            message = self._session.parse_parts(channel, parts)
            if (steps := message.read()) is not None:
                yield from steps
            if number % _AT_ONCE == 0:
                yield
            if self._replay is not replay:  # it was given up meanwhile, and what was held back is delivered
                return
            if channel is Channel.SHELL and message.parent_id in self._on_control:
                message.channel = Channel.CONTROL
            self._take(message)
        replay.pauses = 0
        if answer.more:
            self._ask_to_replay(replay)
        else:
            replay.answered.add(reply.parent_id)

    def _end_replay(self, replay: _Replay) -> None:
        self._replay = None
        if replay.is_whole:
            self._numbers.note_whole()
        elif replay.notice is not None:
            self._take(replay.notice)
        if self._answer is not None:
            self._link.put(Channel.STDIN, self._answer)  # it counts once only
        for message in replay.held:
            self._take(message)
        get_logger().info("remote_replayed", whole=replay.is_whole, held=len(replay.held))

    def _take(self, message: Message) -> None:
        msg_id = _msg_id(message)
        if self.keeps_messages and self._numbers.was_seen(msg_id):
            return
        number = self._numbers.note(msg_id, is_iopub=message.channel is Channel.IOPUB)
        state = _state_of(message)
        handle = self._own.get(message.parent_id)
        if handle is not None:
            handle(message, state, number)
            return
        pending = self._pending.get(message.parent_id)
        if message.channel is Channel.STDIN or (pending is not None and message.channel is Channel.SHELL):
            self._answer = None  # it has come
        if pending is not None:
            self._note_pending(message, pending, state, number)
            return
        if state:
            self._numbers.note_foreign(message.parent_id, state, number)
        self._link.deliver(message)

    def _note_pending(self, message: Message, pending: _Pending, state: str, number: int) -> None:
        pending.was_seen, pending.is_doubtful = True, False
        if message.channel is Channel.SHELL:
            pending.has_reply, pending.reply_number = True, number
        elif state == "idle":
            pending.idle = message
        is_idle = message is pending.idle
        if pending.idle is None or not pending.has_reply:
            # After a cut idle waits for the reply: all output has lower numbers than that, and is there before idle.
            if not (is_idle and pending.was_cut):
                self._link.deliver(message)
            return
        del self._pending[message.parent_id]
        if not is_idle:
            self._link.deliver(message)
        if pending.was_cut and not self._is_whole(pending.reply_number):
            self._link.deliver(_error(message.parent_id, _LOST))
        if is_idle or pending.was_cut:
            self._link.deliver(pending.idle)

    def _is_whole(self, below: int) -> bool:
        return self._numbers.are_known and not self._numbers.lost(below)

    def _note_probe(self, message: Message, state: str, number: int) -> None:
        if message.parent_id != self._probe:
            return
        if message.channel is Channel.SHELL:
            self._probe_replied = True
            self.is_ipython = message.content.get("implementation") == "ipython"
        self._probe_idle |= state == "idle"
        if not (self._probe_replied and self._probe_idle):
            return
        self._probe = ""
        if not self.is_ready:
            self.is_ready = True
            self._numbers.begin(_msg_id(message))
            self._link.note_answer()
            return
        for request_id, pending in list(self._pending.items()):
            if pending.was_cut or pending.is_doubtful:
                self._settle(request_id, pending, number)

    def _settle(self, request_id: str, pending: _Pending, number: int) -> None:
        """The kernel has answered what came behind this request: what is missing of it will not come."""
        is_unseen = pending.is_doubtful and (not pending.was_cut or self._is_whole(number))
        if is_unseen and pending.resends < _MAX_RESENDS:
            pending.resends += 1  # the kernel never got it: it can be sent again
            pending.was_cut = pending.is_doubtful = False
            self._link.put(Channel.SHELL, pending.parts)
            return
        del self._pending[request_id]
        if not (pending.has_reply and self._is_whole(pending.reply_number)):  # else no more than idle is missing
            self._link.deliver(_error(request_id, _END_LOST))
        if not pending.has_reply:
            reply_type = pending.msg_type.replace("_request", "_reply")
            content = {"status": "error", "ename": "OutputLost", "evalue": _END_LOST, "traceback": []}
            self._link.deliver(Message(Channel.SHELL, reply_type, request_id, content=content))
        self._link.deliver(Message(Channel.IOPUB, "status", request_id, content={"execution_state": "idle"}))


def _remember(requests: OrderedDict[str, Any], msg_id: str, value: Any) -> None:
    requests[msg_id] = value
    if len(requests) > _MAX_OWN:
        requests.popitem(last=False)


def _msg_id(message: Message) -> str:
    return _header_decoder.decode(message.header).msg_id


def _ignore(message: Message, state: str, number: int) -> None:
    """A message of no interest."""


def _state_of(message: Message) -> str:
    if message.msg_type != "status" or message.channel is not Channel.IOPUB:
        return ""
    state = message.content.get("execution_state")
    return state if isinstance(state, str) else ""


def _tells_of_a_limit(message: Message) -> bool:
    """Whether a text is what the remote itself says when it throws output away, as too much comes at once."""
    if message.msg_type != "stream" or message.content.get("name") != "stderr":
        return False
    return str(message.content.get("text")).startswith(_LIMITS)


def _error(request_id: str, text: str) -> Message:
    content = {"ename": "OutputLost", "evalue": text, "traceback": [f"OutputLost: {text}"]}
    return Message(Channel.IOPUB, "error", request_id, content=content)
