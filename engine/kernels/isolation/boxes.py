"""Boxes: those that are ready before a context needs one, as many as are in demand, and those that are made at once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec

from engine.errors import KernelStartFailed
from engine.kernels.isolation.box import Box
from engine.kernels.isolation.view import View
from engine.kernels.provisioners import Zygote, ZygoteFailed, Zygotes, ZygoteState
from engine.log import get_logger
from engine.workspaces import RunDir, Slot

_LEAST = 4  # spares
_MOST = 32
_DEMAND_SECONDS = 3.0  # as many spares as were taken in this time: contexts come in bursts
_QUIET = 0.05  # seconds after the latest take, in which the new context has the processors
_AT_ONCE = 2
_TICK = 1.0  # seconds between looks at demand that falls
_PAUSE = 5.0  # seconds before the next try, after a failure
_SPAWNERS = 2  # that are asked for one box, if the first turns out to be of no use
_TITLE = "isolation"


class SpareBox:
    """A slot with a box for its first kernel."""

    def __init__(self, slot: Slot, box: Box, run_dir: RunDir) -> None:
        self.slot = slot
        self.box = box
        self._run_dir = run_dir
        self._removing: asyncio.Task[bool] | None = None
        slot.spare = self

    @property
    def is_ready(self) -> bool:
        return self.box.is_ready

    def use(self) -> Box:
        """The box, which is the caller's from now on."""
        self.slot.spare = None
        return self.box

    def discard(self) -> None:
        """End the box; its directory goes in the background."""
        if self.slot.spare is self:
            self.slot.spare = None
            self.box.close("it is not needed")
            self._removing = asyncio.create_task(self._run_dir.remove(self.box.directory))


