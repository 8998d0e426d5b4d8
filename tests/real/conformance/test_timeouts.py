"""The timeout ladder, interrupts, deaths, restarts and deletions: who is told what, and what is left."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.harness.client import Client, Repl
from tests.harness.dialects import Dialect
from tests.harness.processes import is_running
from tests.harness.server import Server
from tests.harness.waiting import wait_until


@pytest.mark.parametrize("way", ["loop", "print_loop", "sleep", "wait"])
def test_a_timeout_keeps_the_state_and_says_so(repl: Repl, dialect: Dialect, way: str) -> None:
    repl.run(dialect.set("kept", 42))
    result = repl.run(getattr(dialect, way), timeout_ms=500)
    assert (result.status, result.error, result["context_state"]) == ("timeout", "TimeoutError", "preserved")
    following = repl.run("kept")
    assert (following.text, following.stdout, following["context_state"]) == ("42", [], "preserved")


_LOOP = "async def main():\n    {}\nasyncio.run(main())"
BLOCKS = {
    "pool": "with P(2) as p: list(p.map(gate.wait, [None, None]))",
    "three pools": "with P(1) as p, P(1) as q, P(1) as r:\n    [x.submit(gate.wait) for x in (p, q, r)]",
    "as completed": "with P(3) as p:\n    for f in as_completed([p.submit(gate.wait) for _ in range(3)]): print(f.result())",
    "thread of a loop": "asyncio.run(asyncio.to_thread(gate.wait))",
    "threads of a loop": _LOOP.format("await asyncio.gather(*(asyncio.to_thread(gate.wait) for _ in range(3)))"),
    "pool in a loop": _LOOP.format("with P() as p: await asyncio.get_running_loop().run_in_executor(p, gate.wait)"),
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_timeout_ends_blocks_that_wait_for_threads(python: Repl, block: str) -> None:
    python.run("import asyncio\nfrom concurrent.futures import ThreadPoolExecutor as P, as_completed")
    python.run("from threading import Event\ngate = Event()")
    result = python.run(block, timeout_ms=500)
    assert (result.status, result["context_state"]) == ("timeout", "preserved")
    assert python.run("gate.set(); 'kept'").text == "'kept'"


def test_what_was_printed_before_a_timeout_is_in_the_answer(repl: Repl, dialect: Dialect) -> None:
    result = repl.run(dialect.print("'before'") + "\n" + dialect.loop, timeout_ms=500)
    assert result.stdout == ["before"]
    assert "2000" not in result["error"]["value"]
    assert "500 ms" in result["error"]["value"]


def test_a_cell_that_ignores_interrupts_is_killed_and_the_loss_is_said(fresh: Repl, dialect: Dialect) -> None:
    fresh.run(dialect.set("lost", 1))
    result = fresh.run(dialect.stubborn, timeout_ms=1000)
    assert (result.status, result.error, result["context_state"]) == ("timeout", "TimeoutError", "lost")
    assert "killed" in result["error"]["value"]
    following = fresh.run("6 * 7")
    assert (following.text, following["context_state"], following["execution_count"]) == ("42", "restarted", 1)
    assert fresh.run("1")["context_state"] == "preserved"
    assert fresh.run("lost").status == "error"


def test_a_kernel_that_hangs_is_killed_at_the_timeout(fresh: Repl, dialect: Dialect) -> None:
    pid = fresh.outside(int(fresh.run(dialect.pid).text or 0))
    execution = fresh.start(dialect.print("'begun'") + "\n" + dialect.loop, timeout_ms=1000)
    fresh.client.wait_for_output(execution, "begun")
    os.kill(pid, signal.SIGSTOP)
    result = fresh.client.wait(execution)
    assert (result.status, result["context_state"]) == ("timeout", "lost")
    assert not is_running(pid)
    assert fresh.run("1")["context_state"] == "restarted"


def test_executions_queued_behind_a_timeout_run_after_it(client: Client, repl: Repl, dialect: Dialect) -> None:
    first = repl.start(dialect.print_loop, timeout_ms=500)
    second = repl.start(dialect.print("'second'"))
    third = repl.start(dialect.throw_line_3)
    assert client.wait(first).status == "timeout"
    assert client.wait(second).stdout == ["second"]
    assert client.wait(third).error == "OddError"


@pytest.mark.parametrize("way", ["loop", "print_loop", "sleep", "wait"])
def test_an_interrupted_execution_says_so_and_keeps_the_state(
    client: Client, repl: Repl, dialect: Dialect, way: str
) -> None:
    repl.run(dialect.set("kept", 5))
    execution = repl.start(dialect.print("'begun'") + "\n" + getattr(dialect, way))
    client.wait_for_output(execution, "begun")
    client.interrupt(execution)
    result = client.wait(execution)
    assert (result.status, result.error, result["context_state"]) == ("interrupted", "KeyboardInterrupt", "preserved")
    following = repl.run("kept")
    assert (following.text, following.stdout) == ("5", [])


def test_an_interrupt_right_after_the_request_is_not_lost(client: Client, repl: Repl, dialect: Dialect) -> None:
    for _ in range(10):
        execution = repl.start(dialect.loop, timeout_ms=3000)
        client.interrupt(execution)
        assert client.wait(execution).status == "interrupted"


def test_a_timeout_right_after_the_start_keeps_the_state(repl: Repl, dialect: Dialect) -> None:
    repl.run(dialect.set("kept", 1))
    for _ in range(5):
        result = repl.run(dialect.loop, timeout_ms=1)
        assert (result.status, result["context_state"]) == ("timeout", "preserved")
    assert repl.run("kept").text == "1"


def test_a_context_can_be_interrupted_without_knowing_what_runs(client: Client, repl: Repl, dialect: Dialect) -> None:
    execution = repl.start(dialect.print("'begun'") + "\n" + dialect.loop)
    client.wait_for_output(execution, "begun")
    response = client.http.post(f"/contexts/{repl.id}/interrupt", params={"language": dialect.name})
    assert (response.status_code, response.json()["executions"]) == (200, [execution])
    assert client.wait(execution).status == "interrupted"


def test_an_interrupt_of_what_waits_leaves_what_runs_alone(client: Client, repl: Repl, dialect: Dialect) -> None:
    running = repl.start(dialect.print("'begun'") + "\n" + dialect.loop)
    waiting = repl.start(dialect.print("'never'"))
    client.wait_for_output(running, "begun")
    client.interrupt(waiting)
    assert (client.wait(waiting).status, client.execution(running).status) == ("interrupted", "running")
    client.interrupt(running)
    assert client.wait(running).status == "interrupted"
    assert client.execution(waiting).stdout == []


def test_an_interrupt_of_an_idle_context_does_not_reach_the_next_cell(
    client: Client, repl: Repl, dialect: Dialect
) -> None:
    done = repl.run("1")["execution_id"]
    for _ in range(5):
        client.interrupt(done)
        client.http.post(f"/contexts/{repl.id}/interrupt", params={"language": dialect.name})
        assert repl.run("2").text == "2"


@pytest.mark.parametrize("way", ["kill_itself", "end_at_once"])
def test_a_kernel_that_ends_itself_is_named_and_replaced(fresh: Repl, dialect: Dialect, way: str) -> None:
    fresh.run(dialect.set("lost", 1))
    result = fresh.run(dialect.print("'last words'") + "\n" + getattr(dialect, way))
    assert (result.status, result.error, result["context_state"]) == ("died", "KernelDied", "lost")
    assert {"kill_itself": "SIGKILL", "end_at_once": dialect.end_reason}[way] in result["error"]["value"]
    following = fresh.run("6 * 7")
    assert (following.text, following["context_state"], following["execution_count"]) == ("42", "restarted", 1)


def test_a_script_that_exits_is_an_error_and_keeps_the_state(repl: Repl, dialect: Dialect) -> None:
    repl.run(dialect.set("kept", 9))
    result = repl.run(dialect.polite_exit)
    assert (result.status, result["context_state"]) == ("error", "preserved")
    assert result.error == {"python": "SystemExit", "typescript": "ProcessExit"}[dialect.name]
    assert repl.run("kept").text == "9"


def test_a_kernel_killed_from_outside_is_named_with_its_signal(client: Client, fresh: Repl, dialect: Dialect) -> None:
    pid = fresh.outside(int(fresh.run(dialect.pid).text or 0))
    execution = fresh.start(dialect.print("'begun'") + "\n" + dialect.loop)
    client.wait_for_output(execution, "begun")
    os.kill(pid, signal.SIGKILL)
    result = client.wait(execution)
    assert (result.status, result.error) == ("died", "KernelDied")
    assert "SIGKILL" in result["error"]["value"]
    assert result.stdout == ["begun"]


def test_a_kernel_that_died_while_idle_is_replaced_and_the_next_call_says_so(fresh: Repl, dialect: Dialect) -> None:
    pid = fresh.outside(int(fresh.run(dialect.pid).text or 0))
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: (fresh.info or {}).get("state") == "dead", what="the context says that its kernel is dead")
    result = fresh.run("1 + 1")
    assert (result.status, result.text, result["context_state"]) == ("ok", "2", "restarted")


def test_what_waited_when_the_kernel_died_runs_on_the_next_one(client: Client, fresh: Repl, dialect: Dialect) -> None:
    first = fresh.start(dialect.kill_itself)
    second = fresh.start("2 + 2")
    assert client.wait(first).status == "died"
    result = client.wait(second)
    assert (result.text, result["context_state"]) == ("4", "restarted")


def test_a_restart_gives_a_fresh_kernel_and_ends_what_runs(client: Client, fresh: Repl, dialect: Dialect) -> None:
    fresh.run(dialect.set("lost", 1))
    pid = fresh.outside(int(fresh.run(dialect.pid).text or 0))
    execution = fresh.start(dialect.print("'begun'") + "\n" + dialect.loop)
    client.wait_for_output(execution, "begun")
    response = client.http.post(f"/contexts/{fresh.id}/restart")
    assert (response.status_code, response.json()["state"]) == (200, "idle")
    result = client.wait(execution)
    assert (result.status, result.error, result["context_state"]) == ("interrupted", "ContextRestarted", "lost")
    assert not is_running(pid)
    following = fresh.run("lost")
    assert (following.status, following["context_state"], following["execution_count"]) == ("error", "restarted", 1)


def test_a_restart_makes_a_removed_working_directory_again(client: Client, fresh: Repl, dialect: Dialect) -> None:
    (where,) = fresh.run(dialect.cwd).stdout
    shutil.rmtree(where)
    assert client.http.post(f"/contexts/{fresh.id}/restart").status_code == 200
    assert fresh.run(dialect.cwd).stdout == [where]


def test_a_restart_keeps_the_files(client: Client, fresh: Repl, dialect: Dialect) -> None:
    fresh.run(dialect.write_file("kept.txt", "still here"))
    assert client.http.post(f"/contexts/{fresh.id}/restart").status_code == 200
    assert fresh.run(dialect.read_file("kept.txt")).stdout == ["still here"]


def test_a_deleted_context_leaves_no_process_and_no_directory(
    server: Server, client: Client, new_repl: Callable[..., Repl], dialect: Dialect
) -> None:
    repl = new_repl(dialect.name, f"to-delete-{dialect.name}")
    kernel = repl.outside(int(repl.run(dialect.pid).text or 0))
    child = repl.outside(int(repl.run(dialect.child).text or 0))
    (where,) = repl.run(dialect.cwd).stdout
    assert is_running(child)
    execution = repl.start(dialect.print("'begun'") + "\n" + dialect.loop)
    client.wait_for_output(execution, "begun")
    assert client.delete(repl.id) == 204
    assert not is_running(kernel)
    wait_until(lambda: not is_running(child), what="the kernel's child is gone")
    assert not Path(where).exists()
    assert not [path for path in server.files() if repl.id in str(path)]
    assert client.http.get(f"/contexts/{repl.id}").status_code == 404
    assert "was deleted" in client.http.get(f"/contexts/{repl.id}").json()["message"]
    assert kernel not in [process.pid for process in psutil.Process(server.pid).children()]


def test_a_deleted_context_takes_detached_children_with_it(fresh: Repl, dialect: Dialect) -> None:
    child = fresh.outside(int(fresh.run(dialect.detached_child).text or 0))
    try:
        assert is_running(child)
        fresh.delete()
        wait_until(lambda: not is_running(child), what="the detached child is gone")
    finally:
        if is_running(child):
            os.kill(child, signal.SIGKILL)


def test_a_reader_of_an_execution_whose_context_is_deleted_gets_its_end(
    client: Client, fresh: Repl, dialect: Dialect
) -> None:
    with client.stream(dialect.print("'begun'") + "\n" + dialect.loop, **fresh.fields) as events:
        next(event for event in events if event["type"] == "stdout")
        assert client.delete(fresh.id) == 204
        last = list(events)[-1]
    assert (last["type"], last["status"], last["context_state"]) == ("done", "interrupted", "lost")


def test_a_deleted_language_leaves_the_other_one_of_its_id(client: Client, new_repl: Callable[..., Repl]) -> None:
    python = new_repl("python")
    typescript = new_repl("typescript", python.id)
    python.run("x = 1")
    typescript.run("let x = 2")
    assert client.delete(python.id, "typescript") == 204
    assert python.run("x").text == "1"
    assert typescript.info is None
