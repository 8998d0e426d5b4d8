"""The normalizer: whatever messages come, its events and its result agree, are valid, and lose and repeat nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from engine.errors import MessageError
from engine.jupyter.messages import Channel, Message
from engine.models import (
    Cleared,
    Event,
    Failed,
    InputRequest,
    Item,
    ItemAdded,
    ItemUpdated,
    Result,
    Stderr,
    Stdout,
)
from engine.output.buffers import OutputLimits
from engine.output.normalizer import Normalizer, strip_ansi

WIDE = OutputLimits(stream_bytes=1_000_000, item_bytes=1_000_000, items=1000, output_bytes=10_000_000)


def message(msg_type: str, content: Any, metadata: Any = None) -> Message:
    return Message(Channel.IOPUB, msg_type, "parent", content=content, metadata=metadata or {})


def stream(text: Any, name: str = "stdout") -> Message:
    return message("stream", {"name": name, "text": text})


def display(text: str, display_id: str | None = None, msg_type: str = "display_data") -> Message:
    transient = {} if display_id is None else {"display_id": display_id}
    return message(msg_type, {"data": {"text/plain": text}, "metadata": {}, "transient": transient})


def result(text: str, count: int = 1) -> Message:
    return message("execute_result", {"data": {"text/plain": text}, "metadata": {}, "execution_count": count})


def update(text: str, display_id: str) -> Message:
    return display(text, display_id, "update_display_data")


def clear(*, wait: bool) -> Message:
    return message("clear_output", {"wait": wait})


class Fed:
    """A normalizer that got messages, and all events it gave."""

    def __init__(self, *messages: Message, limits: OutputLimits = WIDE) -> None:
        self.normalizer = Normalizer(limits)
        self.events: list[Event] = []
        for each in messages:
            self.events += self.normalizer.feed(each)
        self.events += self.normalizer.finish()

    def texts(self) -> list[tuple[Any, bool]]:
        return [(item.text, item.is_primary) for item in self.normalizer.items()]

    def result(self) -> Result:
        made = Result(
            execution_id="e",
            context_id="c",
            language="python",
            status="ok",
            items=self.normalizer.items(),
            logs=self.normalizer.logs(),
            error=self.normalizer.error or UNSET,
            truncated=self.normalizer.truncated(),
        )
        if self.normalizer.execution_count is not None:
            made.execution_count = self.normalizer.execution_count
        return made

    def replayed(self) -> list[Item]:
        """The items as a client has them that only read the events and the last one's primary_index."""
        shown: dict[int, Item] = {}
        for event in self.events:
            match event:
                case ItemAdded(index=index, item=item):
                    assert index not in shown, "an index names one item"
                    shown[index] = item
                case ItemUpdated(index=index, item=item):
                    assert index in shown, "an update is of an item that was sent"
                    shown[index] = item
                case Cleared():
                    shown.clear()
        primary = self.normalizer.primary_index()
        assert primary is UNSET or primary in shown
        return [msgspec.structs.replace(item, is_primary=index == primary) for index, item in shown.items()]

    def streamed(self, kind: type[Event]) -> str:
        return "".join(event.text for event in self.events if isinstance(event, kind))


def test_a_stream_is_an_event_and_ends_as_lines():
    fed = Fed(stream("a\nb"), stream("c\n"), stream("oops\n", "stderr"))
    assert fed.events == [Stdout(text="a\nb"), Stdout(text="c\n"), Stderr(text="oops\n")]
    assert fed.result().logs.stdout == ["a", "bc"]
    assert fed.result().logs.stderr == ["oops"]


def test_progress_bars_collapse_in_the_final_logs_and_stay_in_the_events():
    fed = Fed(stream(" 10%"), stream("\r 50%"), stream("\r100%\n"))
    assert fed.streamed(Stdout) == " 10%\r 50%\r100%\n"
    assert fed.result().logs.stdout == ["100%"]


def test_the_execute_result_is_the_primary_item_and_counts_the_execution():
    fed = Fed(display("plot"), result("42", 7), display("after"))
    assert fed.texts() == [("plot", False), ("42", True), ("after", False)]
    assert fed.result().execution_count == 7