class Boxes:
    """`start` and `aclose` begin and end the work in the background. `network`: of contexts for which nothing else was asked."""

    def __init__(self, run_dir: RunDir, view: View, spawners: Zygotes, *, network: str) -> None:
        self._run_dir = run_dir
        self._view = view
        self._spawners = spawners
        self._network = network
        self._root = run_dir.path / "root"  # where boxes mount theirs, each in a namespace of its own
        self._spares: deque[SpareBox] = deque()
        self._taken: deque[float] = deque(maxlen=_MOST)
        self._making: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._failed_at = 0.0
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Boxes {len(self._spares)} of {self._wanted()} spares, {len(self._making)} being made>"

    @property
    def spares(self) -> int:
        """How many are ready."""
        return len(self._spares)

    def acquire_slot(self) -> Slot | None:
        """A slot whose box is ready; None if there is none."""
        self._taken.append(time.monotonic())
        self._changed.set()
        while self._spares:
            spare = self._spares.popleft()
            if spare.is_ready:
                return spare.slot
            self._end(spare)
        return None

    async def acquire(self, slot: Slot, spec: KernelSpec, extra: Iterable[Path], *, network: str) -> Box:
        """A box that shows `slot` and `extra`, writable, for a kernel of this kernelspec.

        Raises KernelStartFailed that names the part that fails."""
        extra = list(extra)
        spare = slot.spare
        if isinstance(spare, SpareBox):
            fits = spare.is_ready and network == spare.box.network and not extra
            if fits and await asyncio.to_thread(self._view.is_common, spec) and spare.is_ready:
                return spare.use()
            spare.discard()
        return await self._make(slot, spec, extra, network=network)

    async def make_for_tools(self, slot: Slot, extra: Iterable[Path], read: Iterable[str]) -> Box:
        """One with the machine's network, for package tools. Raises KernelStartFailed."""
        return await self._make(slot, None, list(extra), network="open", read=read)

    async def make_for_one(self, slot: Slot, network: str | None = None) -> Box:
        """One as a context has it if nothing else is asked for, for a program of ours. Raises KernelStartFailed."""
        return await self._make(slot, None, [], network=network or self._network)

    async def _make(
        self, slot: Slot, spec: KernelSpec | None, extra: list[Path], *, network: str, read: Iterable[str] = ()
    ) -> Box:
        name = _TITLE if spec is None else spec.display_name
        for _ in range(_SPAWNERS):
            spawner = await self._spawners.settled()
            if spawner is None:
                raise KernelStartFailed(name, f"its isolation failed: the spawner: {self._spawners.describe()}")
            try:
                return await self._make_by(spawner, slot, spec, extra, network=network, read=read)
            except ZygoteFailed as error:
                reason = str(error)
                if spawner.state is ZygoteState.READY:  # another one would do no better
                    break
        raise KernelStartFailed(name, f"its isolation failed: {reason}")

    async def _make_by(
        self,
        spawner: Zygote,
        slot: Slot,
        spec: KernelSpec | None,
        extra: list[Path],
        *,
        network: str,
        read: Iterable[str],
    ) -> Box:
        directory = self._run_dir.new_kernel_dir_of(slot)
        write = [slot.path, directory, *extra]
        box = Box(slot, directory, network=network, written=map(str, write))
        try:
            self._root.mkdir(mode=0o700, exist_ok=True)
            plan = await asyncio.to_thread(
                self._view.plan, self._root, spec, write, network=network, uid=slot.uid, read=read
            )
            await box.make(spawner, plan)
        except BaseException:
            box.close()
            await asyncio.shield(self._run_dir.remove(directory))
            raise
        return box

    def start(self) -> None:
        """Begin to have spares, in the background."""
        self._run_dir.spares = self
        self._runner = asyncio.create_task(self._run())

    async def aclose(self) -> None:
        """End the spares, and those that are being made; boxes with kernels end with these. May be called again."""
        self._is_closed = True
        working = {*self._making, *({self._runner} if self._runner is not None else ())}
        for task in working:
            task.cancel()
        if working:
            await asyncio.wait(working)
        while self._spares:
            self._end(self._spares.popleft())
        if self._making:
            await asyncio.wait(self._making)

    def _wanted(self) -> int:
        since = time.monotonic() - _DEMAND_SECONDS
        return max(_LEAST, min(_MOST, sum(when > since for when in self._taken)))

    def _wait(self) -> float:
        """Seconds until spares may be made."""
        now = time.monotonic()
        quiet = self._taken[-1] + _QUIET - now if self._taken else 0.0
        return max(quiet, self._failed_at + _PAUSE - now if self._failed_at else 0.0)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            wait = self._wait()
            if wait <= 0:
                self._adjust()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait if wait > 0 else _TICK):
                    await self._changed.wait()
                    if self._wait() > 0:
                        await asyncio.sleep(_QUIET)

    def _adjust(self) -> None:
        for spare in [each for each in self._spares if not each.is_ready]:
            self._spares.remove(spare)
            self._end(spare)
        wanted = self._wanted()
        if len(self._spares) > wanted:
            self._end(self._spares.popleft())
        while len(self._making) < _AT_ONCE and len(self._spares) + len(self._making) < wanted:
            self._begin(self._make_spare())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._making.add(task)
        task.add_done_callback(self._note_done)

    def _note_done(self, task: asyncio.Task[None]) -> None:
        self._making.discard(task)
        self._changed.set()

    async def _make_spare(self) -> None:
        slot = None
        try:
            slot = self._run_dir.new_slot()
            box = await self._make(slot, None, [], network=self._network)
        except BaseException as error:
            if slot is not None:
                await asyncio.shield(self._run_dir.remove_slot(slot))
            if not isinstance(error, (KernelStartFailed, OSError)):
                raise
            self._failed_at = time.monotonic()
            reason = error.message if isinstance(error, KernelStartFailed) else error.strerror
            get_logger().warning("no_spare_box", reason=reason)
            return
        self._failed_at = 0.0
        self._spares.append(SpareBox(slot, box, self._run_dir))

    def _end(self, spare: SpareBox) -> None:
        spare.discard()
        if not self._is_closed:
            self._begin(self._remove(spare.slot))

    async def _remove(self, slot: Slot) -> None:
        await self._run_dir.remove_slot(slot)
