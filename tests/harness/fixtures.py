"""One real server for the whole suite, and contexts on it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from tests.harness.branches import Branch
from tests.harness.client import Client, Repl
from tests.harness.dialects import DIALECTS, Dialect
from tests.harness.server import Server

TOKEN = "token-that-no-kernel-may-see"
SECRET = "secret-of-the-operator"


def installed(*kernelspecs: str) -> list[str]:
    """Those of these kernelspecs that this machine has: a server refuses to start with any other."""
    there = KernelSpecManager().find_kernel_specs()
    return [name for name in kernelspecs if name in there]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a token, secrets in its environment, and foreign kernels: bash over ipc, stock ipykernel over tcp as `stock`, and those for
    R and Java where they are installed."""
    prefix = tmp_path_factory.mktemp("kernels")
    for module, *options in (("bash_kernel.install",), ("ipykernel", "install", "--name", "stock")):
        command = [sys.executable, "-m", module, *options, "--prefix", str(prefix)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    env = {
        "JUPYTER_PATH": str(prefix / "share/jupyter"),
        "SECRET_OF_THE_OPERATOR": SECRET,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "DATABASE_URL": f"postgres://polyrepl:{SECRET}@localhost/",
    }
    offered = ["bash", "stock", *installed("ir", "java")]
    tcp = [name for name in ("stock", "java") if name in offered]
    # A machine that runs tests is busy, and what comes late is no diagnostic.
    settings = {
        "check_timeout": "30",
        "token": TOKEN,
        "kernelspecs": ",".join(offered),
        "tcp_kernelspecs": ",".join(tcp),
    }
    with Server(settings=settings, env=env) as server:
        yield server


@pytest.fixture(scope="session")
def shown() -> Iterator[Path]:
    """A directory that all users can read, unlike pytest's own: for a server's `read_only_mounts`."""
    with tempfile.TemporaryDirectory(prefix="shown-", dir="/tmp") as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


@pytest.fixture
def shelf(shown: Path) -> Path:
    """A directory of the test in it."""
    path = Path(tempfile.mkdtemp(dir=shown))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[Client]:
    client = server.client()
    yield client
    client.close()


@pytest.fixture(params=DIALECTS, ids=lambda dialect: dialect.name, scope="session")
def dialect(request: pytest.FixtureRequest) -> Dialect:
    chosen: Dialect = request.param
    return chosen


@pytest.fixture(scope="session")
def shared(client: Client) -> Callable[[str], Repl]:
    """The contexts that tests share, by language."""
    repls: dict[str, Repl] = {}
    return lambda language: repls.setdefault(language, Repl(client, language, f"shared-{language}"))


@pytest.fixture
def repl(shared: Callable[[str], Repl], dialect: Dialect) -> Repl:
    """The shared context of the language under test: for what leaves it as it was."""
    return shared(dialect.name)


@pytest.fixture
def python(shared: Callable[[str], Repl]) -> Repl:
    return shared("python")


@pytest.fixture
def typescript(shared: Callable[[str], Repl]) -> Repl:
    return shared("typescript")


@pytest.fixture
def new_repl(client: Client) -> Iterator[Callable[..., Repl]]:
    """Makes contexts that end with the test."""
    made: list[Repl] = []

    def make(language: str, context_id: str | None = None) -> Repl:
        made.append(Repl(client, language, context_id))
        return made[-1]

    yield make
    for repl in made:
        client.delete(repl.id, repl.language)


@pytest.fixture
def new(new_repl: Callable[..., Repl], client: Client) -> Callable[[str], Repl]:
    """Makes contexts with a kernel, which end with the test."""

    def make(language: str) -> Repl:
        repl = new_repl(language)
        client.create(language, repl.id)
        return repl

    return make


@pytest.fixture
def fresh(new_repl: Callable[..., Repl], dialect: Dialect) -> Repl:
    """A context of the language under test that ends with the test."""
    return new_repl(dialect.name)


@pytest.fixture
def context(client: Client) -> Iterator[Branch]:
    """A Python context; those that are branched from it, at whatever remove, end with it."""
    before = {each["id"] for each in client.http.get("/contexts").json()["items"]}
    yield Branch(client, "python")
    for each in client.http.get("/contexts").json()["items"]:
        if each["id"] not in before:
            client.delete(each["id"])
