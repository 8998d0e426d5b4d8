"""Every operation on contexts, with a deletion, a restart and the like at each of its steps: nothing is lost, kept or told wrongly.

The kernels are scripted and the loop is driven by the test, so that a combination that fails does so in every run. A failure names
the operation, what disturbed it, and the step."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.contexts.context import Context
from engine.contexts.execution import Execution
from engine.contexts.observers import Observer
from engine.core import Engine
from engine.errors import ContextNotFound, KernelStartFailed, PolyreplError, ShuttingDown
from engine.jupyter.client_frames import ClientMessage, Outgoing
from engine.jupyter.messages import Channel, encode_header
from engine.kernels.channels.fake import FakeChannels
from engine.kernels.kernel import Kernel
from engine.kernels.pool import Member
from engine.kernels.provisioners.fake import Die, FakeKernel, FakeProvisioner, Hold, Say
from engine.log import configure
from engine.models import Done
from engine.settings import Settings
from engine.workspaces.run_directory import Workspace
from tests.unit.contexts.stepping import SteppingLoop

FAIL = Say("error", {"ename": "ValueError", "evalue": "boom", "traceback": ["boom"]})
SCRIPT: dict[str, Sequence[Any]] = {
    "hold": [Hold()],
    "stubborn": [Hold(ignore_interrupts=True)],
    "fail": [FAIL],
    "die": [Die()],
    "fork_request": [Say("fork_reply", {"status": "ok"})],
    "variables_request": [Say("variables_reply", {"status": "ok", "items": [], "total": 0, "truncated": False})],
}
MOST_STEPS = 400
QUIET = 15.0  # seconds: longer than every wait in the engine
NO_START = "start fails"


class Client(Observer):
    """A client of a kernel's channels."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.sent: list[Outgoing] = []
        self.done = 0
        self.reason: str | None = None

    def deliver(self, message: Outgoing) -> None:
        self.sent.append(message)

    def take(self) -> list[Outgoing]:
        taken, self.sent = self.sent, []
        return taken

    def note_done(self) -> None:
        self.done += 1

    def end(self, reason: str) -> None:
        self.reason = reason


class Installer:
    """Takes its time, and installs nothing."""

    async def install(self, packages: object, workspace: Workspace, command: object) -> Any:
        await asyncio.sleep(0.5)
        raise ValueError("nothing is installed here")


