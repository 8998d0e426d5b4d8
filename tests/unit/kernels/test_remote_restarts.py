"""A remote kernel whose process somebody replaced: it says so once, perhaps to nobody, and its numbers show it as well."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.jupyter import Channel, Message, Parts, Session
from engine.kernels.remote.conversation import RESTARTED, Conversation

OLD, NEW = "0f3a-1_77_", "5bd2-9_81_"


class Recorded:
    """A link that keeps what it is told."""

    def __init__(self) -> None:
        self.sent: list[Parts] = []
        self.delivered: list[Message] = []
        self.ends: list[str] = []

    def deliver(self, message: Message) -> None:
        self.delivered.append(message)

    def put(self, channel: Channel, parts: Parts) -> None:
        self.sent.append(parts)

    def note_answer(self) -> None: ...

    def note_end(self, reason: str) -> None:
        self.ends.append(reason)

    def schedule_look(self) -> None: ...


class Kernel:
    """Says what a kernel would say."""

    def __init__(self) -> None:
        self.link = Recorded()
        self.session = Session(b"")
        self.talk = Conversation(self.session, self.link)
        self.number = 0
        self.steps = 0

    def say(self, channel: Channel, msg_type: str, parent: str, prefix: str = OLD, **content: Any) -> None:
        self.number += 1
        header = {"msg_id": f"{prefix}{self.number}", "msg_type": msg_type, "session": prefix[:6], "version": "5.3"}
        parts = [header, {"msg_id": parent}, {}, content]
        for _ in self.talk.receive(self.session.parse_parts(channel, [msgspec.json.encode(part) for part in parts])):
            self.steps += 1

    def answer(self, channel: Channel, msg_type: str, prefix: str = OLD, **content: Any) -> None:
        parent = msgspec.json.decode(self.link.sent[-1][0])["msg_id"]
        self.say(channel, msg_type, parent, prefix, **content)

    def begin(self, implementation: str = "ipython") -> None:
        self.talk.probe()
        self.answer(Channel.SHELL, "kernel_info_reply", implementation=implementation)
        self.answer(Channel.IOPUB, "status", execution_state="idle")


@pytest.fixture
def kernel() -> Kernel:
    kernel = Kernel()
    kernel.begin()
    kernel.talk.ask_to_keep()
    kernel.answer(Channel.SHELL, "execute_reply", status="ok")
    assert kernel.talk.keeps_messages
    return kernel


@pytest.mark.parametrize("state", ["starting", "busy", "idle"])
def test_a_new_process_is_known_by_the_first_state_it_tells(kernel: Kernel, state: str) -> None:
    kernel.say(Channel.IOPUB, "status", "somebody", execution_state="busy")
    assert kernel.link.ends == []
    kernel.say(Channel.IOPUB, "status", "somebody", NEW, execution_state=state)
    assert kernel.link.ends == [RESTARTED]


def test_output_of_the_server_itself_is_no_new_process(kernel: Kernel) -> None:
    kernel.say(Channel.IOPUB, "stream", "", NEW, name="stderr", text="a word of the server")
    assert kernel.link.ends == []


def test_a_kernel_that_does_not_number_as_jupyter_does_is_not_judged_by_it() -> None:
    kernel = Kernel()
    kernel.begin(implementation="IRkernel")
    kernel.say(Channel.IOPUB, "status", "somebody", NEW, execution_state="busy")
    assert kernel.link.ends == []


def test_thousands_of_messages_that_come_again_at_once_are_taken_in_steps(kernel: Kernel) -> None:
    kernel.talk.note_cut()
    kernel.talk.note_connected()
    asked = msgspec.json.decode(kernel.link.sent[-1][0])["msg_id"]
    again: list[bytes] = []
    for text in range(2000):
        kernel.number += 1
        header = {"msg_id": f"{OLD}{kernel.number}", "msg_type": "stream"}
        content = {"name": "stdout", "text": f"{text}\n"}
        again += [msgspec.json.encode(part) for part in (header, {"msg_id": "cell"}, {}, content)]
    header = {"msg_id": f"{OLD}{kernel.number + 1}", "msg_type": "polyrepl_replay_reply"}
    answer = {"parts": [4] * 2000, "dropped": 0, "more": False}
    parts = [msgspec.json.encode(part) for part in (header, {"msg_id": asked}, {}, answer)]
    steps = kernel.talk.receive(kernel.session.parse_parts(Channel.CONTROL, [*parts, *again]))
    most = before = 0
    for _ in steps:
        most, before = max(most, len(kernel.link.delivered) - before), len(kernel.link.delivered)
    assert [message.content["text"] for message in kernel.link.delivered] == [f"{text}\n" for text in range(2000)]
    assert 0 < most <= 20
