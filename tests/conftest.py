"""What all tests share: a deadline, the loop's backend, and engines over scripted kernels."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest

from engine.contexts.executions import Execution
from engine.core import Engine
from engine.kernels.channels.fake import FakeChannels
from engine.kernels.provisioners.fake import FakeKernel, FakeProvisioner, Script
from engine.server.app import create_app
from engine.settings import Settings
from engine.workspaces import RunDir
from tests.harness.fixtures import (  # noqa: F401 - real and programs share the session's server
    client,
    context,
    dialect,
    fresh,
    new,
    new_repl,
    python,
    repl,
    server,
    shared,
    shelf,
    shown,
    typescript,
)
from tests.harness.processes import running_children
from tests.harness.server import Server
from tests.harness.waiting import TurnLoop, until, wait_until

for _name in [name for name in os.environ if name.startswith("POLYREPL_")]:
    del os.environ[_name]  # the tests say which settings they use

# The same examples in every run: a red test is red for everybody. Reduce nothing by time, machines are busy.

for each in (signal.SIGHUP, signal.SIGQUIT):  # a job in the background ignores them, and so would what the tests start
    signal.signal(each, signal.SIG_DFL)

hypothesis.settings.register_profile("polyrepl", deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("search", deadline=None, max_examples=3000, database=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "polyrepl"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Processes that share the tests take file by file: those with the fewest tests first. They take the longest, and with the
    short tests of the other files all processes end together."""
    if hasattr(config, "workerinput"):
        tests = Counter(item.path for item in items)
        files = {path: place for place, path in enumerate(sorted(tests, key=tests.__getitem__))}
        items.sort(key=lambda item: files[item.path])


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": TurnLoop}


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left() -> Iterator[None]:
    """When all servers of the session are closed, no process and no directory of theirs is left."""
    yield
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not running_children(), deadline=20)
    assert (running_children(), Server.open) == ([], set())


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[RunDir]:
    """A run directory, which ends with the test."""
    made = RunDir(tmp_path / "run")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def deadline(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that hangs fails, with the place where it hangs."""

    def expire(signum: int, frame: object) -> None:
        msg = "the test took too long"
        raise TimeoutError(msg)

    is_slow = request.node.get_closest_marker("slow") or "hostile" in request.node.path.parts
    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, 600 if is_slow else 120)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@dataclass
class Fake:
    """An engine over scripted kernels. `kernels` lists all that were started, newest last."""

    engine: Engine
    kernels: list[FakeKernel] = field(default_factory=list)

    def execution(self, place: str) -> Execution:
        """The execution that a path of the API, or an id, names."""
        return self.engine.executions.get(place.removeprefix("/executions/"))

    async def printed(self, place: str, *lines: str) -> None:
        """Return once this is what an execution has printed."""
        await until(lambda: self.execution(place).result().logs.stdout == list(lines))

    async def busy(self) -> None:
        """Return once the first kernel runs a cell."""
        await until(lambda: self.kernels and self.kernels[0].count)


MakeEngine = Callable[..., Fake]
StartEngine = Callable[..., Awaitable[Fake]]


@pytest.fixture
def make_fake(tmp_path: Path) -> MakeEngine:
    """`make_fake(script, **settings)` makes an engine over scripted kernels that is not entered yet."""

    def make(script: Script | None = None, *, channels: Any = FakeChannels, **settings: Any) -> Fake:
        values = {
            "run_dir": tmp_path / "run",
            "default_timeout": 20.0,
            "interrupt_grace": 0.3,
            "pool_max": 0,
            **settings,
        }
        kernels: list[FakeKernel] = []
        provisioner = FakeProvisioner.of(script or {}, kernels)
        return Fake(Engine(Settings(**values), provisioner=provisioner, channels=channels), kernels)

    return make


@pytest.fixture
async def fake_engine(make_fake: MakeEngine) -> AsyncIterator[StartEngine]:
    """`await fake_engine(script, **settings)` starts an engine over scripted kernels, which ends with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(script: Script | None = None, **settings: Any) -> Fake:
            fake = make_fake(script, **settings)
            await stack.enter_async_context(fake.engine)
            return fake

        yield start


@dataclass
class Api(Fake):
    """Such an engine with its API, in this process and this loop."""

    client: httpx.AsyncClient = field(kw_only=True)


@pytest.fixture
async def api(fake_engine: StartEngine) -> AsyncIterator[Callable[..., Awaitable[Api]]]:
    """`await api(script, **settings)` starts an engine over scripted kernels and gives a client of its API."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(script: Script | None = None, **settings: Any) -> Api:
            fake = await fake_engine(script, **settings)
            transport = httpx.ASGITransport(create_app(fake.engine), raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url="http://localhost:8000", timeout=30)
            await stack.enter_async_context(client)
            return Api(fake.engine, fake.kernels, client=client)

        yield start
