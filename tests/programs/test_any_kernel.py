"""Kernels of other projects, as they are installed: state, variables, timeouts, input and rich output, or a named end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.client import Client, Repl
from tests.harness.fixtures import installed
from tests.harness.server import Server
from tests.harness.waiting import wait_until

NASTY = 'it\'s "q" $(id) `id` \\n ${x}\nsecond\tline é😀 !! #'
R_SPECS = "/usr/share/jupyter/kernels/ir"


@dataclass(frozen=True)
class Foreign:
    """What a kernel's language is tested with. `keeps`: an interrupt leaves its state."""

    name: str
    show: str
    set: str
    get: str
    fail: str
    sleep: str
    keeps: bool
    ask: str = ""
    rich: str = ""


FOREIGN = (
    Foreign("bash", 'printf "%s" "${A-none}"', "x=41", "echo $x", "false", "sleep 60", keeps=True),
    Foreign(
        "xpython",
        "import os; print(os.environ.get('A', 'none'), end='')",
        "x = 41",
        "print(x)",
        "1 / 0",
        "import time; time.sleep(60)",
        keeps=False,
        ask="print(input())",
        rich="from IPython.display import HTML\nHTML('<b>b</b>')",
    ),
    Foreign(
        "denos-own",
        "console.log(Deno.env.get('A') ?? 'none')",
        "let x = 41",
        "console.log(x)",
        "throw new Error('no')",
        "while (true) {}",
        keeps=False,
        ask="console.log(prompt(''))",
        rich="await Deno.jupyter.broadcast('display_data', {data: {'text/html': '<b>b</b>'}, metadata: {}, transient: {}})",
    ),
    Foreign(
        "ir",
        "cat(Sys.getenv('A', 'none'))",
        "x <- 41",
        "cat(x)",
        "stop('no')",
        "Sys.sleep(60)",
        keeps=True,
        ask="cat(readline(''))",
        rich="IRdisplay::display_html('<b>b</b>')",
    ),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    prefix = tmp_path_factory.mktemp("kernels")
    specs = prefix / "share/jupyter/kernels"
    command = [sys.executable, "-m", "bash_kernel.install", "--prefix", str(prefix)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    deno = str(Path(sys.executable).parent / "deno")
    (specs / "denos-own").mkdir()
    spec = {
        "argv": [deno, "jupyter", "--kernel", "--conn", "{connection_file}"],
        "display_name": "Deno",
        "language": "typescript",
    }
    (specs / "denos-own/kernel.json").write_text(json.dumps(spec))
    there = installed("xpython", "ir")
    settings = {
        "kernelspecs": ",".join(["bash", "denos-own", *there]),
        "tcp_kernelspecs": ",".join(["denos-own", *(name for name in there if name == "xpython")]),
        "pool_max": "0",
        "zygote": "false",
    }
    with Server(settings=settings, env={"JUPYTER_PATH": str(prefix / "share/jupyter")}) as server:
        client = server.client()
        yield client
        client.close()


@pytest.fixture(scope="module", params=FOREIGN, ids=lambda foreign: foreign.name)
def foreign(request: pytest.FixtureRequest) -> Foreign:
    chosen: Foreign = request.param
    if chosen.name == "ir" and not (os.path.isdir(R_SPECS) and shutil.which("R")):
        pytest.skip("R and IRkernel are not installed (apt-get install r-cran-irkernel)")
    if chosen.name == "xpython" and not installed("xpython"):
        pytest.skip("xeus-python is not installed: it has no wheel for this Python")
    return chosen


@pytest.fixture(scope="module")
def repl(client: Client, foreign: Foreign) -> Iterator[Repl]:
    repl = Repl(client, foreign.name)
    yield repl
    repl.delete()


def printed(repl: Repl, code: str, **fields: object) -> str:
    result = repl.run(code, **fields)
    assert result.status == "ok", result
    # Deno's own kernel says that it is idle before it sends its output, which is then added to the execution.
    wait_until(lambda: repl.client.http.get(f"/executions/{result['execution_id']}").json()["logs"]["stdout"])
    return "\n".join(repl.client.http.get(f"/executions/{result['execution_id']}").json()["logs"]["stdout"])


def test_state_is_kept_and_an_error_is_named(repl: Repl, foreign: Foreign) -> None:
    repl.run(foreign.set)
    assert repl.run(foreign.fail).status == "error"
    assert printed(repl, foreign.get).strip() == "41"


def test_variables_of_one_call_arrive_whole_and_are_gone_in_the_next(repl: Repl, foreign: Foreign) -> None:
    shown = printed(repl, foreign.show, env_vars={"A": NASTY, "B": "x" * 5000})
    assert shown.replace("\r", "").startswith(NASTY)
    assert printed(repl, foreign.show).startswith("none")


def test_rich_output_and_input_work_where_the_kernel_has_them(repl: Repl, foreign: Foreign) -> None:
    if foreign.rich:
        assert "<b>b</b>" in [item.get("html") for item in repl.run(foreign.rich)["items"]]
    if foreign.ask:
        assert repl.run(foreign.ask, stdin=["Ada"]).status == "ok"


def test_a_timeout_stops_it_and_says_what_became_of_the_state(repl: Repl, foreign: Foreign) -> None:
    repl.run(foreign.set)
    result = repl.run(foreign.sleep, timeout_ms=1000)
    assert (result.status, result.error) == ("timeout", "TimeoutError")
    assert result["context_state"] == ("preserved" if foreign.keeps else "lost")
    after = repl.run(foreign.get)
    assert after["context_state"] == ("preserved" if foreign.keeps else "restarted")
    assert (after.stdout == ["41"]) == foreign.keeps