class Adopting:
    """In the place of what adopts branches: a kernel of its own, which has run what its source has."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    async def adopt(
        self, language: Any, stream: Any, *, source: Kernel, directory: Path, pipes: Any, timeout: float
    ) -> Kernel:
        stream.close()
        for fd in pipes.values():
            os.close(fd)
        inherited = list(fake_of(source).requests)
        try:
            kernel: Kernel = await self._backend.start(language, Workspace(directory, directory, directory))
        finally:
            shutil.rmtree(directory)
        fake_of(kernel).requests[:0] = inherited
        return kernel


def fake_of(kernel: Kernel | None) -> FakeKernel:
    found = kernel._provisioner._kernel  # type: ignore[union-attr]
    assert isinstance(found, FakeKernel)
    return found


def codes(fake: FakeKernel) -> list[str]:
    return [content["code"] for content, _ in fake.requests if not content["silent"]]


def cell(code: str) -> ClientMessage:
    return request("execute_request", Channel.SHELL, f'{{"code": "{code}", "silent": false}}')


def request(msg_type: str, channel: Channel, content: str = "{}") -> ClientMessage:
    header = encode_header(msg_type)
    return ClientMessage(channel, json.loads(header)["msg_id"], msg_type, [header, b"{}", b"{}", content.encode()])


class World:
    """An engine over scripted kernels in a stepping loop, and all that a test has to know of it."""

    def __init__(self, run_dir: Path, **settings: Any) -> None:
        self.loop = SteppingLoop()
        self.script = dict(SCRIPT)
        self.fakes: list[FakeKernel] = []
        self.run_dir = run_dir
        values = {
            "pool_max": 0,
            "interrupt_grace": 0.3,
            "default_timeout": 5.0,
            "context_idle_timeout": 1e6,
            **settings,
        }
        with self.loop.running():
            self.engine = Engine(
                Settings(run_dir=run_dir, **values),
                provisioner=FakeProvisioner.of(self.script, self.fakes),
                channels=FakeChannels,
            )
            self.loop.run(self.engine.__aenter__())
            backend: Any = self.engine.check_language("python").backend
            backend._server_env = {}
            backend.adopt = Adopting(backend).adopt
            self.loop.settle(1)
        self.tasks = asyncio.all_tasks(self.loop)
        self.numbers = itertools.count()

    def close(self) -> None:
        with self.loop.running():
            self.loop.run(self.engine.aclose())
            self.loop.settle(QUIET)
        assert not self.loop.errors, self.loop.errors

    def pooled(self) -> list[Member]:
        return [member for stock in self.engine.pool._stocks.values() for member in stock.ready]

    def check_nothing_left(self) -> None:
        """Raises AssertionError where a kernel, a directory or a task has outlived what it was for."""
        gauge = self.engine.metrics.checkpoints._value.get()
        assert gauge == 0, f"{gauge} checkpoints are counted"
        pooled = self.pooled()
        living = [fake for fake in self.fakes if not fake._stopped]
        assert set(living) == {fake_of(member.kernel) for member in pooled}, "a kernel lives on"
        if self.engine.run_dir is not None and self.engine.run_dir.path.exists():
            roots = {member.workspace.root for member in pooled}
            assert set(self.engine.run_dir.contexts.iterdir()) == roots, "a directory of a context is left"
            assert len(os.listdir(self.engine.run_dir.kernels)) == len(pooled), "a directory of a kernel is left"
        if pooled:
            return  # they have tasks of their own
        left = asyncio.all_tasks(self.loop) - self.tasks
        assert not left, f"tasks are left: {left}"
        assert not self.loop.errors, self.loop.errors
        self.fakes[:] = living


class Scene:
    """One context of one run. Its context `c` has run `mark`, so that the state that it keeps or loses can be told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.engine = world.engine
        number = next(world.numbers)
        self.id, self.new_id, self.other_id = (f"{name}{number}" for name in "cno")
        self.executions: list[Execution] = []
        self.clients: list[Client] = []
        self.must_live: set[Context] = set()
        self.restarted: set[Context] = set()
        self.checkpoint = ""
        self.original: Context = None  # type: ignore[assignment]

    async def prepare(self, *, keeps: bool) -> None:
        await self.run("mark")
        (self.original,) = self.engine.contexts.get(self.id)
        if keeps:
            self.checkpoint = (await self.engine.branching.keep(self.id)).checkpoint

    async def execute(self, code: str, context_id: str | None = None, **options: Any) -> Execution:
        execution = await self.engine.execute(code, context_id=context_id or self.id, **options)
        self.executions.append(execution)
        return execution

    async def run(self, code: str, context_id: str | None = None, **options: Any) -> Execution:
        execution = await self.execute(code, context_id, **options)
        await execution.wait()
        return execution

    def leave(self, client: Client) -> None:
        self.original.observers.leave(client)
        self.clients.remove(client)

    def client(self) -> Client:
        self.clients.append(Client(f"s{len(self.clients)}"))
        return self.clients[-1]

    def die(self) -> None:
        if self.original.kernel is not None:
            fake_of(self.original.kernel)._on_death(-9)

    # What is disturbed

    async def cell(self) -> None:
        await self.run("cell")

    async def cells(self) -> None:
        first, second = await self.execute("cell"), await self.execute("cell 2")
        await first.wait()
        await second.wait()

    async def cell_that_times_out(self) -> None:
        await self.run("hold", timeout=0.2)

    async def cell_that_is_killed(self) -> None:
        await self.run("stubborn", timeout=0.2)

    async def cell_that_dies(self) -> None:
        await self.run("die")

    async def cell_with_variables_of_its_own(self) -> None:
        if self.original.kernel is not None:
            spec = copy.deepcopy(self.original.kernel.spec)
            spec.metadata["polyrepl"]["honours"] = []
            self.original.kernel.spec = spec
        await self.run("cell", env_vars={"A": "b"})

    async def cell_with_checkpoint(self) -> None:
        await self.run("cell", checkpoint=True)

    async def cell_that_rolls_back(self) -> None:
        await self.run("fail", rolls_back=True)

    async def cell_that_dies_and_rolls_back(self) -> None:
        await self.run("die", rolls_back=True)

    async def cell_after_a_death(self) -> None:
        self.die()
        await self.run("cell")

    async def cell_in_a_new_context(self) -> None:
        await self.run("cell", self.new_id)

    async def create(self) -> None:
        await self.engine.create_context(context_id=self.new_id)

    async def create_that_fails(self) -> None:
        self.world.script[NO_START] = []
        try:
            await self.engine.create_context(context_id=self.new_id)
        except KernelStartFailed:
            there = [context for context in self.engine.contexts if context.id == self.new_id]
            assert not there or there[0].is_used, "a context that could not be started is left"
            raise

    async def create_again_that_fails(self) -> None:
        self.die()
        self.world.script[NO_START] = []
        await self.engine.create_context(context_id=self.id)

    async def fork(self) -> None:
        await self.engine.branching.fork(self.id, new_id=self.new_id)

    async def fork_of_a_checkpoint(self) -> None:
        await self.engine.branching.fork(self.id, new_id=self.new_id, checkpoint=self.checkpoint)

    async def keep(self) -> None:
        await self.engine.branching.keep(self.id)

    async def restore(self) -> None:
        await self.engine.branching.restore(self.id, self.checkpoint)

    async def restart(self) -> None:
        (context,) = self.engine.contexts.get(self.id)
        await context.restart()

    async def interrupt(self) -> None:
        first, second = await self.execute("hold"), await self.execute("cell")
        await self.engine.interrupt(second.id)
        await asyncio.sleep(0.01)
        await self.engine.interrupt(first.id)
        await first.wait()

    async def delete(self) -> None:
        await self.engine.delete_context(self.id)

    async def turn(self) -> None:
        (context,) = self.engine.contexts.get(self.id)
        async with context.turn(2):
            await asyncio.sleep(0.01)

    async def turn_after_a_cell(self) -> None:
        execution = await self.execute("hold", timeout=0.2)
        await self.turn()
        await execution.wait()

    async def ask(self) -> None:
        await self.engine.variables(self.id)

    async def observe(self) -> None:
        client = self.client()
        await asyncio.sleep(0)  # a websocket is accepted
        self.original.observe(client)
        await asyncio.sleep(0)
        self.original.relay(client, cell("cell of a client"))
        await asyncio.sleep(0.01)
        self.leave(client)
        assert client.done == 1

    async def observe_a_cell_that_holds(self) -> None:
        client = self.client()
        self.original.observe(client)
        self.original.relay(client, cell("hold"))
        self.original.relay(client, cell("cell of a client"))
        await asyncio.sleep(0.01)
        self.original.relay(client, request("interrupt_request", Channel.CONTROL))
        await asyncio.sleep(1)
        self.leave(client)
        assert client.done == 3

    async def observe_a_death(self) -> None:
        client = self.client()
        self.original.observe(client)
        await asyncio.sleep(0)
        self.original.relay(client, cell("die"))
        await asyncio.sleep(0.01)
        self.leave(client)

    async def shut_down(self) -> None:
        client = self.client()
        self.original.observe(client)
        for _ in range(20):  # a slow client
            await asyncio.sleep(0)
        self.original.relay(client, request("shutdown_request", Channel.CONTROL))
        await asyncio.sleep(0.01)
        self.leave(client)

    async def install(self) -> None:
        await self.engine.installations.start(self.id, ["nothing"]).wait()

    async def write(self) -> None:
        async def parts() -> Any:
            yield b"a part"

        await self.engine.files(self.id).write("file", parts())

    # What disturbs

    async def disturb_delete(self) -> None:
        self.must_live.clear()
        for context_id in (self.id, self.new_id):
            await self.delete_if_there(context_id)

    async def delete_if_there(self, context_id: str) -> None:
        with contextlib.suppress(ContextNotFound):
            await self.engine.delete_context(context_id)

    async def disturb_recreate(self) -> None:
        """Delete, and make a new context of the id before the old one is gone."""
        self.must_live.clear()
        deleting = [asyncio.ensure_future(self.delete_if_there(each)) for each in (self.id, self.new_id)]
        await asyncio.sleep(0)
        try:
            for context_id in (self.id, self.new_id):
                self.must_live.add(await self.engine.create_context(context_id=context_id))
        finally:
            await asyncio.gather(*deleting)

    async def disturb_restart(self) -> None:
        for context in list(self.engine.contexts):
            self.restarted.add(context)
            await context.restart()

    async def disturb_restore(self) -> None:
        await self.engine.branching.restore(self.id, self.checkpoint)

    async def disturb_interrupt(self) -> None:
        for context in self.engine.contexts:
            await context.interrupt(context.current)

    async def disturb_create_another(self) -> None:
        self.world.script.pop(NO_START, None)
        await self.engine.create_context(context_id=self.other_id)

    async def disturb_delete_another(self) -> None:
        self.must_live.clear()
        await self.delete_if_there(self.id)

    async def disturb_remove_checkpoint(self) -> None:
        self.engine.branching.remove(self.id, self.checkpoint)

    async def disturb_close(self) -> None:
        self.must_live.clear()
        await self.engine.aclose()

    # What must be true

    def check(self) -> None:
        for execution in self.executions:
            ends = [event for _, event in execution.journal.read(0) if isinstance(event, Done)]
            assert execution.is_finished, f"{execution} never ends"
            assert len(ends) == 1, f"{execution} ends {len(ends)} times"
            assert (ends[0].status, ends[0].context_state or None) == (execution.status, execution.context_state)
        living = list(self.engine.contexts)
        for context in self.must_live:
            assert context in living, f"{context} is gone"
        owned = {fake_of(context.kernel) for context in living if context.kernel and context.kernel.is_alive}
        kept = [checkpoint for context in living for checkpoint in context.checkpoints]
        owned |= {fake_of(checkpoint.branch.kernel) for checkpoint in kept}
        pooled = self.world.pooled()
        owned |= {fake_of(member.kernel) for member in pooled}
        assert {fake for fake in self.world.fakes if not fake._stopped} == owned, "a kernel has no owner"
        run_dir = self.engine.run_dir
        if run_dir is None or not run_dir.path.exists():
            assert not living
            return
        roots = {each.workspace.root for each in (*living, *pooled)}
        assert set(run_dir.contexts.iterdir()) == roots, "a directory has no owner"
        places = {checkpoint.branch.workspace.root for checkpoint in kept}
        assert set(run_dir.contexts.glob("*/checkpoints-*/*")) == places, "a checkpoint's directory has no owner"
        assert len(os.listdir(run_dir.kernels)) == len(owned)
        for context in living:
            assert context.state in ("idle", "dead"), context
            assert context.is_idle, context
        for client in self.clients:
            assert client.reason is not None or self.original in living, "a client of a context that is gone is kept"

    async def probe(self) -> None:
        """Ask each context what it has, and whether it tells that."""
        for context in list(self.engine.contexts):
            before = [execution for execution in self.executions if execution.context_id == context.id]
            execution = await self.run("probe", context.id)
            assert execution.status == "ok", execution.error
            ran = codes(fake_of(context.kernel))
            assert ran[-1] == "probe", "another kernel answers than the context's own"
            has_state = "mark" in ran
            state = execution.context_state
            if context is self.original:
                told = any(each.context_state == "restarted" for each in before)
                assert (state == "preserved") == (has_state or told), (state, ran)
            elif {context, self.original} & self.restarted or any(each.context_state == "lost" for each in before):
                assert state == "preserved" or not has_state, (state, ran)
            else:
                assert state == "preserved", "it is new, and nothing was lost"
            assert "probe" not in ran[:-1]


