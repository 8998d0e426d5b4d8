"""Packages installed through a real server, by real pip and npm, into contexts with real kernels."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.client import Client, Json, Repl, sse_events
from tests.harness.package_files import hanging_project, tarball, telling_project, wheel
from tests.harness.processes import is_running, outside
from tests.harness.server import Server
from tests.harness.waiting import wait_until

SECRET = "secret-of-the-operator"


@pytest.fixture(scope="module")
def server(shown: Path) -> Iterator[Server]:
    """A server that also takes files, so that most tests need no registry."""
    settings = {"package_sources": "any", "pool_max": "0", "kernelspecs": "", "read_only_mounts": str(shown)}
    with Server(settings=settings, env={"SECRET_OF_THE_OPERATOR": SECRET, "POLYREPL_TOKEN": SECRET}) as server:
        server.token = SECRET
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    client = server.client()
    yield client
    client.close()


def install(repl: Repl, *packages: str, **fields: Any) -> Json:
    body = {"language": repl.language, "packages": list(packages), **fields}
    response = repl.client.http.post(f"/contexts/{repl.id}/packages", json=body)
    assert response.status_code == 200, response.text
    return dict(response.json())


def installed(repl: Repl, *packages: str) -> dict[str, str]:
    result = install(repl, *packages)
    assert result["status"] == "ok", result
    return {each["name"]: each["version"] for each in result["installed"]}


@contextlib.contextmanager
def streamed(repl: Repl, package: str) -> Iterator[Iterator[Json]]:
    """The events of an installation; leaving the block closes the connection."""
    url, body = f"/contexts/{repl.id}/packages", {"language": repl.language, "packages": [package]}
    with repl.client.http.stream("POST", url, json=body, headers={"Accept": "text/event-stream"}) as response:
        assert response.status_code == 200
        yield sse_events(response)


def test_a_python_package_is_there_at_once_and_only_in_its_context(new, shelf: Path) -> None:
    repl, other = new("python"), new("python")
    missing = repl.run("kept = 1\nimport greeter")
    assert f'POST /contexts/{repl.id}/packages {{"language": "python"' in missing["error"]["hint"]
    assert installed(repl, wheel(shelf, "greeter", "1.0", "word = 'hello'")) == {"greeter": "1.0"}
    result = repl.run("import greeter; greeter.word, kept")
    assert (result.text, result["context_state"]) == ("('hello', 1)", "preserved")
    child = repl.run("import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'import greeter; print(greeter.word)'],"
                     " capture_output=True, text=True).stdout)")  # fmt: skip
    assert child.stdout[0] == "hello"
    assert other.run("import greeter").error == "ModuleNotFoundError"
    failed = install(repl, wheel(shelf, "other", "1.0", ""), str(shelf / "nothing-1-py3-none-any.whl"))
    assert (failed["status"], failed["installed"]) == ("error", [])
    assert repl.run("import other").error == "ModuleNotFoundError"
    newer = install(repl, wheel(shelf, "greeter", "2.0", "word = 'newer'"))
    assert newer["restart_for"] == ["greeter"]
    assert repl.run("import greeter; greeter.word").text == "'hello'"
    repl.client.http.post(f"/contexts/{repl.id}/restart")
    assert repl.run("import greeter; greeter.word").text == "'newer'"


def test_a_branch_has_the_packages_and_a_restored_context_those_of_its_checkpoint(new, shelf: Path) -> None:
    repl = new("python")
    post = repl.client.http.post
    checkpoint = post(f"/contexts/{repl.id}/checkpoints", json={}).json()["checkpoint"]
    assert installed(repl, wheel(shelf, "second", "1.0", "n = 2"))
    assert repl.run("import second; second.n").text == "2"
    fork = Repl(repl.client, "python", post(f"/contexts/{repl.id}/fork", json={}).json()["id"])
    assert post(f"/contexts/{repl.id}/restore", json={"checkpoint": checkpoint}).status_code == 200
    assert repl.run("import second").error == "ModuleNotFoundError"
    repl.delete()
    code = "import sys, importlib; importlib.reload(second); (second.n, all('{}' not in p for p in sys.path))"
    assert fork.run(code.format(repl.id)).text == "(2, True)"
    fork.delete()


def test_a_restart_also_replaces_what_forked_kernels_have_imported(new, server: Server, shelf: Path) -> None:
    server.zygote()
    repl = new("python")
    repl.run("import pandas")
    result = install(repl, wheel(shelf, "pandas", "0.0.1", "replaced = True"))
    assert result["restart_for"] == ["pandas"]
    repl.client.http.post(f"/contexts/{repl.id}/restart")
    assert repl.run("import pandas; pandas.replaced").text == "True"


def test_an_npm_package_is_there_at_once_and_only_in_its_context(new, shelf: Path) -> None:
    repl, other = new("typescript"), new("typescript")
    for code in ("import greet from 'greeter-x'", "require('greeter-x')"):
        assert '"packages": ["greeter-x"]' in repl.run(code)["error"]["hint"]
    trap = {"scripts": {"postinstall": "echo trapped > ../../trapped"}}
    package = tarball(shelf, "greeter-x", "1.0.0", "module.exports = (n) => `hello ${n}`", **trap)
    assert installed(repl, package) == {"greeter-x": "1.0.0"}
    assert (
        repl.run("import greet from 'greeter-x'; [greet(1), require('greeter-x')(2)]").text
        == "[ 'hello 1', 'hello 2' ]"
    )
    assert repl.run("import fs from 'node:fs'; fs.existsSync('trapped')").text == "false"
    assert "hint" not in repl.run("import x from './nothing'")["error"]
    assert other.run("require('greeter-x')").status == "error"
    newer = tarball(shelf, "greeter-x", "2.0.0", "module.exports = () => 'newer'")
    with streamed(repl, newer) as events:
        first, *_, last = events
    assert (first["type"], first["tool"], last["type"]) == ("installing", "npm", "installed")
    assert last["result"]["restart_for"] == ["greeter-x"]
    repl.client.http.post(f"/contexts/{repl.id}/restart")
    assert repl.run("require('greeter-x')()").text == "'newer'"


@pytest.fixture
def hanging(shelf: Path) -> Callable[[Repl], tuple[str, Callable[[], list[int]]]]:
    """A project whose build, in a context, never ends, and the processes of that build."""

    def make(repl: Repl) -> tuple[str, Callable[[], list[int]]]:
        assert repl.info is not None
        pids = Path(repl.info["cwd"], "pids")

        def processes() -> list[int]:
            wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"), what="the build runs")
            cwd, *found = pids.read_text().split()
            return [outside(int(pid), Path(cwd)) for pid in found]

        return hanging_project(shelf, pids), processes

    return make


def test_an_installation_that_takes_too_long_is_ended_and_leaves_nothing(
    new, hanging, server: Server, shelf: Path
) -> None:
    repl = new("python")
    project, _ = hanging(repl)
    result = install(repl, project, timeout_ms=2500)
    assert (result["status"], result["error"]["name"]) == ("timeout", "InstallationTimeout")
    assert not [each for each in server.children() if str(shelf) in " ".join(each.cmdline())]
    (root,) = server.run_dir.glob(f"s-*/contexts/*/{repl.id[:40]}*")
    assert not list(server.run_dir.glob("s-*/install-*"))
    assert not list(root.glob("packages/python/*"))
    assert repl.run("1 + 1").text == "2"


def test_one_runs_at_a_time_and_ends_with_its_client(new, hanging) -> None:
    repl = new("python")
    project, processes = hanging(repl)
    with streamed(repl, project) as events:
        assert next(events)["type"] == "installing"
        pids = processes()
        refused = repl.client.http.post(f"/contexts/{repl.id}/packages", json={"packages": [project]})
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
        assert repl.run("1 + 1").text == "2"
    for pid in pids:
        wait_until(lambda pid=pid: not is_running(pid), what=f"process {pid} is gone")


def test_one_ends_with_its_context(new, hanging) -> None:
    repl = new("python")
    project, processes = hanging(repl)
    results: list[Json] = []
    thread = threading.Thread(target=lambda: results.append(install(repl, project)))
    thread.start()
    pids = processes()
    repl.delete()
    assert not any(map(is_running, pids))
    thread.join(30)
    assert (results[0]["status"], results[0]["error"]["name"]) == ("cancelled", "InstallationCancelled")


def test_a_build_sees_no_secret_and_a_failed_one_says_so(new, shelf: Path) -> None:
    repl = new("python")
    result = install(repl, telling_project(shelf))
    assert (result["status"], result["error"]["name"]) == ("error", "BuildFailed")
    assert "TMPDIR" in "\n".join(result["log"])
    assert SECRET not in str(result)


def test_a_directory_that_the_user_named_gets_npms_packages(new, shelf: Path) -> None:
    place = shelf / "project"
    place.mkdir()
    place.chmod(0o777)
    repl = new("typescript")
    repl.delete()
    repl.client.create("typescript", repl.id, cwd=str(place))
    assert installed(repl, tarball(shelf, "greeter-x", "1.0.0", "module.exports = 1"))
    assert sorted(each.name for each in place.iterdir()) == ["node_modules", "package-lock.json", "package.json"]


@pytest.mark.parametrize(
    ("language", "package", "code"),
    [
        ("python", "cowsay==6.1", "import cowsay; cowsay.__version__"),
        ("typescript", "is-odd@3.0.1", "require('is-odd')(3)"),
    ],
)
def test_a_package_of_the_public_registry(new, language: str, package: str, code: str) -> None:
    repl = new(language)
    result = install(repl, package)
    if result["status"] == "error" and result["error"]["name"] == "RegistryUnreachable":
        pytest.skip(f"the registry cannot be reached from here: {result['error']['message']}")
    assert result["status"] == "ok", result
    assert repl.run(code).text in ("'6.1'", "true")


def test_a_name_that_the_registry_does_not_have_is_told(new) -> None:
    result = install(new("typescript"), "polyrepl-has-no-package-of-this-name")
    assert result["error"]["name"] in ("PackageNotFound", "RegistryUnreachable")
    assert result["error"]["remediation"]