def test_without_a_result_the_last_display_is_primary():
    assert Fed(display("a"), display("b")).texts() == [("a", False), ("b", True)]


def test_an_update_replaces_its_display():
    fed = Fed(display("0%", "bar"), display("x"), update("100%", "bar"))
    assert fed.texts() == [("100%", False), ("x", True)]
    assert [type(event) for event in fed.events] == [ItemAdded, ItemAdded, ItemUpdated]


def test_a_clear_removes_items_at_once_and_leaves_the_logs():
    fed = Fed(stream("kept\n"), display("gone"), clear(wait=False))
    assert fed.texts() == []
    assert fed.result().logs.stdout == ["kept"]
    assert fed.events[-1] == Cleared()


def test_a_clear_that_waits_removes_items_when_the_next_output_comes():
    assert Fed(display("stays"), clear(wait=True)).texts() == [("stays", True)]
    assert Fed(display("gone"), clear(wait=True), display("new")).texts() == [("new", True)]
    assert Fed(display("gone"), clear(wait=True), stream("x")).texts() == []


@pytest.mark.parametrize(
    "new",
    [
        update("new", "unknown"),
        message("execute_reply", {"status": "ok", "payload": [{"source": "page", "data": {"text/plain": "new"}}]}),
    ],
    ids=["an update that makes an item", "a page"],
)
def test_a_clear_that_waits_never_takes_the_output_that_it_waited_for(new: Message):
    assert Fed(display("gone"), clear(wait=True), new, stream("x")).texts() == [("new", True)]


def test_an_error_has_one_traceback_without_ansi():
    traceback = ["\x1b[31mTraceback\x1b[0m (most recent call last)", "\x1b]8;;file:///x\x07link\x1b]8;;\x07", "E: v"]
    fed = Fed(message("error", {"ename": "E", "evalue": "\x1b[1mv\x1b[0m", "traceback": traceback}))
    assert fed.events == [Failed(name="E", value="v", traceback="Traceback (most recent call last)\nlink\nE: v")]
    assert fed.result().error == fed.normalizer.error


def test_an_error_told_only_in_the_reply_is_an_error():
    reply = {"status": "error", "execution_count": 3, "ename": "E", "evalue": "v", "traceback": []}
    fed = Fed(message("execute_reply", reply))
    assert fed.events == [Failed(name="E", value="v", traceback="")]
    assert fed.result().execution_count == 3


def test_an_error_told_twice_is_one_event_in_any_order():
    error = {"ename": "E", "evalue": "v", "traceback": ["t"]}
    told = [message("error", error), message("execute_reply", {"status": "error", **error})]
    assert Fed(*told).events == Fed(*reversed(told)).events == [Failed(name="E", value="v", traceback="t")]
    other = message("error", {**error, "evalue": "another"})
    assert [event.value for event in Fed(*reversed(told), other).events] == ["v", "another"]


@pytest.mark.parametrize(
    ("ename", "name"),
    [
        ("\x1b[31mRed\x1b[0mError", "RedError"),
        ("\x1b]0;title\x07E", "E"),
        ("A\x9b31mB\r\n\x08C", "A31mBC"),
        ("\x1b", "Error"),
        ("Ünïcode Error", "Ünïcode Error"),
    ],
)
def test_the_name_of_an_error_is_one_line_that_no_terminal_takes_for_a_command(ename: str, name: str):
    fed = Fed(message("error", {"ename": ename, "evalue": "v", "traceback": []}))
    assert fed.normalizer.error.name == name


@pytest.mark.parametrize(
    ("sent", "hint"), [("Restart the context.", "Restart the context."), (3, UNSET), (None, UNSET)]
)
def test_a_kernel_may_say_what_to_do_about_an_error(sent: Any, hint: Any):
    fed = Fed(message("error", {"ename": "E", "evalue": "v", "traceback": [], "hint": sent}))
    assert fed.normalizer.error.hint == hint


@pytest.mark.parametrize("field", ["ename", "evalue", "traceback"])
def test_an_endless_error_is_shortened(field: str):
    content = {"ename": "E", "evalue": "v", "traceback": ["t"]}
    fed = Fed(message("error", {**content, field: "x" * 10_000_000}))
    assert len(msgspec.json.encode(fed.result())) < 1_000_000
    assert len(msgspec.json.encode(fed.events)) < 1_000_000