OPERATIONS = [
    Scene.cell,
    Scene.cells,
    Scene.cell_that_times_out,
    Scene.cell_that_is_killed,
    Scene.cell_that_dies,
    Scene.cell_with_variables_of_its_own,
    Scene.cell_with_checkpoint,
    Scene.cell_that_rolls_back,
    Scene.cell_that_dies_and_rolls_back,
    Scene.cell_after_a_death,
    Scene.cell_in_a_new_context,
    Scene.create,
    Scene.create_that_fails,
    Scene.create_again_that_fails,
    Scene.fork,
    Scene.fork_of_a_checkpoint,
    Scene.keep,
    Scene.restore,
    Scene.restart,
    Scene.interrupt,
    Scene.delete,
    Scene.turn,
    Scene.turn_after_a_cell,
    Scene.ask,
    Scene.observe,
    Scene.observe_a_cell_that_holds,
    Scene.observe_a_death,
    Scene.shut_down,
    Scene.install,
    Scene.write,
]
DISTURBANCES = [Scene.disturb_delete, Scene.disturb_recreate, Scene.disturb_restart, Scene.disturb_restore]
MORE_DISTURBANCES = {
    Scene.cell: [Scene.disturb_interrupt, Scene.disturb_close],
    Scene.cell_with_variables_of_its_own: [Scene.disturb_interrupt],
    Scene.cell_with_checkpoint: [Scene.disturb_interrupt],
    Scene.cell_that_rolls_back: [Scene.disturb_interrupt],
    Scene.cell_in_a_new_context: [Scene.disturb_interrupt],
    Scene.create: [Scene.disturb_close],
    Scene.create_that_fails: [Scene.disturb_create_another, Scene.disturb_delete_another],
    Scene.create_again_that_fails: [Scene.disturb_create_another],
    Scene.fork: [Scene.disturb_close],
    Scene.fork_of_a_checkpoint: [Scene.disturb_remove_checkpoint],
    Scene.restore: [Scene.disturb_remove_checkpoint, Scene.disturb_close],
    Scene.install: [Scene.disturb_close],
}
KEEPS = {Scene.fork_of_a_checkpoint, Scene.restore, Scene.disturb_restore, Scene.disturb_remove_checkpoint}
Act = Callable[[Scene], Awaitable[None]]


