"""One context of one run of the interleaving test, and what must be true of it afterwards."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from engine.contexts.context import Context
from engine.contexts.execution import Execution
from engine.errors import ContextNotFound
from engine.models import Done
from tests.unit.contexts.world import Client, World, codes, fake_of


class Scene:
    """One context of one run. Its context `c` has run `mark`, so that the state that it keeps or loses can be told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.engine = world.engine
        number = next(world.numbers)
        self.id, self.new_id, self.other_id = (f"{name}{number}" for name in "cno")
        self.executions: list[Execution] = []
        self.codes: dict[Execution, str] = {}
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
        self.codes[execution] = code
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

    async def die(self) -> None:
        if self.original.kernel is not None:
            fake_of(self.original.kernel)._on_death(-9)
            await self.original.kernel.exited

    async def delete_if_there(self, context_id: str) -> None:
        with contextlib.suppress(ContextNotFound):
            await self.engine.delete_context(context_id)

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
        roots = {each.workspace.slot.path for each in (*living, *pooled)}
        assert set(run_dir.contexts.iterdir()) == roots, "a directory has no owner"
        places = {checkpoint.branch.workspace.root for checkpoint in kept}
        assert set(run_dir.contexts.glob("*/*/checkpoints-*/*")) == places, "a checkpoint's directory has no owner"
        assert len(os.listdir(run_dir.kernels)) == len(owned)
        for context in living:
            assert context.state in ("idle", "dead"), context
            assert context.is_idle, context
        for client in self.clients:
            assert client.reason is not None or self.original in living, "a client of a context that is gone is kept"

    async def probe(self) -> None:
        """Ask each context what it has, and whether it tells that; then each checkpoint."""
        for context in list(self.engine.contexts):
            await self._probe(context)
            for checkpoint in context.checkpoints:
                await context.restore(checkpoint)
                execution = await self.run("probe again", context.id)
                has_run = codes(fake_of(context.kernel))[:-1] != []
                assert (execution.context_state == "preserved") == has_run, (checkpoint, execution.context_state)

    async def _probe(self, context: Context) -> None:
        before = [execution for execution in self.executions if execution.context_id == context.id]
        execution = await self.run("probe", context.id)
        assert execution.status == "ok", execution.error
        ran = codes(fake_of(context.kernel))
        assert ran[-1] == "probe", "another kernel answers than the context's own"
        has_state = "mark" in ran
        state = execution.context_state
        assert state != "preserved" or len(ran) > 1, "its kernel has run nothing"
        if context is self.original:
            told = any(each.context_state == "restarted" and self.codes[each] in ran for each in before)
            assert (state == "preserved") == (has_state or told), (state, ran)
            assert state != "created", ran
        elif {context, self.original} & self.restarted or any(each.context_state == "lost" for each in before):
            assert state == "preserved" or not has_state, (state, ran)
        else:
            assert state == ("preserved" if len(ran) > 1 else "created"), "it is new, and nothing was lost"
        assert "probe" not in ran[:-1]
