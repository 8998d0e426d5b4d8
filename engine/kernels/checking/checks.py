"""Checks: type checks of cells, one after the other, by one process that is there while somebody asks for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from engine.kernels import Backend, Kernel
from engine.kernels.checking.cells import PastCells
from engine.kernels.checking.process import CheckerFailed, CheckerProcess
from engine.kernels.checking.sources import Sources
from engine.log import get_logger
from engine.models import Diagnostic
from engine.settings import Settings
from engine.workspaces import RunDir, Workspace

_DIAGNOSTIC_BYTES = 300  # without its message
_LEAST = 0.05  # of a deadline, that a check is begun with
_PAUSE = 60.0  # seconds in which no cell is checked of a kernel whose cell has ended the process
_UNRESOLVED = (2306, 2307, 2882)  # "is not a module", "Cannot find module", the same "for side-effect import"
_OTHER_LANGUAGE = "Only cells of our TypeScript kernels are checked."


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check: `diagnostics`, or why there are none."""

    diagnostics: list[Diagnostic] | None = None
    reason: str | None = None

    @property
    def size(self) -> int:
        """Bytes of memory that it takes, roughly."""
        return sum(_DIAGNOSTIC_BYTES + len(each.message) for each in self.diagnostics) if self.diagnostics else 0

    def of_run(self, *, is_ok: bool) -> Checked:
        """The same once the cell has run. One that reached its end has found its modules, wherever they were."""
        if not is_ok or not self.diagnostics:
            return self
        return Checked([each for each in self.diagnostics if each.code not in _UNRESOLVED])


NOT_ASKED = Checked()
"""Nobody wants to know."""
_FAILED = Checked(reason="The type checker failed on this code.")


class Checks:
    """`note` remembers the cells of kernels. The process is started by the first check; it ends after a time without one, and with
    the engine.

    Invariant: `check` returns within the setting check_timeout, whatever the process does. What it leaves behind is ended by a task of
    this object, which nobody waits for but `aclose`."""

    def __init__(self, settings: Settings, backends: Sequence[Backend], run_dir: RunDir) -> None:
        self._settings = settings
        self._backends = backends
        self._run_dir = run_dir
        self._cells: WeakKeyDictionary[Kernel, PastCells] = WeakKeyDictionary()
        self._pauses: WeakKeyDictionary[Kernel, float] = WeakKeyDictionary()
        self._turn = asyncio.Lock()
        self._process: CheckerProcess | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Checks {self._process}, {len(self._tasks)} under way>"

    def note(self, kernel: Kernel, code: str) -> None:
        """The kernel is given this cell."""
        if kernel.types is None:
            return
        cells = self._cells.get(kernel)
        if cells is None:
            cells = self._cells[kernel] = PastCells()
        cells.add(code)

    def begin(self, kernel: Kernel, code: str, workspace: Workspace) -> asyncio.Task[Checked]:
        """Check a cell that the kernel is about to get; `note` it afterwards. The task ends within the setting check_timeout."""
        deadline = time.monotonic() + self._settings.check_timeout
        past = self._cells.get(kernel) or PastCells()
        request = {
            "context": str(workspace.root),
            "runtime": kernel.types,
            "cells": [*past.codes, code],
            "partial": past.is_partial,
        }
        return self._spawn(self._check(kernel, request, workspace, deadline))

    async def _check(self, kernel: Kernel, request: dict[str, Any], workspace: Workspace, deadline: float) -> Checked:
        if kernel.types is None:
            return Checked(reason=_OTHER_LANGUAGE)
        if self._closed:
            return Checked(reason="The server is shutting down.")
        if self._pauses.get(kernel, 0.0) > time.monotonic():
            return Checked(reason="A cell of this context has stopped the type checker. Try again in a minute.")
        work = self._spawn(self._serve(kernel, request, workspace, deadline))
        await asyncio.wait({work}, timeout=max(0.0, deadline - time.monotonic()))
        if not work.done() or work.cancelled():
            return Checked(reason=self._late())
        checked: Checked = work.result()
        return checked

    async def _serve(self, kernel: Kernel, request: dict[str, Any], workspace: Workspace, deadline: float) -> Checked:
        """In its turn. It may come too late for whoever asked, and ends then, too."""
        async with self._turn:
            try:
                process = await self._ready()
                seconds = deadline - time.monotonic()
                if seconds < _LEAST:
                    return Checked(reason=self._late())
                return await self._ask(process, kernel, {**request, "seconds": seconds}, workspace, deadline)
            except CheckerFailed as error:
                get_logger().warning("checker_failed", reason=str(error))
                return Checked(reason=f"The type checker failed: {error}.")
            except Exception:  # a fault of ours, which must not cost the cell its result, nor the context its kernel
                get_logger().exception("check_failed")
                return _FAILED
            finally:
                self._rest()

    async def _ask(
        self, process: CheckerProcess, kernel: Kernel, request: dict[str, Any], workspace: Workspace, deadline: float
    ) -> Checked:
        try:
            # It ends a check by itself at its deadline. One that it cannot end has it killed when this time has passed again.
            async with asyncio.timeout(deadline - time.monotonic() + self._settings.check_timeout):
                said = await process.ask(request, Sources(workspace, deadline=deadline))
        except TimeoutError:
            await self._drop(process, kernel)
            return Checked(reason=self._late())
        except CheckerFailed:
            await self._drop(process, kernel)
            raise
        except BaseException:
            await asyncio.shield(process.aclose())  # it would answer the next one with this one's answer
            raise
        if said.get("late"):
            return Checked(reason=self._late())
        try:
            return Checked(msgspec.convert(said["diagnostics"], list[Diagnostic]))
        except (KeyError, msgspec.ValidationError):
            get_logger().warning("check_failed")  # what it says of it may hold code
            return _FAILED

    async def _drop(self, process: CheckerProcess, kernel: Kernel) -> None:
        """End the process: this kernel's cell has stopped it."""
        self._pauses[kernel] = time.monotonic() + _PAUSE
        await process.aclose()

    async def _ready(self) -> CheckerProcess:
        if self._timer is not None:
            self._timer.cancel()
        if self._process is not None and not self._process.is_alive:
            await self._process.aclose()
            self._process = None
        if self._process is None:
            process = CheckerProcess(self._settings, self._backends, self._run_dir)
            await process.start()
            self._process = process
            get_logger().info("checker_started", pid=process.pid)
        return self._process

    def _rest(self) -> None:
        """End the process if nobody needs it for a while."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._settings.check_idle_timeout, lambda: self._spawn(self._end()))

    async def _end(self) -> None:
        async with self._turn:
            process, self._process = self._process, None
            if process is not None:
                await process.aclose()

    def _late(self) -> str:
        return f"The type check took longer than {self._settings.check_timeout:g} s, the setting check_timeout."

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """End the process and what is under way. May be called again."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in (tasks := set(self._tasks)):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        process, self._process = self._process, None
        if process is not None:
            await process.aclose()