async def tolerant(act: Act, scene: Scene, *, closes: bool) -> None:
    """Errors that say what has happened are right; that the server shuts down is so only if it does."""
    try:
        await act(scene)
    except ShuttingDown:
        assert closes, "it says that the server is shutting down"
    except PolyreplError:
        return


def play(world: World, operation: Act, disturbance: Act, step: int) -> bool:
    """One run: the disturbance comes after `step` steps of the operation. False where the operation has fewer."""
    loop, scene = world.loop, Scene(world)
    closes = disturbance is Scene.disturb_close
    with loop.running():
        loop.run(scene.prepare(keeps=operation in KEEPS or disturbance in KEEPS))
        loop.settle(0.01)
        scene.must_live.add(scene.original)
        if operation in (Scene.delete, Scene.shut_down):
            scene.must_live.clear()
        doing = loop.next(tolerant(operation, scene, closes=closes))
        for _ in range(step):
            if doing.done():
                break
            assert loop.step()
        is_over = doing.done()
        disturbing = loop.next(tolerant(disturbance, scene, closes=closes))
        loop.settle(QUIET)
        assert doing.done(), "the operation never ends"
        assert disturbing.done(), "the disturbance never ends"
        disturbing.result()
        doing.result()
        world.script.pop(NO_START, None)
        scene.check()
        if not closes:
            loop.run(scene.probe())
            for context_id in {context.id for context in world.engine.contexts}:
                loop.run(world.engine.delete_context(context_id))
        loop.settle(QUIET)
    world.check_nothing_left()
    return not is_over


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    configure("critical")
    yield
    configure("warning")


