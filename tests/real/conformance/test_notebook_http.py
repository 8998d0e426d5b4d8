"""Notebooks as APIs on real kernels: in Python, in TypeScript and in bash; and starts that fail."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness.notebooks import notebook
from tests.harness.processes import is_running, outside
from tests.harness.server import POLYREPL, Server
from tests.harness.waiting import DEADLINE, wait_until

CELLS = [
    "import json, os, time\nfrom IPython.display import HTML\ncalls = []",
    "# GET /process\nprint(os.getpid(), os.getcwd(), end='')",
    "# GET /meet\nopen('came', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('met')",
    "# GET /wait\nprint('waiting', flush=True)\nopen('waits', 'w').close()\ntime.sleep(600)",
    "# GET /end\nos.kill(os.getpid(), 9)",
    "# GET /count\nprint(get_ipython().execution_count, 'REQUEST' + ' =' in str(In))",
    "# GET /plot\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
]


class Served(httpx.Client):
    """A client of a server with a notebook."""

    def __init__(self, server: Server) -> None:
        super().__init__(base_url=server.url, timeout=DEADLINE, trust_env=False)
        self._run_dir = server.run_dir

    def files(self, name: str) -> list[Path]:
        """Those of this name in the working directories of its kernels, which share none."""
        return list(self._run_dir.glob(f"s-*/contexts/*/*/*/{name}"))

    def process(self) -> int:
        """The kernel that is free."""
        pid, _, cwd = self.get("/process").text.partition(" ")
        return outside(int(pid), Path(cwd))


@contextlib.contextmanager
def serving(path: Path, **settings: str) -> Iterator[Served]:
    with (
        Server(settings={"notebook": str(path), "pool_max": "0", **settings}) as server,
        Served(server) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("notebooks")
    (path / "a.txt").write_text("public")
    return path


@pytest.fixture(scope="module")
def python(home: Path) -> Iterator[Served]:
    path = notebook(home / "ours.ipynb", *CELLS)
    with serving(path, notebook_kernels="2", default_timeout="15") as client:
        yield client


def test_two_requests_run_at_once(python: Served) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(python.get, "/meet") for _ in range(2)]
        wait_until(lambda: len(python.files("came")) == 2, what="both cells run")
        for came in python.files("came"):
            came.with_name("go").touch()
        assert [each.result().text for each in asked] == ["met\n", "met\n"]


def test_a_kernel_that_dies_is_named_and_replaced_with_its_set_up(python: Served) -> None:
    response = python.get("/end")
    assert (response.status_code, response.text[:18]) == (500, "Error KernelDied: ")
    assert all(is_running(python.process()) for _ in range(4))


def test_a_client_that_goes_away_has_its_cell_interrupted(python: Served) -> None:
    with contextlib.suppress(httpx.ReadTimeout):
        python.get("/wait", timeout=httpx.Timeout(DEADLINE, read=2.0))
    assert python.files("waits")
    wait_until(lambda: len({python.process() for _ in range(4)}) == 2, what="both kernels are free again")


def test_request_is_set_without_history_or_count(python: Served) -> None:
    counts: list[int] = []
    for _ in range(3):
        count, is_in_history = python.get("/count").text.split()
        assert is_in_history == "False"
        counts.append(int(count))
    assert max(counts) < 20


def test_a_plot_is_an_image(python: Served) -> None:
    bundle = python.get("/plot").json()
    assert bundle["image/png"].startswith("iVBOR")


TYPESCRIPT = [
    "import { readFileSync } from 'node:fs'\ntype Request = { body: any, path: Record<string, string> }\nlet calls: number = 0",
    "// GET /hello/:person\nconst request: Request = JSON.parse(REQUEST)",
    "// GET /hello/:person\nconsole.log('hello', request.path.person, ++calls, typeof REQUEST)",
    "// POST /body\nconsole.log(JSON.stringify((JSON.parse(REQUEST) as Request).body))",
    "// GET /result\n({ a: 1 })",
    "// POST /made\nconsole.log('{}')",
    "// ResponseInfo POST /made\nconsole.log(JSON.stringify({ status: 201, headers: { 'Content-Type': 'application/json' } }))",
    "// GET /fail\nthrow new RangeError('no')",
]


def test_a_notebook_in_typescript(home: Path) -> None:
    with serving(notebook(home / "ts.ipynb", *TYPESCRIPT, kernel="typescript", language="typescript")) as client:
        assert client.get("/hello/A'\"`${1}").text == "hello A'\"`${1} 1 string\n"
        assert client.get("/hello/b").text == "hello b 2 string\n"
        assert client.post("/body", json={"k": ["é\u2028", 1]}).json() == {"k": ["é\u2028", 1]}
        assert client.get("/result").json()["text/plain"] == "{ a: 1 }"
        response = client.post("/made")
        assert (response.status_code, response.headers["content-type"], response.json()) == (
            201,
            "application/json",
            {},
        )
        response = client.get("/fail")
        assert (response.status_code, response.text) == (500, "Error RangeError: no \n")


def test_a_notebook_in_bash(home: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bash_kernel.install", "--prefix", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    path = notebook(
        home / "bash.ipynb", "greeting=hello", '# GET /a/:b\necho "$greeting $REQUEST"', kernel="bash", language="bash"
    )
    settings = {"notebook": str(path), "kernelspecs": "bash", "pool_max": "0"}
    with Server(settings=settings, env={"JUPYTER_PATH": str(tmp_path / "share/jupyter")}) as server:
        nasty = "'$(id)`id`\"\\${x}"
        response = httpx.get(server.url + "/a/b", params={"q": nasty}, timeout=DEADLINE)
        greeting, _, request = response.text.partition(" ")
        assert greeting == "hello"
        assert json.loads(request)["args"] == {"q": [nasty]}


@pytest.mark.parametrize(
    ("cells", "kernel", "said"),
    [
        (["# GET /a/:b-\n1"], "python3", "cell 1 ('# GET /a/:b-')"),
        (["x = 1", "1 / 0", "# GET /a\n1"], "python3", "cell 2 ('1 / 0') failed: ZeroDivisionError: division by zero"),
        (["# GET /a\n1"], "cobol", "its kernelspec 'cobol' is none of python"),
    ],
)
def test_a_notebook_that_cannot_be_served_ends_the_start(
    tmp_path: Path, cells: list[str], kernel: str, said: str
) -> None:
    path = notebook(tmp_path / "bad.ipynb", *cells, kernel=kernel)
    environment = {**os.environ, "POLYREPL_RUN_DIR": str(tmp_path / "run"), "POLYREPL_POOL_MAX": "0", "COLUMNS": "1000"}
    done = subprocess.run(
        [str(POLYREPL), "serve", "--port", "0", "--notebook", str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "run").rglob("*")) or not any((tmp_path / "run").rglob("connection.json"))
