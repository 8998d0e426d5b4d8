"""input() and prompt(): lines given in advance, answers over HTTP, and neither."""

from __future__ import annotations

from tests.harness.client import Client, Repl
from tests.harness.dialects import Dialect
from tests.harness.waiting import DEADLINE


def test_lines_given_in_advance_are_read_in_order(repl: Repl, dialect: Dialect) -> None:
    result = repl.run(f"{dialect.input}\n{dialect.input}", stdin=["it's Ada", "漢字"])
    assert (result.status, result.stdout[-1][-2:]) == ("ok", "漢字")
    assert any(line.endswith("it's Ada") for line in result.stdout)


def test_an_empty_line_is_an_answer(repl: Repl, dialect: Dialect) -> None:
    assert repl.run(f"{dialect.input}\n{dialect.input}", stdin=["", "second"]).status == "ok"


def test_after_the_last_line_comes_the_end_of_input(repl: Repl, dialect: Dialect) -> None:
    result = repl.run(f"{dialect.input}\n{dialect.input}", stdin=["only"])
    if dialect.name == "python":
        assert (result.status, result.error) == ("error", "EOFError")
    else:
        assert (result.status, result.stdout[-1]) == ("ok", "null")


def test_without_lines_input_fails_at_once(repl: Repl, dialect: Dialect) -> None:
    result = repl.run(dialect.input)
    assert (result.status, result.error) == ("error", "StdinNotImplementedError")


def test_with_an_empty_list_of_lines_input_ends_at_once(repl: Repl, dialect: Dialect) -> None:
    result = repl.run(dialect.input, stdin=[])
    assert result.error == {"python": "EOFError", "typescript": None}[dialect.name]


def test_lines_left_over_do_not_reach_the_next_call(repl: Repl, dialect: Dialect) -> None:
    repl.run(dialect.input, stdin=["read", "never read"])
    assert repl.run(dialect.input).error == "StdinNotImplementedError"


def test_a_reader_of_the_stream_answers_requests(client: Client, repl: Repl, dialect: Dialect) -> None:
    with client.stream(f"{dialect.input}\n{dialect.input}", **repl.fields) as events:
        answers = iter(["Ada", "Grace"])
        execution, printed, status = "", "", ""
        for event in events:
            if event["type"] == "started":
                execution = event["execution_id"]
            elif event["type"] == "input_request":
                assert event["prompt"].startswith("name? ")
                assert event["password"] is False
                assert client.answer(execution, next(answers)) == 204
            elif event["type"] == "stdout":
                printed += event["text"]
            elif event["type"] == "done":
                status = event["status"]
    assert status == "ok"
    assert "Ada" in printed
    assert "Grace" in printed
    assert client.answer(execution, "nobody asked") == 409


def test_an_execution_without_a_reader_can_be_answered_later(client: Client, repl: Repl, dialect: Dialect) -> None:
    execution = repl.start(dialect.input)
    client.wait_for_event(execution, "input_request")
    assert client.execution(execution).status == "running"
    assert client.answer(execution, "at last") == 204
    result = client.wait(execution)
    assert (result.status, result.stdout[-1][-7:]) == ("ok", "at last")


def test_a_password_is_asked_for_as_one(client: Client, python: Repl) -> None:
    execution = python.start("import getpass; len(getpass.getpass('secret: '))")
    request = client.wait_for_event(execution, "input_request")
    assert (request["prompt"], request["password"]) == ("secret: ", True)
    assert client.answer(execution, "12345") == 204
    assert client.wait(execution).text == "5"


def test_an_interrupt_ends_the_wait_for_input(client: Client, repl: Repl, dialect: Dialect) -> None:
    repl.run(dialect.set("kept", 3))
    execution = repl.start(dialect.input)
    client.wait_for_event(execution, "input_request")
    client.interrupt(execution)
    result = client.wait(execution)
    assert (result.status, result["context_state"]) == ("interrupted", "preserved")
    assert client.answer(execution, "too late") == 409
    assert repl.run("kept").text == "3"


def test_a_timeout_ends_the_wait_for_input(client: Client, repl: Repl, dialect: Dialect) -> None:
    repl.run(dialect.set("kept", 4))
    result = client.wait(repl.start(dialect.input, timeout_ms=1000))
    assert (result.status, result["context_state"]) == ("timeout", "preserved")
    assert repl.run("kept").text == "4"


def test_a_reader_that_leaves_can_come_back_and_answer(client: Client, repl: Repl, dialect: Dialect) -> None:
    with client.stream(dialect.input, **repl.fields) as events:
        request = next(event for event in events if event["type"] in ("started", "input_request"))
        execution = request["execution_id"]
    again = client.wait_for_event(execution, "input_request")
    assert client.answer(execution, "back") == 204
    remaining = list(client.follow(execution, after=again["id"], deadline=DEADLINE))
    assert remaining[-1]["status"] == "ok"
