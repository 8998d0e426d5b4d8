"""Every operation on contexts, with a deletion, a restart and the like at each of its steps: nothing is lost, kept or told wrongly.

The kernels are scripted and the loop is driven by the test, so that a combination that fails does so in every run. A failure names
the operation, what disturbed it, and the step."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import PolyreplError, ShuttingDown
from engine.log import configure
from tests.faults import acts
from tests.faults.acts import NO_START
from tests.faults.scenes import Scene
from tests.unit.contexts.world import QUIET, Installer, World

MOST_STEPS = 400


OPERATIONS = [
    acts.cell,
    acts.cells,
    acts.cell_that_times_out,
    acts.cell_that_is_killed,
    acts.cell_that_dies,
    acts.cell_with_variables_of_its_own,
    acts.cell_with_checkpoint,
    acts.cell_that_rolls_back,
    acts.cell_that_dies_and_rolls_back,
    acts.cell_after_a_death,
    acts.cell_in_a_new_context,
    acts.create,
    acts.create_that_fails,
    acts.create_again_that_fails,
    acts.fork,
    acts.fork_after_a_death,
    acts.fork_of_a_checkpoint,
    acts.keep,
    acts.keep_after_a_death,
    acts.cell_that_rolls_back_after_a_death,
    acts.restore,
    acts.restart,
    acts.interrupt,
    acts.delete,
    acts.turn,
    acts.turn_after_a_cell,
    acts.ask,
    acts.observe,
    acts.observe_a_cell_that_holds,
    acts.observe_and_stay,
    acts.observe_a_death,
    acts.shut_down,
    acts.install,
    acts.write,
]
DISTURBANCES = [acts.disturb_delete, acts.disturb_recreate, acts.disturb_restart, acts.disturb_restore]
MORE_DISTURBANCES = {
    acts.cell: [acts.disturb_interrupt, acts.disturb_restart_and_run, acts.disturb_close, acts.disturb_death],
    acts.cell_with_variables_of_its_own: [acts.disturb_interrupt],
    acts.cell_with_checkpoint: [acts.disturb_interrupt, acts.disturb_death],
    acts.cell_that_rolls_back: [acts.disturb_interrupt, acts.disturb_restart_and_run, acts.disturb_death],
    acts.cell_that_times_out: [acts.disturb_death],
    acts.cell_that_dies_and_rolls_back: [acts.disturb_death],
    acts.cell_in_a_new_context: [acts.disturb_interrupt],
    acts.create: [acts.disturb_close],
    acts.create_that_fails: [acts.disturb_create_another, acts.disturb_delete_another],
    acts.create_again_that_fails: [acts.disturb_create_another],
    acts.fork: [acts.disturb_close, acts.disturb_death],
    acts.fork_of_a_checkpoint: [acts.disturb_remove_checkpoint, acts.disturb_death],
    acts.keep: [acts.disturb_death],
    acts.restore: [
        acts.disturb_remove_checkpoint,
        acts.disturb_restart_and_run,
        acts.disturb_close,
        acts.disturb_death,
    ],
    acts.restart: [acts.disturb_death],
    acts.turn: [acts.disturb_restart_and_run],
    acts.observe: [acts.disturb_restart_and_run, acts.disturb_death],
    acts.install: [acts.disturb_close],
}
CALM = {
    acts.cell,
    acts.cells,
    acts.cell_that_dies,
    acts.cell_after_a_death,
    acts.create,
    acts.ask,
    acts.turn,
    acts.observe,
}
KEEPS = {acts.fork_of_a_checkpoint, acts.restore, acts.disturb_restore, acts.disturb_remove_checkpoint}
Act = Callable[[Scene], Awaitable[None]]


async def tolerant(act: Act, scene: Scene, *, closes: bool, is_strict: bool = False) -> None:
    """Errors that say what has happened are right; that the server shuts down is so only if it does.

    `is_strict`: nothing that happens here could keep this from being done."""
    try:
        await act(scene)
    except ShuttingDown:
        assert closes, "it says that the server is shutting down"
    except PolyreplError:
        if is_strict:
            raise


def play(world: World, operation: Act, disturbance: Act, step: int) -> bool:
    """One run: the disturbance comes after `step` steps of the operation. False where the operation has fewer."""
    loop, scene = world.loop, Scene(world)
    closes = disturbance is acts.disturb_close
    with loop.running():
        loop.run(scene.prepare(keeps=operation in KEEPS or disturbance in KEEPS))
        loop.settle(0.01)
        scene.must_live.add(scene.original)
        if operation in (acts.delete, acts.shut_down):
            scene.must_live.clear()
        doing = loop.next(tolerant(operation, scene, closes=closes))
        for _ in range(step):
            if doing.done():
                break
            assert loop.step()
        is_over = doing.done()
        is_strict = operation in CALM and disturbance is acts.disturb_restart
        disturbing = loop.next(tolerant(disturbance, scene, closes=closes, is_strict=is_strict))
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
        ends = disturbance is acts.disturb_close
        interleave(operation, disturbance, lambda: World(run_dir) if ends else world)  # noqa: B023
    world.close()
    gc.collect()  # what nobody has looked at is reported then
    assert not world.loop.errors, world.loop.errors


@pytest.mark.parametrize("operation", [acts.cell_in_a_new_context, acts.create], ids=lambda each: each.__name__)
def test_a_kernel_from_the_pool_has_one_owner(operation: Act, run_dir: Path):
    world = World(run_dir, pool_min=1, pool_max=1, pool_languages="python")
    assert world.pooled()
    for disturbance in DISTURBANCES[:3]:
        interleave(operation, disturbance, lambda: world)
    world.close()
