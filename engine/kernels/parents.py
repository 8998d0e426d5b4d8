"""Parents of kernels: the zygotes that they are forked from, and the spawners that start programs, in boxes and outside."""

from __future__ import annotations

import os
import sys
from weakref import WeakKeyDictionary

from jupyter_client.kernelspec import KernelSpec

from engine.kernels.environment import zygote_env
from engine.kernels.kernel import Kernel
from engine.kernels.kernelspecs import KernelSpecs, honours
from engine.kernels.provisioners import Waker, World, Zygote, Zygotes
from engine.metrics import Metrics
from engine.resources import data_dir
from engine.settings import Settings
from engine.workspaces import RunDir

_CONNECTION_ARGUMENTS = ("-f", "{connection_file}")  # what a kernel's command ends with


class Parents:
    """A parent has its kernels in boxes, or outside: from a box's process namespace an ordinary user's has no way back.

    `plain` and `boxed`: the spawners. `world`: what those of boxes enter."""

    def __init__(
        self,
        settings: Settings,
        kernelspecs: KernelSpecs,
        *,
        run_dir: RunDir,
        metrics: Metrics,
        waker: Waker,
        world: World,
    ) -> None:
        self._settings = settings
        self._kernelspecs = kernelspecs
        self._run_dir = run_dir
        self._metrics = metrics
        self._waker = waker
        self._world = world
        self._server_env = dict(os.environ)
        self._zygotes: dict[tuple[str, bool], Zygotes] = {}
        self._origins: WeakKeyDictionary[Kernel, tuple[Zygote, bool]] = WeakKeyDictionary()
        self.plain = self._new_spawners(None)
        self.boxed = self._new_spawners(world)

    def _new_spawners(self, world: World | None) -> Zygotes:
        return Zygotes(
            [sys.executable, "-I", "-S", str(data_dir() / "runtimes" / "python" / "spawn.py")],
            preload=(),
            env={},
            timeout=self._settings.kernel_start_timeout,
            metrics=None,
            world=world,
        )

    @property
    def pair(self) -> tuple[Zygotes, Zygotes]:
        """Both spawners."""
        return self.plain, self.boxed

    def spawners(self, *, boxed: bool) -> Zygotes:
        """What starts programs."""
        return self.boxed if boxed else self.plain

    def zygotes(self, spec: KernelSpec, *, boxed: bool) -> Zygotes | None:
        """What kernels of this kernelspec are forked from; None if they are not forked."""
        if not self._settings.zygote or not honours(spec, "fork"):
            return None
        key = spec.resource_dir, boxed
        zygotes = self._zygotes.get(key)
        if zygotes is None:
            zygotes = self._zygotes[key] = Zygotes(
                self._kernelspecs.command(spec)[: -len(_CONNECTION_ARGUMENTS)],
                preload=self._settings.preload,
                env=zygote_env(self._settings, run_dir=self._run_dir.path, server_env=self._server_env),
                timeout=self._settings.kernel_start_timeout,
                metrics=self._metrics,
                waker=self._waker,
                world=self._world if boxed else None,
            )
        return zygotes

    def note_fork(self, kernel: Kernel, zygote: Zygote, *, boxed: bool) -> None:
        """The kernel is a copy of the zygote."""
        self._origins[kernel] = zygote, boxed

    def note_branch(self, kernel: Kernel, source: Kernel) -> None:
        """The kernel is a copy of another one."""
        if source in self._origins:
            self._origins[kernel] = self._origins[source]

    def is_current(self, kernel: Kernel, *, boxed: bool) -> bool:
        """Whether a kernel forked now would be a copy of the same zygote."""
        zygote, boxed = self._origins.get(kernel, (None, boxed))
        zygotes = self._zygotes.get((kernel.spec.resource_dir, boxed))
        if zygotes is None:
            return True
        return zygotes.is_current(zygote) if zygote is not None else not zygotes.is_ready

    async def aclose(self) -> None:
        """End all, and with them their kernels. May be called again."""
        for zygotes in (*self._zygotes.values(), self.plain, self.boxed):
            await zygotes.aclose()
