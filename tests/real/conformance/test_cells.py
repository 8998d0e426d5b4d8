"""What a cell gives and leaves behind is the same in every language."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.kernels.interpreters import runtime_problem
from tests.harness.client import Client, Repl
from tests.harness.dialects import PYTHON, TYPESCRIPT, Dialect
from tests.harness.waiting import wait_until


def test_state_is_kept_over_calls(repl: Repl, dialect: Dialect) -> None:
    repl.run(dialect.set("kept", [1, 2, 3]))
    assert repl.run("kept[2] + 39").text == "42"


def test_the_last_expression_is_the_primary_item(repl: Repl) -> None:
    result = repl.run("1 + 1")
    assert (result.status, result["items"]) == ("ok", [{"is_primary": True, "text": "2"}])
    assert "error" not in result


def test_a_cell_without_a_value_has_no_items(repl: Repl, dialect: Dialect) -> None:
    assert repl.run(dialect.set("nothing", 1))["items"] == []
    assert repl.run("")["items"] == []


def test_each_execution_is_counted(fresh: Repl) -> None:
    assert [fresh.run("7")["execution_count"] for _ in range(3)] == [1, 2, 3]


def test_names_of_one_context_are_unknown_in_another(
    repl: Repl, dialect: Dialect, new_repl: Callable[..., Repl]
) -> None:
    repl.run(dialect.set("only_here", 1))
    result = new_repl(dialect.name).run("only_here")
    assert (result.status, result.error) == (
        "error",
        {"python": "NameError", "typescript": "ReferenceError"}[dialect.name],
    )


def test_a_call_without_a_context_id_gets_a_context_of_its_own(client: Client, dialect: Dialect) -> None:
    result = client.execute("5", language=dialect.name)
    assert (result.text, result["context_state"]) == ("5", "created")
    assert client.delete(result["context_id"]) == 204


def test_aliases_of_a_language_share_their_context(client: Client, repl: Repl, dialect: Dialect) -> None:
    repl.run(dialect.set("alias", 6))
    aliases = {"python": ("py", "python3"), "typescript": ("ts", "js", "javascript", "node")}
    for alias in aliases[dialect.name]:
        assert client.execute("alias * 7", language=alias, context_id=repl.id).text == "42"


def test_output_comes_as_lines_of_its_stream(repl: Repl, dialect: Dialect) -> None:
    code = "\n".join(
        [dialect.print("'one'", "'two\\nthree'"), dialect.print_error("careful"), dialect.print("'äöü €'")]
    )
    result = repl.run(code)
    assert (result.stdout, result.stderr) == (["one", "two", "three", "äöü €"], ["careful"])


def test_a_carriage_return_overwrites_its_line(repl: Repl, dialect: Dialect) -> None:
    assert repl.run(dialect.overwrite_line).stdout == ["100%"]


def test_an_error_tells_its_name_its_value_and_its_line(repl: Repl, dialect: Dialect) -> None:
    result = repl.run(dialect.print("'before'") + "\n" + dialect.throw_line_3)
    assert (result.status, result.stdout, result.error, result["error"]["value"]) == (
        "error",
        ["before"],
        "OddError",
        "boom",
    )
    assert "\x1b" not in result.traceback
    line = {"python": "line 4", "typescript": f"cell_{result['execution_count']}.ts:4:"}
    assert line[dialect.name] in result.traceback
    assert "boom" in result.traceback


def test_an_error_in_a_function_of_an_earlier_cell_names_both_lines(repl: Repl, dialect: Dialect) -> None:
    define = {
        "python": "0\n\ndef fail():\n    raise KeyError('inner')",
        "typescript": "0\n\nfunction fail(): never {\n  throw new TypeError('inner') }",
    }[dialect.name]
    first = repl.run(define)["execution_count"]
    result = repl.run("0\nfail()")
    lines = {
        "python": ("line 4", "line 2"),
        "typescript": (f"cell_{first}.ts:4:", f"cell_{result['execution_count']}.ts:2:"),
    }
    assert all(line in result.traceback for line in lines[dialect.name]), result.traceback


def test_leading_blank_lines_count_as_lines(repl: Repl) -> None:
    result = repl.run("\n\nunknown_name")
    assert {"python": "line 3", "typescript": ".ts:3:"}[repl.language] in result.traceback


def test_a_syntax_error_is_named_and_located(repl: Repl, dialect: Dialect) -> None:
    result = repl.run(dialect.set("fine", 1) + "\n" + dialect.syntax_error)
    assert (result.status, result.error) == ("error", "SyntaxError")
    assert {"python": "line 2", "typescript": ":2"}[dialect.name] in result.traceback
    assert "\x1b" not in result.traceback


def test_a_damaged_interpreter_says_that_a_restart_mends_it(fresh: Repl, dialect: Dialect) -> None:
    fresh.run(dialect.damage, timeout_ms=2000)
    result = fresh.run("1", timeout_ms=2000)
    assert "Restart the context." in result["error"]["hint"]
    assert result.traceback.count("Restart the context.") == 1
    assert fresh.client.http.post(f"/contexts/{fresh.id}/restart").status_code == 200
    following = fresh.run("6 * 7")
    assert (following.text, following["context_state"]) == ("42", "restarted")


def test_an_error_keeps_the_state(repl: Repl, dialect: Dialect) -> None:
    repl.run(dialect.set("survivor", 8))
    assert repl.run(dialect.throw_line_3)["context_state"] == "preserved"
    assert repl.run("survivor").text == "8"


def test_unicode_of_every_plane_survives(repl: Repl, dialect: Dialect) -> None:
    result = repl.run(dialect.print("'𝔘𝔫𝔦 🐍 漢字 \\u2028 end'"))
    assert "\n".join(result.stdout) == "𝔘𝔫𝔦 🐍 漢字 \u2028 end"


def test_languages_of_one_id_share_the_working_directory(new_repl: Callable[..., Repl]) -> None:
    python = new_repl("python")
    typescript = new_repl("typescript", python.id)
    (where,) = python.run(PYTHON.cwd).stdout
    assert typescript.run(TYPESCRIPT.cwd).stdout == [where]
    python.run(PYTHON.write_file("from-python.txt", "written by python"))
    typescript.run(TYPESCRIPT.write_file("from-typescript.txt", "written by typescript"))
    assert typescript.run(TYPESCRIPT.read_file("from-python.txt")).stdout == ["written by python"]
    assert python.run(PYTHON.read_file("from-typescript.txt")).stdout == ["written by typescript"]
    assert python.run(PYTHON.set("x", "py")).status == typescript.run(TYPESCRIPT.set("x", "ts")).status == "ok"
    assert (python.run("x").text, typescript.run("x").text) == ("'py'", "'ts'")


def test_a_context_can_work_in_a_directory_that_its_user_names(
    client: Client, dialect: Dialect, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)  # an isolated context has a user of its own, if the server is root
    context = client.create(dialect.name, cwd=str(tmp_path))
    result = client.execute(dialect.cwd, context_id=context["id"], language=dialect.name)
    assert (context["cwd"], result.stdout) == (str(tmp_path), [str(tmp_path)])
    assert client.delete(context["id"]) == 204


def test_output_after_the_end_of_a_cell_stays_with_it_while_no_other_runs(
    client: Client, repl: Repl, dialect: Dialect
) -> None:
    late = {
        "python": "import os, threading, time\ndef late():\n    while not os.path.exists('go'): time.sleep(0.05)\n"
        "    print('late')\nthreading.Thread(target=late).start()",
        "typescript": "import { existsSync } from 'node:fs';\nconst timer = setInterval(() => {\n"
        "  if (existsSync('go')) { clearInterval(timer); console.log('late'); }\n}, 50); 0",
    }[dialect.name]
    ended = repl.run(late)
    assert ended.stdout == []
    client.http.put(f"/contexts/{repl.id}/files/go", content=b"").raise_for_status()
    wait_until(
        lambda: client.execution(ended["execution_id"]).stdout == ["late"], what="the late output is in the result"
    )


@pytest.mark.parametrize("language", ["cobol", *(name for name in ("bun", "deno") if runtime_problem(name))])
def test_an_unknown_or_unavailable_language_is_a_400_that_lists_the_allowed_ones(client: Client, language: str) -> None:
    response = client.http.post("/execute", json={"code": "1", "language": language})
    assert response.status_code == 400
    (problem,) = response.json()["errors"]
    assert problem["field"] == "language"
    for allowed in ("python", "py", "typescript", "ts", "node", "bash"):
        assert allowed in problem["error"]


def test_languages_are_listed_with_their_versions(client: Client) -> None:
    languages = {entry["name"]: entry for entry in client.http.get("/languages").json()["items"]}
    assert languages["python"]["available"]
    assert languages["python"]["version"].startswith("3.")
    assert languages["typescript"]["available"]
    assert int(languages["typescript"]["version"].split(".")[0]) >= 22
    for name in ("bun", "deno"):
        problem = runtime_problem(name)
        assert (languages[name]["available"], languages[name].get("reason")) == (problem is None, problem)
