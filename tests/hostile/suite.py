"""The suite at one tier, for the module of that tier: the thirty checks in Python and in TypeScript, and what must still work.

A neighbour works beside all of it and must not notice anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.branches import Branch
from tests.harness.client import Json, Repl
from tests.harness.dialects import DIALECTS, Dialect
from tests.harness.npm import npm_install
from tests.harness.registry import Registry
from tests.harness.waiting import DEADLINE
from tests.hostile import CHECKS
from tests.hostile.check import ABSENT, EITHER, OPEN, STOPPED, Check
from tests.hostile.stage import Stage
from tests.hostile.tiers import stage_at
from tests.hostile.works import PYTHON, TYPESCRIPT

OWN_SERVERS = {"a server on its own loopback"}
CASES = [
    pytest.param(each, language, id=f"{each.number:02d}-{each.name}-{language}")
    for each in CHECKS
    for language in each.languages
]
CELLS = [("python", name) for name in PYTHON] + [("typescript", name) for name in TYPESCRIPT]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, registry: Registry) -> Iterator[Stage]:
    env = {
        "PIP_INDEX_URL": f"http://{registry.host}/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_CONFIG_FILE": "/dev/null",
        "npm_config_registry": f"http://{registry.host}/npm/",
    }
    with stage_at(request.module.TIER, env=env) as stage:
        yield stage


@pytest.mark.parametrize(("check", "language"), CASES)
def test_check(stage: Stage, check: Check, language: str) -> None:
    outcome = check.run(stage, language)
    expected = check.expected(stage.tier, as_root=stage.as_root)
    seen = STOPPED if outcome.status == ABSENT and expected == STOPPED else outcome.status
    assert (
        seen == expected or (expected == EITHER and seen in (OPEN, STOPPED)) or (expected != STOPPED and seen == ABSENT)
    ), f"{check.does} {outcome.status} at {stage.tier}, expected {expected}: {outcome.detail}"
    assert stage.damage() == []
    stage.neighbour.must_be_well()


@pytest.mark.parametrize(("language", "name"), CELLS, ids=[f"{language}-{name}" for language, name in CELLS])
def test_it_works(stage: Stage, language: str, name: str) -> None:
    if name in OWN_SERVERS and stage.tier == "landlock":
        pytest.skip("Landlock refuses all TCP, also to the context itself")
    cell, value = (PYTHON if language == "python" else TYPESCRIPT)[name]
    answer = stage.run(language, cell, timeout_ms=60_000)
    if name == "terminals" and stage.tier == "landlock" and not stage.as_root:
        assert answer["error"]["name"] in (
            "OSError",
            "PermissionError",
        )  # it would have those of the server's user, too
        return
    assert (answer.status, answer.text) == ("ok", value), (answer.get("error"), answer.stderr[-5:], answer.text)


def test_the_server_and_the_context_name_their_tier(stage: Stage) -> None:
    assert stage.client.http.get("/readyz").json().get("isolation") == stage.tier
    shown = stage.client.context(stage.victim.id, "python")
    assert shown is not None
    assert (shown.get("isolation"), shown.get("network")) == (
        stage.tier,
        "none" if stage.tier in ("landlock", "namespaces") else "open",
    )


def install(repl: Repl, package: str) -> Json:
    body = {"language": repl.language, "packages": [package]}
    response = repl.client.http.post(f"/contexts/{repl.id}/packages", json=body, timeout=2 * DEADLINE)
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_pip_installs_for_the_packages_call(stage: Stage) -> None:
    with stage.other("python") as repl:
        repl.run("kept = 1")
        answer = install(repl, "offered")
        assert answer["status"] == "ok", answer
        assert repl.run("import offered; offered.word, kept").text == "('hello', 1)"


def test_npm_installs_for_the_packages_call(stage: Stage) -> None:
    with stage.other("typescript") as repl:
        repl.run("const kept = 1")
        answer = install(repl, "offered-x")
        assert answer["status"] == "ok", answer
        assert repl.run("require('offered-x') + kept").text == "'hello1'"


def test_esbuild_works(stage: Stage, tmp_path: Path) -> None:
    npm_install(tmp_path, "esbuild")
    (program,) = tmp_path.glob("node_modules/@esbuild/*/bin/esbuild")
    with stage.other("typescript") as repl:
        repl.run(
            "const { execFileSync } = require('child_process'); require('fs').writeFileSync('in.ts', 'let n: number = 1')"
        )
        assert stage.client.http.put(stage.files(repl, "esbuild"), content=program.read_bytes()).is_success
        assert (
            repl.run("require('fs').chmodSync('esbuild', 0o755); execFileSync('./esbuild', ['in.ts']).toString()").text
            == "'let n = 1;\\n'"
        )


def test_a_branch_a_checkpoint_and_a_restore(stage: Stage) -> None:
    context = Branch(stage.client, "python")
    context.does("import os; x = [1]; open('f.txt', 'w').write('before')")
    branch = context.fork()
    branch.does("x.append(2); open('f.txt', 'w').write('branch')")
    assert (context.value("x, open('f.txt').read()"), branch.value("x, open('f.txt').read()")) == (
        ([1], "before"),
        ([1, 2], "branch"),
    )
    kept = context.keep()
    context.does("x.append(3); open('f.txt', 'w').write('after')")
    context.restore(kept)
    assert context.value("x, open('f.txt').read()") == ([1], "before")
    second = branch.fork()
    branch.delete()
    assert second.value("x, open('f.txt').read()") == ([1, 2], "branch")
    assert second.value("import subprocess; subprocess.run(['true']).returncode") == 0
    second.delete()
    context.delete()


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_an_interrupt_and_a_timeout_keep_the_state(stage: Stage, dialect: Dialect) -> None:
    with stage.other(dialect.name) as repl:
        repl.run(dialect.set("kept", 1))
        execution = repl.start(dialect.print_loop)
        stage.client.wait_for_output(execution, "tick")
        stage.client.interrupt(execution)
        assert stage.client.wait(execution).status == "interrupted"
        assert repl.run(dialect.loop, timeout_ms=400).status == "timeout"
        assert repl.run(dialect.print("kept")).stdout == ["1"]


def test_files_go_up_and_down(stage: Stage) -> None:
    """What the server writes, code can change; what code writes, the server can read and delete."""
    with stage.other("python") as repl:
        repl.run("1")
        assert stage.client.http.put(stage.files(repl, "folder/up.txt"), content=b"up").is_success
        assert (
            repl.run(
                "import os; open('folder/up.txt', 'a').write('per'); os.chmod('folder', 0o700); open('folder/up.txt').read()"
            ).text
            == "'upper'"
        )
        assert stage.client.http.get(stage.files(repl, "folder/up.txt")).content == b"upper"
        assert stage.client.http.put(stage.files(repl, "folder/up.txt"), content=b"again").is_success
        assert repl.run("os.rename('folder/up.txt', 'moved.txt'); open('moved.txt').read()").text == "'again'"
        assert stage.client.http.delete(stage.files(repl, "moved.txt")).is_success


def test_a_restart_leaves_nothing_but_the_files(stage: Stage) -> None:
    with stage.other("python") as repl:
        repl.run("x = 1; open('f.txt', 'w').write('f')")
        assert stage.client.http.post(f"/contexts/{repl.id}/restart", json={}).is_success
        assert repl.run("'x' in globals(), open('f.txt').read()").text == "(False, 'f')"


def test_two_languages_of_one_context_share_its_files(stage: Stage) -> None:
    with stage.other("python") as repl:
        repl.run("open('shared.txt', 'w').write('by python')")
        script = Repl(stage.client, "typescript", repl.id)
        assert script.run("require('fs').readFileSync('shared.txt', 'utf8')").text == "'by python'"
        script.run("require('fs').writeFileSync('back.txt', 'by node')")
        assert repl.run("open('back.txt').read()").text == "'by node'"
        script.delete()


def test_many_contexts_at_once_are_apart(stage: Stage) -> None:
    ids = [(Repl(stage.client, "python"), number) for number in range(8)]
    executions = [
        (repl, number, repl.start(f"import os, time; n = {number}; time.sleep(0.2); open('n.txt', 'w').write(str(n))"))
        for repl, number in ids
    ]
    for repl, number, execution in executions:
        assert stage.client.wait(execution).status == "ok"
        assert repl.run("n, open('n.txt').read()").text == f"({number}, '{number}')"
        repl.delete()


def test_the_neighbour_is_well(stage: Stage) -> None:
    stage.neighbour.must_be_well()
    assert stage.damage() == []


def test_the_machine_is_as_before(stage: Stage) -> None:
    """Also where nothing stops an attack."""
    assert stage.machine() == stage.machine_before


__all__ = ["stage", "registry", *(name for name in dir() if name.startswith("test_"))]
