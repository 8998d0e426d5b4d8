"""The local backend: kernels on this machine. How one is run and how it is reached is decided here, and nowhere else."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import zmq
from jupyter_client.kernelspec import KernelSpec

from engine.errors import FieldError, KernelStartFailed
from engine.kernels.backend import Backend, EnclosedTool, FileHolder
from engine.kernels.channels import Channels, MakeChannels, Receiver, StreamChannels, ZmqChannels
from engine.kernels.compiled import CompiledCode, cache_of
from engine.kernels.context_packages import package_programs, package_variables
from engine.kernels.environment import kernel_env, zygote_env
from engine.kernels.isolation import Box, Isolator
from engine.kernels.kernel import Kernel
from engine.kernels.kernelspecs import KernelSpecs, honours, is_ours
from engine.kernels.limits import confinement_of, memory_of
from engine.kernels.provisioners import (
    Confinement,
    ForkProvisioner,
    MakeProvisioner,
    ProgramProvisioner,
    Provisioner,
    SpawnProvisioner,
    Waker,
    World,
    Zygote,
    Zygotes,
)
from engine.kernels.readable import Readable
from engine.languages import Language
from engine.log import get_logger
from engine.metrics import Metrics
from engine.options import Isolation
from engine.resources import data_dir
from engine.settings import Settings, Tier
from engine.validation import CACHE_VARIABLE, IS_ENV_NAME, KERNEL_VARIABLE, OWN_VARIABLES
from engine.workspaces import FileLimits, LocalFiles, RunDir, Workspace

_CONNECTION_ARGUMENTS = ("-f", "{connection_file}")  # what a kernel's command ends with


class Local(Backend):
    """Forks kernels where possible, and spawns the others. `provisioner` and `channels` replace its own ways, for tests."""

    name = "local"
    title = "this machine"
    where = "on this machine"

    def __init__(
        self,
        settings: Settings,
        *,
        kernelspecs: KernelSpecs,
        metrics: Metrics,
        provisioner: MakeProvisioner | None = None,
        channels: MakeChannels | None = None,
    ) -> None:
        super().__init__(settings, metrics=metrics)
        self._kernelspecs = kernelspecs
        self._make_provisioner = provisioner
        self._channels = _LocalChannels(settings.max_contexts)
        self._make_channels: MakeChannels = channels or self._channels
        self._server_env = dict(os.environ)
        self._spawns = provisioner is None and sys.platform == "linux" and bool(sys.executable)
        self._can_fork = settings.zygote and self._spawns
        self._zygotes: dict[tuple[str, bool], Zygotes] = {}
        self._spawners: Zygotes | None = None
        self._boxers: Zygotes | None = None  # the same for boxes
        self.isolator = Isolator(settings, Readable(settings), is_on=self._spawns)
        self._boxes: WeakKeyDictionary[Kernel, Box] = WeakKeyDictionary()
        self._compiled: CompiledCode | None = None
        self._origins: WeakKeyDictionary[Kernel, Zygote] = WeakKeyDictionary()  # which they are copies of
        self._parents: WeakKeyDictionary[Kernel, Zygote] = WeakKeyDictionary()  # zygote or spawner
        self._waker: Waker | None = None
        self._file_limits = FileLimits(
            file_bytes=settings.max_file_bytes, files=settings.max_context_files, bytes=settings.max_context_bytes
        )

    def open(self, run_dir: RunDir, waker: Waker) -> None:
        super().open(run_dir, waker)
        self._waker = waker
        if self._make_provisioner is None:
            self._compiled = CompiledCode(self, run_dir)
        if self._spawns:
            self._spawners = self._new_spawners(None)
            self._boxers = self._new_spawners(self.isolator.world)

    async def ready(self) -> None:
        await self.isolator.open(self.run_dir, self._spawners, self._boxers)

    def resolve_isolation(self, tier: str | None, network: str | None) -> Isolation | None:
        found = self.isolator.resolve(tier, network)
        return None if found == self.isolator.default else found

    def isolation_of(self, workspace: Workspace) -> Isolation:
        return self.isolator.of(workspace)

    async def enclose_tool(
        self, workspace: Workspace, staging: Path, limits: Confinement, read: Sequence[str]
    ) -> EnclosedTool:
        tier = self.isolator.of(workspace).tier
        if tier is Tier.NONE:
            return EnclosedTool(limits)
        spawner = await self.isolator.spawner(tier)
        if spawner is None:
            raise KernelStartFailed("The installation", "its isolation failed: the spawner does not start")
        confinement, box = await self.isolator.enclose_tool(workspace, staging, limits, read)
        return EnclosedTool(confinement, spawner, box)

    def _new_spawners(self, world: World | None) -> Zygotes:
        return Zygotes(
            [sys.executable, "-I", "-S", str(data_dir() / "runtimes" / "python" / "spawn.py")],
            preload=(),
            env={},
            timeout=self._settings.kernel_start_timeout,
            metrics=None,
            world=world,
        )

    def spec(self, language: Language) -> KernelSpec:
        return self._kernelspecs.find(language.kernel_name)

    def problem(self, language: Language) -> str | None:
        return self._kernelspecs.problem(language.kernel_name)

    def version(self, language: Language) -> str | None:
        return self._kernelspecs.version(language.kernel_name)

    def wrong_settings(self) -> list[FieldError]:
        settings, given = self._settings, self._settings.model_fields_set
        wrong = []
        for field, others in (
            ("kernelspecs", {"*"}),
            ("tcp_kernelspecs", set(Settings.model_fields["tcp_kernelspecs"].default)),
        ):
            if field in given:
                installed = self._kernelspecs.installed()
                wrong += [
                    FieldError(field, f"no kernelspec {name!r} is installed; installed: {', '.join(installed)}")
                    for name in getattr(settings, field)
                    if name not in others and name not in installed
                ]
        wrong += [
            FieldError("preload", f"{name!r} is no name of a module; allowed: names such as numpy or os.path")
            for name in settings.preload
            if not all(part.isidentifier() for part in name.split("."))
        ]
        wrong += [
            FieldError("kernel_env", f"{name!r} is no name of a variable; allowed: letters, digits and _")
            for name in settings.kernel_env
            if not IS_ENV_NAME.fullmatch(name)
        ]
        return wrong

    async def _start(
        self, spec: KernelSpec, language: Language, workspace: Workspace, *, patient: bool
    ) -> tuple[Kernel, str]:
        await workspace.ready()
        if self._make_provisioner is not None:
            directory = self.run_dir.new_kernel_dir()
            return await self._run(self._make_provisioner(spec), spec, language, workspace, directory), "spawn"
        kernel = await self._fork(spec, language, workspace, patient=patient)
        if kernel is not None:
            return kernel, "zygote"
        if self._compiled is not None and honours(spec, "compile_cache"):
            await self._compiled.prepare(spec, language, workspace, patient=patient)
        return await self.start_program(spec, language, workspace), "spawn"

    async def start_program(self, spec: KernelSpec, language: Language, workspace: Workspace) -> Kernel:
        """A kernel that is not forked. The directories of `workspace` are made. Raises KernelStartFailed."""
        tier = self.isolator.of(workspace).tier
        spawners = self.isolator.spawners(tier)
        spawner = None if spawners is None else await spawners.settled()
        kernel = await self._child(ProgramProvisioner, spawner, spec, language, workspace)
        if kernel is not None:
            return kernel
        if tier is not Tier.NONE:  # never with less
            why = "there is none" if spawners is None else spawners.describe()
            raise KernelStartFailed(spec.display_name, f"its isolation failed: the spawner: {why}")
        provisioner = SpawnProvisioner(confinement=confinement_of(spec, self._settings), kernel_spec=spec)
        return await self._run(provisioner, spec, language, workspace, self.run_dir.new_kernel_dir())

    def _hold(self, kernel: Kernel, box: Box) -> None:
        """Keep the box for as long as the kernel lives."""
        box.join()
        self._boxes[kernel] = box
        kernel.exited.add_done_callback(lambda _: box.leave())

    def expect(self, source: Kernel, directory: Path) -> None:
        if source not in self._boxes and (zygote := self._parents.get(source)) is not None:
            zygote.expect([directory.name])

    async def adopt(
        self,
        language: Language,
        stream: socket.socket,
        *,
        source: Kernel,
        directory: Path,
        pipes: Mapping[str, int],
        timeout: float,
    ) -> Kernel:
        zygote, box = self._parents.get(source), self._boxes.get(source)
        spec = source.spec
        provisioner = ForkProvisioner(
            zygote if zygote is not None and zygote.is_alive and box is None else None,
            metrics=self._metrics,
            mark=directory.name,
            pipes=pipes,
            family=box,
            kernel_spec=spec,
        )
        kernel = self._kernel(spec, provisioner, directory)
        if box is not None:
            box.join()
        try:
            await kernel.adopt(stream, channels=self._make_channels, timeout=timeout)
            if box is not None:
                self._hold(kernel, box)
        finally:
            if box is not None:
                box.leave()
        if zygote is not None:
            self._parents[kernel] = zygote
        if source in self._origins:
            self._origins[kernel] = self._origins[source]
        self._watch(kernel, language)
        return kernel

    def is_current(self, kernel: Kernel) -> bool:
        zygotes = self._zygotes.get((kernel.spec.resource_dir, kernel in self._boxes))
        zygote = self._origins.get(kernel)
        if zygotes is None:
            return True
        return zygotes.is_current(zygote) if zygote is not None else not zygotes.is_ready

    def zygotes(self, language: Language) -> Zygotes | None:
        return self._zygotes_of(self.spec(language), self.isolator.default.tier is Tier.NAMESPACES)

    def _zygotes_of(self, spec: KernelSpec, is_boxed: bool) -> Zygotes | None:
        """A zygote has kernels in boxes, or outside: from a box's process namespace an ordinary user's has no way back."""
        if not self._can_fork or not honours(spec, "fork"):
            return None
        key = spec.resource_dir, is_boxed
        zygotes = self._zygotes.get(key)
        if zygotes is None:
            run_dir = self.run_dir
            zygotes = self._zygotes[key] = Zygotes(
                self._kernelspecs.command(spec)[: -len(_CONNECTION_ARGUMENTS)],
                preload=self._settings.preload,
                env=zygote_env(self._settings, run_dir=run_dir.path, server_env=self._server_env),
                timeout=self._settings.kernel_start_timeout,
                metrics=self._metrics,
                waker=self._waker,
                world=self.isolator.world if is_boxed else None,
            )
        return zygotes

    async def _fork(
        self, spec: KernelSpec, language: Language, workspace: Workspace, *, patient: bool
    ) -> Kernel | None:
        zygotes = self._zygotes_of(spec, self.isolator.of(workspace).tier is Tier.NAMESPACES)
        # What is imported in the zygote already cannot be replaced by a package of the context.
        if zygotes is None or workspace.replaces_packages:
            return None
        zygote = await zygotes.settled() if patient else zygotes.current()
        kernel = await self._child(ForkProvisioner, zygote, spec, language, workspace)
        if kernel is not None and zygote is not None:
            self._origins[kernel] = zygote
        return kernel

    async def _child(
        self,
        kind: type[ForkProvisioner],
        zygote: Zygote | None,
        spec: KernelSpec,
        language: Language,
        workspace: Workspace,
    ) -> Kernel | None:
        """A kernel that is forked from `zygote`; None where it forks none, and another way remains."""
        if zygote is None:
            return None
        enclosure = await self.isolator.enclose(spec, workspace, confinement_of(spec, self._settings))
        box = enclosure.box
        try:
            provisioner = kind(
                zygote,
                metrics=self._metrics,
                mark=enclosure.directory.name,
                confinement=enclosure.confinement,
                kernel_spec=spec,
            )
            try:
                kernel = await self._run(
                    provisioner, spec, language, workspace, enclosure.directory, is_boxed=box is not None
                )
            except KernelStartFailed as error:
                if provisioner.pid is not None:  # it was forked, and failed by itself
                    raise
                get_logger().warning("fork_failed", language=language.name, reason=error.message)
                return None
            self._parents[kernel] = zygote
            if box is not None:
                self._hold(kernel, box)
            return kernel
        finally:
            if box is not None:  # from here on the kernel has it, or nobody
                box.leave()

    async def _run(
        self,
        provisioner: Provisioner,
        spec: KernelSpec,
        language: Language,
        workspace: Workspace,
        directory: Path,
        *,
        is_boxed: bool = False,
    ) -> Kernel:
        kernel = self._kernel(spec, provisioner, directory, uid=workspace.slot.uid)
        isolation = self.isolator.of(workspace)
        ours = is_ours(spec)  # the interpreter of others has packages of its own
        packages = package_variables(self._settings, workspace) if ours else {}
        env = kernel_env(
            self._settings,
            spec_env={**spec.env, **packages},
            tmp_dir=workspace.tmp,
            state_dir=workspace.state,
            home=None if isolation.tier is Tier.NONE else workspace.home,
            server_env=self._server_env,
            context_env=workspace.env,
            own={KERNEL_VARIABLE: kernel.name, **_own_env(spec, workspace, packages)},
            programs=package_programs(workspace) if ours else (),
        )
        tcp = language.kernel_name in self._settings.tcp_kernelspecs
        if tcp and isolation.tier is Tier.LANDLOCK and isolation.network == "none":
            reason = "it can only use TCP, which the isolation landlock refuses with the network none"
            raise KernelStartFailed(spec.display_name, reason)
        await kernel.start(
            self._kernelspecs.command(spec),
            channels=self._make_channels,
            cwd=workspace.cwd,
            env=env,
            timeout=self._settings.kernel_start_timeout,
            tcp=tcp,
            relayed=tcp and is_boxed,
        )
        return kernel

    def _kernel(self, spec: KernelSpec, provisioner: Provisioner, directory: Path, *, uid: int | None = None) -> Kernel:
        return Kernel(spec, provisioner, directory, metrics=self._metrics, memory=memory_of(self._settings), uid=uid)

    def files(self, holder: FileHolder) -> LocalFiles:
        return LocalFiles(holder.id, holder.workspace, self._file_limits)

    async def aclose(self) -> None:
        if self._compiled is not None:
            await self._compiled.aclose()
        await self.isolator.aclose()
        for zygotes in (*self._zygotes.values(), self._spawners, self._boxers):
            if zygotes is not None:
                await zygotes.aclose()
        self._channels.close()


def _own_env(spec: KernelSpec, workspace: Workspace, packages: Mapping[str, str]) -> dict[str, str]:
    """What the server says to a kernel of its own (runtimes/README.md)."""
    env = {name: value for name, value in packages.items() if name in OWN_VARIABLES}
    if honours(spec, "compile_cache"):
        env[CACHE_VARIABLE] = str(cache_of(workspace))
    return env


class _LocalChannels:
    """Makes the channels to our own kernels, which have a stream, and to all others."""

    def __init__(self, max_contexts: int) -> None:
        self._max_sockets = 16 * max_contexts + 1024
        self._zmq: zmq.Context[zmq.Socket[bytes]] | None = None

    def __call__(self, info: Mapping[str, Any], receiver: Receiver, /, *, kernel_waits: bool) -> Channels:
        if info["transport"] == "stream":
            return StreamChannels(info["socket"], receiver)
        if self._zmq is None:
            self._zmq = zmq.Context()
            self._zmq.set(zmq.MAX_SOCKETS, self._max_sockets)
        return ZmqChannels(info, receiver, context=self._zmq, kernel_waits=kernel_waits)

    def close(self) -> None:
        if self._zmq is not None:
            self._zmq.term()
            self._zmq = None
