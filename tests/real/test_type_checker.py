"""The type checker's process: when it is there, what it may do, what it reads, and what a cell that it cannot end does to others."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.harness.client import Client, Repl, Result
from tests.harness.server import Server
from tests.harness.waiting import wait_until

SECRET = "export const secret: { token: { readonly text: 'of another context' } } = null!\n"
ENDLESS = "type Count<N, L extends 0[] = []> = L['length'] extends N ? L : Count<N, [...L, 0]>\n" + "\n".join(
    f"type Counted{n} = [Count<{990 - n}>, Count<{890 - n}>]" for n in range(200)
)


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    with Server(settings={"check_timeout": "2", "pool_max": "0"}) as server:
        yield server


@pytest.fixture(scope="module")
def asking(own: Server) -> Iterator[Client]:
    client = own.client()
    yield client
    client.close()


@pytest.fixture
def make(asking: Client) -> Iterator[Callable[[], Repl]]:
    made: list[Repl] = []

    def new() -> Repl:
        made.append(Repl(asking, "typescript"))
        return made[-1]

    yield new
    for repl in made:
        asking.delete(repl.id, repl.language)


def checkers(server: Server) -> list[psutil.Process]:
    return [each for each in server.children() if any("checker/main.mjs" in part for part in _command(each))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def checked(repl: Repl, code: str) -> Result:
    """Of a busy machine, where the first checks may come too late."""
    results: list[Result] = []

    def is_checked() -> bool:
        results.append(repl.run(code, check=True))
        return "unchecked" not in results[-1]

    wait_until(is_checked, what="a check is in time")
    return results[-1]


def test_it_is_started_by_the_first_check_for_all_contexts_and_ends_with_the_server() -> None:
    with Server(settings={"pool_max": "0"}) as server, contextlib.closing(server.client()) as client:
        one, two = Repl(client, "typescript"), Repl(client, "typescript")
        one.run("1")
        assert checkers(server) == []
        for repl in (one, two, one):
            checked(repl, "1")
        (process,) = checkers(server)
        server.terminate()
        assert not process.is_running()


def test_it_ends_when_nobody_asks_and_is_started_again() -> None:
    with (
        Server(settings={"pool_max": "0", "check_idle_timeout": "0.5"}) as server,
        contextlib.closing(server.client()) as client,
    ):
        repl = Repl(client, "typescript")
        for _ in range(2):
            assert [each["code"] for each in checked(repl, "[1].foo")["diagnostics"]] == [2339]
            wait_until(lambda: checkers(server) == [], what="the checker has ended")


def test_it_is_contained_as_a_context_is(own: Server, asking: Client, make: Callable[[], Repl]) -> None:
    checked(make(), "1")
    (process,) = checkers(own)
    tier = asking.http.get("/readyz").json()["isolation"].partition(",")[0]
    status = Path(f"/proc/{process.pid}/status").read_text()
    if tier != "none":
        assert "NoNewPrivs:\t1" in status
    if tier in ("landlock", "namespaces"):
        assert "Seccomp:\t2" in status
    if tier == "namespaces":
        assert len(process.net_connections()) == 0
        assert Path(f"/proc/{process.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    assert {"--permission"} <= set(process.cmdline())


def test_a_checker_that_was_killed_is_replaced(own: Server, make: Callable[[], Repl]) -> None:
    repl = make()
    checked(repl, "1")
    (process,) = checkers(own)
    process.kill()
    psutil.wait_procs([process], timeout=30)
    assert [each["code"] for each in checked(repl, "[1].foo")["diagnostics"]] == [2339]


def test_a_check_without_end_delays_its_cell_by_no_more_than_the_deadline_and_stops(
    own: Server, make: Callable[[], Repl]
) -> None:
    hostile, other = make(), make()
    checked(other, "1")
    result = hostile.run(f"{ENDLESS}\nconsole.log('ran'); 5", check=True)
    assert (result.status, result.text, result.stdout) == ("ok", "5", ["ran"])
    assert result["unchecked"] == "The type check took longer than 2 s, the setting check_timeout."
    assert result["duration_ms"] < 2000  # the cell's own, without the wait
    again = hostile.run("5", check=True)
    wait_until(lambda: "unchecked" in hostile.run("5", check=True), what="the context is left out for a while")
    assert again.text == "5"
    assert [each["code"] for each in checked(other, "[1].foo")["diagnostics"]] == [2339]


def test_output_comes_before_the_check_has_ended(make: Callable[[], Repl], asking: Client) -> None:
    repl = make()
    execution = repl.start(f"{ENDLESS}\nconsole.log('early')", check=True)
    asking.wait_for_output(execution, "early")
    assert asking.execution(execution).status == "running"
    assert asking.wait(execution)["unchecked"]


REACHES = (
    "import {{ secret }} from '{path}/secret'",
    "import {{ secret }} from '../../../{slot}/{root}/{work}/secret'",
    "import {{ secret }} from './link/secret'",
    "import {{ secret }} from './linked'",
    "import {{ secret }} from 'package'",
    "import {{ secret }} from '@there/secret'",
    "/// <reference path='{path}/global.d.ts' />\nhidden",
    "/// <reference path='./link/global.d.ts' />\nhidden",
    "/// <reference types='{path}/global' />\nhidden",
    "const {{ secret }} = require('{path}/secret')",
)


def test_no_file_of_another_context_is_read(make: Callable[[], Repl]) -> None:
    one, other = make(), make()
    one.run(f"require('fs').writeFileSync('secret.ts', {json.dumps(SECRET)})")
    one.run(
        f"require('fs').writeFileSync('global.d.ts', {json.dumps(SECRET.replace('export const secret', 'declare const hidden'))})"
    )
    assert one.info is not None
    path = one.info["cwd"]
    options = {"compilerOptions": {"paths": {"@there/*": [f"{path}/*"]}, "typeRoots": [path], "baseUrl": path}}
    other.run(
        f"const fs = require('fs'); fs.symlinkSync({path!r}, 'link'); fs.symlinkSync({path!r} + '/secret.ts', 'linked.ts');"
        f"fs.mkdirSync('node_modules'); fs.symlinkSync({path!r}, 'node_modules/package');"
        f"fs.writeFileSync('tsconfig.json', {json.dumps(json.dumps(options))})"
    )
    *_, slot, root, work = Path(path).parts
    for reach in REACHES:
        name = "hidden" if "reference" in reach else "secret"
        code = f"{reach.format(path=path, slot=slot, root=root, work=work)}\nconst number: number = {name}.token"
        found = json.dumps(checked(other, code)["diagnostics"])
        assert "of another context" not in found, reach
        assert "require" in reach or found != "[]", reach
    found = checked(one, "import { secret } from './secret'\nconst number: number = secret.token")["diagnostics"]
    assert [each["code"] for each in found] == [2322]
    assert "of another context" in json.dumps(found)  # so that the others would have said it, too