def test_a_page_of_ipython_help_is_an_item():
    page = {"source": "page", "data": {"text/plain": "help"}, "start": 0}
    assert Fed(message("execute_reply", {"status": "ok", "payload": [page]})).texts() == [("help", True)]


def test_an_input_request_is_an_event():
    fed = Fed(message("input_request", {"prompt": "Name: ", "password": True}))
    assert fed.events == [InputRequest(prompt="Name: ", password=True)]


def test_multi_line_string_lists_are_joined():
    fed = Fed(message("display_data", {"data": {"text/plain": ["a\n", "b"], "image/png": ["AA\n", "BB"]}}))
    (item,) = fed.normalizer.items()
    assert (item.text, item.png) == ("a\nb", "AABB")


def test_what_the_kernel_left_out_is_told_in_the_event_and_in_the_result():
    fed = Fed(stream("head\n"), message("stream", {"name": "stdout", "text": "tail\n"}, {"omitted_bytes": 99}))
    assert fed.events == [Stdout(text="head\n"), Stdout(text="tail\n", omitted_bytes=99)]
    truncated = fed.result().truncated
    assert truncated is not UNSET
    assert (truncated["stdout"].total_bytes, truncated["stdout"].kept_bytes) == (109, 10)


def test_a_value_the_kernel_left_out_is_told_in_the_item_and_in_the_result():
    content = {"data": {"text/plain": "<Figure>"}, "metadata": {}}
    fed = Fed(message("display_data", content, {"omitted": {"image/png": 5000}}))
    assert fed.normalizer.items()[0].omitted == {"image/png": 5000}
    truncated = fed.result().truncated
    assert truncated is not UNSET
    assert (truncated["items"].total_bytes, truncated["items"].kept_bytes) == (5008, 8)


def test_output_that_was_not_cut_is_not_called_truncated():
    assert Fed(stream("a"), display("b")).result().truncated is UNSET


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("\x1b[0;31mred\x1b[0m", "red"),
        ("\x1b[38;2;1;2;3mx", "x"),
        ("\x1b]0;title\x1b\\x", "x"),
        ("\x1b(Bx", "x"),
        ("a\x1bMb", "ab"),
        ("[31m", "[31m"),
    ],
)
def test_escape_sequences_are_stripped(raw: str, plain: str):
    assert strip_ansi(raw) == plain


ids = st.sampled_from(["d1", "d2", "d3"])
short = st.text(max_size=20)
updates = st.builds(update, short, ids)
clears = st.booleans().map(lambda wait: clear(wait=wait))
plain = st.one_of(
    st.builds(stream, short, st.sampled_from(["stdout", "stderr"])),
    st.builds(display, short, st.none() | ids),
    st.builds(result, short, st.integers(1, 9)),
    st.just(message("error", {"ename": "E", "evalue": "v", "traceback": ["t"]})),
    st.just(message("execute_reply", {"status": "ok", "execution_count": 2})),
    st.just(message("status", {"execution_state": "busy"})),
)
regular = plain | updates | clears
small = st.builds(
    OutputLimits,
    stream_bytes=st.integers(4, 60),
    item_bytes=st.integers(1, 40),
    items=st.integers(2, 6),
    output_bytes=st.integers(16, 400),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    "name", "text", "data", "metadata", "transient", "display_id", "wait", "ename", "evalue", "traceback",
    "execution_count", "status", "payload", "source", "prompt", "password", "omitted", "omitted_bytes",
    "text/plain", "image/png", "application/json", "page",
]  # fmt: skip
TYPES = [
    "stream", "display_data", "execute_result", "update_display_data", "clear_output", "error", "execute_reply",
    "execute_input", "input_request", "status", "comm_open", "nonsense",
]  # fmt: skip
odd_values = json_values | st.dictionaries(st.sampled_from(KEYS), json_values, max_size=3)
odd_contents = st.dictionaries(st.sampled_from(KEYS), odd_values, max_size=6)
odd = st.builds(message, st.sampled_from(TYPES), odd_contents, odd_contents)


