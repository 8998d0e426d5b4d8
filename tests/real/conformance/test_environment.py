"""Environment variables of one call, and what kernels get to see of the server's environment."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.harness.client import Client, Repl
from tests.harness.dialects import Dialect
from tests.harness.fixtures import SECRET, TOKEN
from tests.harness.server import Server

VALUES = {
    "PLAIN": "value",
    "EMPTY": "",
    "SINGLE_QUOTE": "it's",
    "DOUBLE_QUOTE": 'say "hi"',
    "TRIPLE_QUOTES": "\"\"\" '''",
    "BACKSLASHES": "C:\\new\\table \\",
    "NEWLINES": "one\ntwo\r\nthree\n",
    "UNICODE": "äöü 漢字 🐍 \u2028 𝔘",
    "BRACES": "{x} ${HOME} $(id) `id` %s %(a)s",
    "JSON": '{"a": [1, null]}',
    "LONG": "x" * 100_000,
    "lower_case": "1",
    "_": "underscore",
}


def test_any_value_arrives_as_sent(repl: Repl, dialect: Dialect) -> None:
    (line,) = repl.run(dialect.all_env, env_vars=VALUES).stdout
    seen = json.loads(line)
    assert {name: seen.get(name) for name in VALUES} == VALUES


def test_variables_are_gone_in_the_next_call(repl: Repl, dialect: Dialect) -> None:
    (before,) = repl.run(dialect.all_env).stdout
    repl.run(dialect.all_env, env_vars=VALUES)
    (after,) = repl.run(dialect.all_env).stdout
    assert json.loads(after) == json.loads(before)


def test_a_variable_that_was_there_gets_its_value_back(repl: Repl, dialect: Dialect) -> None:
    before = repl.run(dialect.env("HOME")).stdout
    assert repl.run(dialect.env("HOME"), env_vars={"HOME": "/elsewhere"}).stdout == ["/elsewhere"]
    assert repl.run(dialect.env("HOME")).stdout == before


def test_what_the_cell_itself_assigned_stays(repl: Repl, dialect: Dialect) -> None:
    repl.run(dialect.set_env("ASSIGNED", "by the cell"), env_vars={"ASSIGNED": "by the call", "OTHER": "call"})
    assert repl.run(dialect.env("ASSIGNED")).stdout == ["by the cell"]
    assert repl.run(dialect.env("OTHER")).stdout == ["(unset)"]


def test_variables_are_restored_after_an_error(repl: Repl, dialect: Dialect) -> None:
    env = {"TERM": "changed", "ONCE": "x"}
    assert repl.run(dialect.throw_line_3, env_vars=env).status == "error"
    assert repl.run(dialect.syntax_error, env_vars=env).status == "error"
    assert repl.run(dialect.env("TERM")).stdout != ["changed"]
    assert repl.run(dialect.env("ONCE")).stdout == ["(unset)"]


@pytest.mark.parametrize("way", ["loop", "wait"])
def test_variables_are_restored_after_a_timeout(repl: Repl, dialect: Dialect, way: str) -> None:
    repl.run("1")
    result = repl.run(getattr(dialect, way), env_vars={"TERM": "changed", "ONCE": "x"}, timeout_ms=300)
    assert (result.status, result["context_state"]) == ("timeout", "preserved")
    assert repl.run(dialect.env("TERM")).stdout != ["changed"]
    assert repl.run(dialect.env("ONCE")).stdout == ["(unset)"]


@pytest.mark.parametrize("way", ["loop", "wait"])
def test_variables_are_restored_after_an_interrupt(client: Client, repl: Repl, dialect: Dialect, way: str) -> None:
    code = dialect.print("'begun'") + "\n" + getattr(dialect, way)
    execution = repl.start(code, env_vars={"ONCE": "x"})
    client.wait_for_output(execution, "begun")
    client.interrupt(execution)
    assert client.wait(execution).status == "interrupted"
    assert repl.run(dialect.env("ONCE")).stdout == ["(unset)"]


def test_subprocesses_see_the_variables(repl: Repl, dialect: Dialect) -> None:
    shell = dialect.shell('printf %s "$FOR_CHILD"')
    assert repl.run(shell, env_vars={"FOR_CHILD": 'it\'s\n"here"'}).stdout == ["it's", '"here"']
    assert repl.run(shell).stdout == []


def test_line_numbers_are_those_of_the_code(repl: Repl, dialect: Dialect) -> None:
    result = repl.run(dialect.throw_line_3, env_vars=VALUES)
    line = {"python": "line 3", "typescript": f"cell_{result['execution_count']}.ts:3:"}
    assert line[dialect.name] in result.traceback


def test_values_appear_in_no_traceback_and_no_log(server: Server, repl: Repl, dialect: Dialect) -> None:
    secret = "hunter2-of-" + dialect.name
    result = repl.run(dialect.throw_line_3, env_vars={"PASSWORD": secret})
    assert secret not in json.dumps(result)
    assert secret not in server.log_text
    assert TOKEN not in server.log_text


def test_history_holds_the_code_and_no_variable(python: Repl) -> None:
    python.run("'a cell with a secret'", env_vars={"PASSWORD": "hunter2", "OTHER_NAME": "x"})
    history = python.run(
        "print(In, _ih, _i, _ii, get_ipython().history_manager.input_hist_raw, list(get_ipython().history_manager.get_range()))"
    )
    (line,) = history.stdout
    assert "a cell with a secret" in line
    assert "hunter2" not in line
    assert "OTHER_NAME" not in line


def test_cell_magics_see_the_variables(python: Repl) -> None:
    env = {"GREETING": "it's 'quoted'"}
    assert python.run('%%bash\necho "$GREETING"', env_vars=env).stdout == ["it's 'quoted'"]
    timed = python.run("%%time\nimport os; print(os.environ['GREETING'])", env_vars=env)
    assert timed.stdout[0] == "it's 'quoted'"
    assert any(line.startswith("Wall time") for line in timed.stdout)
    assert python.run("!echo $GREETING", env_vars=env).stdout == ["it's 'quoted'"]


def test_a_future_import_may_be_the_first_line(python: Repl) -> None:
    code = "from __future__ import annotations\ndef f(x: Unknown) -> None: ...\nf.__annotations__['x']"
    assert python.run(code, env_vars={"A": "b"}).text == "'Unknown'"


def test_indented_code_runs(python: Repl) -> None:
    result = python.run("    import os\n    os.environ['A']", env_vars={"A": "b"})
    assert result.text == "'b'"


def test_a_kernel_sees_no_variable_of_the_server(new_repl: Callable[..., Repl], dialect: Dialect) -> None:
    repl = new_repl(dialect.name)
    (line,) = repl.run(dialect.all_env).stdout
    seen = json.loads(line)
    assert SECRET not in line
    assert TOKEN not in line
    assert not {
        "SECRET_OF_THE_OPERATOR",
        "AWS_SECRET_ACCESS_KEY",
        "DATABASE_URL",
        "POLYREPL_TOKEN",
        "JUPYTER_PATH",
    } & set(seen)
    assert {"PATH", "HOME", "TMPDIR"} <= set(seen)


def test_the_token_is_nowhere_in_a_kernels_process(repl: Repl, dialect: Dialect) -> None:
    pid = repl.outside(int(repl.run(dialect.pid).text or 0))
    for name in ("environ", "cmdline"):
        with open(f"/proc/{pid}/{name}", "rb") as file:
            content = file.read()
        assert TOKEN.encode() not in content
        assert SECRET.encode() not in content


def test_temporary_files_go_to_the_contexts_own_directory(server: Server, repl: Repl, dialect: Dialect) -> None:
    (where,) = repl.run(dialect.env("TMPDIR")).stdout
    assert where.startswith(str(server.run_dir))


def test_bash_takes_them_by_cells_around_its_own(client: Client) -> None:
    result = client.execute('echo "$A"', language="bash", env_vars={"A": "it's $(id)"})
    assert result.stdout == ["it's $(id)"]
