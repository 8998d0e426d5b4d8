"""Any installed kernelspec that the settings name is a language."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.harness.client import Client, Repl

LIMIT = 2.0


@pytest.fixture(scope="module")
def bash(client: Client) -> Iterator[Repl]:
    repl = Repl(client, "bash")
    yield repl
    client.delete(repl.id)


@pytest.fixture(scope="module")
def stock(client: Client) -> Iterator[Repl]:
    repl = Repl(client, "stock")
    yield repl
    client.delete(repl.id)


def test_a_bash_cell_runs_and_keeps_its_state(bash: Repl) -> None:
    assert bash.run("greeting='hello from bash'").status == "ok"
    result = bash.run('echo "$greeting"; echo $((6 * 7))')
    assert (result.status, result.stdout) == ("ok", ["hello from bash", "42"])


def test_a_bash_cell_that_fails_is_an_error(bash: Repl) -> None:
    assert bash.run("false").status == "error"


def test_a_bash_cell_is_stopped_at_its_timeout(bash: Repl) -> None:
    bash.run("kept=1")
    result = bash.run("sleep 60", timeout_ms=1000)
    assert (result.status, result.error) == ("timeout", "TimeoutError")
    assert bash.run("echo $kept").stdout == (["1"] if result["context_state"] == "preserved" else [])


def test_stock_ipykernel_gives_the_same_values_and_items(stock: Repl) -> None:
    assert stock.run("x = 20").status == "ok"
    assert stock.run("x + 22").text == "42"
    result = stock.run("from IPython.display import HTML\nprint('a')\ndisplay(HTML('<b>b</b>'))\n1 / 0")
    assert (result.stdout, result["items"][0]["html"], result.error) == (["a"], "<b>b</b>", "ZeroDivisionError")
    assert "\x1b" not in result.traceback


def test_stock_ipykernel_reads_lines_given_in_advance(stock: Repl) -> None:
    assert stock.run("input('? ') + input()", stdin=["a", "b"]).text == "'ab'"


def test_stock_ipykernel_is_stopped_at_its_timeout_with_its_state(stock: Repl) -> None:
    stock.run("kept = 5")
    result = stock.run("while True: pass", timeout_ms=1000)
    assert (result.status, result["context_state"]) == ("timeout", "preserved")
    assert stock.run("kept").text == "5"


def test_a_foreign_kernel_that_dies_is_named(new_repl: Callable[..., Repl]) -> None:
    repl = new_repl("stock")
    result = repl.run("import os; os.kill(os.getpid(), 9)")
    assert (result.status, result.error, result["context_state"]) == ("died", "KernelDied", "lost")
    assert repl.run("1")["context_state"] == "restarted"


def test_variables_of_one_call_are_set_around_it_where_the_kernel_does_not_read_them(stock: Repl) -> None:
    count = stock.run("import os; os.environ['KEPT'] = 'before'")["execution_count"]
    env = {"GREETING": 'it\'s "so"\n', "KEPT": "during", "TAKEN": "given"}
    result = stock.run("os.environ['TAKEN'] = 'own'; os.environ['GREETING'], os.environ['KEPT']", env_vars=env)
    assert (result.text, result["execution_count"]) == (repr((env["GREETING"], "during")), count + 1)
    after = stock.run(
        "os.environ.get('GREETING'), os.environ['KEPT'], os.environ.pop('TAKEN'), 'during' in str(In[:-1])"
    )
    assert after.text == "(None, 'before', 'own', False)"


@pytest.mark.parametrize("code", ["1 / 0", "while True: pass"])
def test_they_are_put_back_after_errors_and_timeouts(stock: Repl, code: str) -> None:
    result = stock.run(code, env_vars={"SECRET": "s3cret-value"}, timeout_ms=1000)
    assert (result.status in ("error", "timeout"), "s3cret-value" in str(result)) == (True, False)
    assert (
        stock.run("import os; os.environ.get('SECRET', 'unset'), 's3cret' + '-value' in str(In)").text
        == "('unset', False)"
    )