@pytest.fixture
def run_dir() -> Iterator[Path]:
    base = Path("/dev/shm")  # thousands of directories are made
    with tempfile.TemporaryDirectory(dir=base if os.access(base, os.W_OK) else None) as directory:
        yield Path(directory) / "run"


@pytest.fixture
def installer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.installations.installer_of", lambda *_: Installer())


def interleave(operation: Act, disturbance: Act, world: Callable[[], World]) -> None:
    for step in range(MOST_STEPS):
        try:
            goes_on = play(world(), operation, disturbance, step)
        except BaseException as error:
            error.add_note(f"{operation.__name__}, disturbed by {disturbance.__name__} at step {step}")
            raise
        if not goes_on:
            return
    raise AssertionError(f"{operation.__name__} has more than {MOST_STEPS} steps")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.__name__)
def test_nothing_is_lost_kept_or_told_wrongly(operation: Act, run_dir: Path, installer: None):
    world = World(run_dir)
    for disturbance in (*DISTURBANCES, *MORE_DISTURBANCES.get(operation, ())):
        ends = disturbance is Scene.disturb_close
        interleave(operation, disturbance, lambda: World(run_dir) if ends else world)  # noqa: B023
    world.close()
    gc.collect()  # what nobody has looked at is reported then
    assert not world.loop.errors, world.loop.errors


@pytest.mark.parametrize("operation", [Scene.cell_in_a_new_context, Scene.create], ids=lambda each: each.__name__)
def test_a_kernel_from_the_pool_has_one_owner(operation: Act, run_dir: Path):
    world = World(run_dir, pool_min=1, pool_max=1, pool_languages="python")
    assert world.pooled()
    for disturbance in DISTURBANCES[:3]:
        interleave(operation, disturbance, lambda: world)
    world.close()