def expected_items(messages: list[Message]) -> list[tuple[str, str | None]]:
    """(text, display_id) of what is shown in the end, as the protocol says it, without limits."""
    shown: list[tuple[str, str | None]] = []
    pending = False
    for each in messages:
        content = each.content
        if each.msg_type == "clear_output":
            if content["wait"]:
                pending = True
            else:
                shown, pending = [], False
            continue
        if each.msg_type not in ("stream", "display_data", "execute_result", "update_display_data"):
            continue
        display_id = content.get("transient", {}).get("display_id")
        known = any(other == display_id for _, other in shown if other is not None)
        if each.msg_type == "update_display_data" and known:
            text = content["data"]["text/plain"]
            shown = [(text if other == display_id else old, other) for old, other in shown]
            continue
        if pending:
            shown, pending = [], False
        if each.msg_type != "stream":
            shown.append((content["data"]["text/plain"], display_id))
    return shown


@given(st.lists(regular, max_size=25))
def test_under_the_limits_nothing_is_lost_changed_or_repeated(messages: list[Message]):
    fed = Fed(*messages)
    assert [text for text, _ in fed.texts()] == [text for text, _ in expected_items(messages)]
    for kind, name in ((Stdout, "stdout"), (Stderr, "stderr")):
        sent = [each.content["text"] for each in messages if each.msg_type == "stream" and each.content["name"] == name]
        assert fed.streamed(kind) == "".join(sent)
    assert fed.result().truncated is UNSET


def check_valid(fed: Fed) -> None:
    made = msgspec.json.decode(msgspec.json.encode(fed.result()), type=Result)
    assert sum(item.is_primary for item in made.items) == bool(made.items)
    for event in fed.events:
        assert b'"type":' in msgspec.json.encode(event)


@given(st.lists(regular | odd, max_size=15), st.just(WIDE) | small)
def test_any_messages_under_any_limits_give_a_valid_result_that_the_events_lead_to(
    messages: list[Message], limits: OutputLimits
):
    fed = Fed(*messages, limits=limits)
    check_valid(fed)
    assert fed.replayed() == fed.normalizer.items()


@given(st.lists(regular | odd, max_size=15), small)
def test_what_is_held_stays_below_the_limits_at_every_moment(messages: list[Message], limits: OutputLimits):
    normalizer = Normalizer(limits)
    for each in messages:
        normalizer.feed(each)
        assert normalizer.size <= limits.output_bytes
        assert len(normalizer.items()) <= limits.items
    normalizer.finish()
    assert normalizer.size <= limits.output_bytes


@given(st.lists(plain | updates, max_size=25) | st.lists(plain | clears, max_size=25), small)
def test_what_a_limit_cut_is_told_with_the_true_totals(messages: list[Message], limits: OutputLimits):
    fed, whole = Fed(*messages, limits=limits), Fed(*messages)
    truncated = fed.result().truncated
    for kind, name in ((Stdout, "stdout"), (Stderr, "stderr")):
        total, kept = len(whole.streamed(kind).encode()), len(fed.streamed(kind).encode())
        assert kept <= limits.stream_share
        if kept < total:
            assert truncated is not UNSET
            assert (truncated[name].total_bytes, truncated[name].kept_bytes) == (total, kept)
            told = sum(event.omitted_bytes for event in fed.events if isinstance(event, kind) and event.omitted_bytes)
            assert told in (0, total - kept)
        else:
            assert truncated is UNSET or name not in truncated
    if truncated is not UNSET and "items" in truncated:
        cut = truncated["items"]
        assert cut.kept == len(fed.normalizer.items()) <= limits.items
        kept = sum(len(item.text.encode()) for item in fed.normalizer.items() if item.text is not UNSET)
        assert cut.kept_bytes == kept <= cut.total_bytes
    else:
        assert fed.texts() == whole.texts()


@given(st.lists(st.binary(max_size=60) | odd_contents.map(msgspec.json.encode), max_size=6), st.sampled_from(TYPES))
def test_bytes_that_are_no_content_are_a_message_error_and_nothing_worse(raw: list[bytes], msg_type: str):
    normalizer = Normalizer(WIDE)
    for content in raw:
        try:
            normalizer.feed(Message(Channel.IOPUB, msg_type, "", content=content))
        except MessageError:
            continue
    assert normalizer.finish() is not None
