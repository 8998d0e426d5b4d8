"""What the interleaving test does to a context, and what it disturbs that with."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from engine.errors import KernelStartFailed
from engine.jupyter.messages import Channel
from tests.faults.scenes import Scene
from tests.unit.contexts.world import cell_request, request

NO_START = "start fails"  # in a script: no kernel can be started


async def cell(scene: Scene) -> None:
    await scene.run("cell")


async def cells(scene: Scene) -> None:
    first, second = await scene.execute("cell"), await scene.execute("cell 2")
    await first.wait()
    await second.wait()


async def cell_that_times_out(scene: Scene) -> None:
    await scene.run("hold", timeout=0.2)


async def cell_that_is_killed(scene: Scene) -> None:
    await scene.run("stubborn", timeout=0.2)


async def cell_that_dies(scene: Scene) -> None:
    await scene.run("die")


async def cell_with_variables_of_its_own(scene: Scene) -> None:
    if scene.original.kernel is not None:
        spec = copy.deepcopy(scene.original.kernel.spec)
        spec.metadata["polyrepl"]["env_vars"] = False
        scene.original.kernel.spec = spec
    await scene.run("cell", env_vars={"A": "b"})


async def cell_with_checkpoint(scene: Scene) -> None:
    await scene.run("cell", checkpoint=True)


async def cell_that_rolls_back(scene: Scene) -> None:
    await scene.run("fail", on_error="rollback")


async def cell_that_dies_and_rolls_back(scene: Scene) -> None:
    await scene.run("die", on_error="rollback")


async def cell_after_a_death(scene: Scene) -> None:
    await scene.die()
    await scene.run("cell")


async def cell_in_a_new_context(scene: Scene) -> None:
    await scene.run("cell", scene.new_id)


async def create(scene: Scene) -> None:
    await scene.engine.create_context(context_id=scene.new_id)


async def create_that_fails(scene: Scene) -> None:
    scene.world.script[NO_START] = []
    try:
        await scene.engine.create_context(context_id=scene.new_id)
    except KernelStartFailed:
        there = [context for context in scene.engine.contexts if context.id == scene.new_id]
        assert not there or there[0].is_used, "a context that could not be started is left"
        raise


async def create_again_that_fails(scene: Scene) -> None:
    await scene.die()
    scene.world.script[NO_START] = []
    await scene.engine.create_context(context_id=scene.id)


async def fork(scene: Scene) -> None:
    await scene.engine.branching.fork(scene.id, new_id=scene.new_id)


async def fork_of_a_checkpoint(scene: Scene) -> None:
    await scene.engine.branching.fork(scene.id, new_id=scene.new_id, checkpoint=scene.checkpoint)


async def fork_after_a_death(scene: Scene) -> None:
    await scene.die()
    await scene.engine.branching.fork(scene.id, new_id=scene.new_id)


async def keep(scene: Scene) -> None:
    await scene.engine.branching.keep(scene.id)


async def keep_after_a_death(scene: Scene) -> None:
    await scene.die()
    await scene.engine.branching.keep(scene.id)


async def cell_that_rolls_back_after_a_death(scene: Scene) -> None:
    await scene.die()
    await scene.run("fail", on_error="rollback")


async def restore(scene: Scene) -> None:
    await scene.engine.branching.restore(scene.id, scene.checkpoint)


async def restart(scene: Scene) -> None:
    (context,) = scene.engine.contexts.get(scene.id)
    await context.restart()


async def interrupt(scene: Scene) -> None:
    first, second = await scene.execute("hold"), await scene.execute("cell")
    await scene.engine.interrupt(second.id)
    await asyncio.sleep(0.01)
    await scene.engine.interrupt(first.id)
    await first.wait()


async def delete(scene: Scene) -> None:
    await scene.engine.delete_context(scene.id)


async def turn(scene: Scene) -> None:
    (context,) = scene.engine.contexts.get(scene.id)
    async with context.turn(2):
        await asyncio.sleep(0.01)


async def turn_after_a_cell(scene: Scene) -> None:
    execution = await scene.execute("hold", timeout=0.2)
    await turn(scene)
    await execution.wait()


async def ask(scene: Scene) -> None:
    (context,) = scene.engine.contexts.get(scene.id)
    await context.ask("variables_request", {}, patience=1, timeout=1)


async def observe(scene: Scene) -> None:
    client = scene.client()
    await asyncio.sleep(0)  # a websocket is accepted
    scene.original.observe(client)
    await asyncio.sleep(0)
    scene.original.relays.relay(client, cell_request("cell of a client"))
    await asyncio.sleep(0.01)
    scene.leave(client)
    assert client.done == 1


async def observe_a_cell_that_holds(scene: Scene) -> None:
    client = scene.client()
    scene.original.observe(client)
    scene.original.relays.relay(client, cell_request("hold"))
    scene.original.relays.relay(client, cell_request("cell of a client"))
    await asyncio.sleep(0.01)
    scene.original.relays.relay(client, request("interrupt_request", Channel.CONTROL))
    await asyncio.sleep(1)
    scene.leave(client)
    assert client.done == 3


async def observe_and_stay(scene: Scene) -> None:
    client = scene.client()
    await asyncio.sleep(0)
    scene.original.observe(client)


async def observe_a_death(scene: Scene) -> None:
    client = scene.client()
    scene.original.observe(client)
    await asyncio.sleep(0)
    scene.original.relays.relay(client, cell_request("die"))
    await asyncio.sleep(0.01)
    scene.leave(client)


async def shut_down(scene: Scene) -> None:
    client = scene.client()
    scene.original.observe(client)
    for _ in range(20):  # a slow client
        await asyncio.sleep(0)
    scene.original.relays.relay(client, request("shutdown_request", Channel.CONTROL))
    await asyncio.sleep(0.01)
    scene.leave(client)


async def install(scene: Scene) -> None:
    await scene.engine.installations.start(scene.id, ["nothing"]).wait()


async def write(scene: Scene) -> None:
    async def parts() -> Any:
        yield b"a part"

    await scene.engine.files(scene.id).write("file", parts())


# What disturbs them


async def disturb_delete(scene: Scene) -> None:
    scene.must_live.clear()
    for context_id in (scene.id, scene.new_id):
        await scene.delete_if_there(context_id)


async def disturb_recreate(scene: Scene) -> None:
    """Delete, and make a new context of the id before the old one is gone."""
    scene.must_live.clear()
    deleting = [asyncio.ensure_future(scene.delete_if_there(each)) for each in (scene.id, scene.new_id)]
    await asyncio.sleep(0)
    try:
        for context_id in (scene.id, scene.new_id):
            scene.must_live.add(await scene.engine.create_context(context_id=context_id))
    finally:
        await asyncio.gather(*deleting)


async def disturb_restart(scene: Scene) -> None:
    for context in list(scene.engine.contexts):
        scene.restarted.add(context)
        await context.restart()


async def disturb_restart_and_run(scene: Scene) -> None:
    """A restart, and a cell that comes right after it, before all else that could go on."""
    (context,) = scene.engine.contexts.get(scene.id)
    running = scene.world.loop.next(scene.execute("cell after the restart"))
    restarting = scene.world.loop.next(context.restart())
    await asyncio.wait({running, restarting})
    await (await running).wait()
    await restarting


async def disturb_restore(scene: Scene) -> None:
    await scene.engine.branching.restore(scene.id, scene.checkpoint)


async def disturb_interrupt(scene: Scene) -> None:
    for context in scene.engine.contexts:
        await context.interrupt(context.current)


async def disturb_create_another(scene: Scene) -> None:
    scene.world.script.pop(NO_START, None)
    await scene.engine.create_context(context_id=scene.other_id)


async def disturb_death(scene: Scene) -> None:
    await scene.die()


async def disturb_delete_another(scene: Scene) -> None:
    scene.must_live.clear()
    await scene.delete_if_there(scene.id)


async def disturb_remove_checkpoint(scene: Scene) -> None:
    scene.engine.branching.remove(scene.id, scene.checkpoint)


async def disturb_close(scene: Scene) -> None:
    scene.must_live.clear()
    await scene.engine.aclose()
