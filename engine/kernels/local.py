"""The local backend: kernels on this machine. How one is run and how it is reached is decided here, and nowhere else."""

from __future__ import annotations

import asyncio
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
from engine.kernels.backend import Backend, FileHolder
from engine.kernels.channels import Channels, MakeChannels, Receiver, StreamChannels, ZmqChannels
from engine.kernels.compiled import CompiledCode, cache_of
from engine.kernels.context_packages import package_programs, package_variables
from engine.kernels.environment import kernel_env, zygote_env
from engine.kernels.kernel import Kernel
from engine.kernels.kernelspecs import KernelSpecs, honours, is_ours
from engine.kernels.limiting import Limiter, thread_variables
from engine.kernels.limits import confinement_of, memory_of
from engine.kernels.provisioners import (
    Confinement,
    ForkProvisioner,
    MakeProvisioner,
    ProgramProvisioner,
    Provisioner,
    SpawnProvisioner,
    Waker,
    Zygote,
    Zygotes,
)
from engine.languages import Language
from engine.log import get_logger
from engine.metrics import Metrics
from engine.resources import data_dir
from engine.settings import Settings
from engine.validation import CACHE_VARIABLE, IS_ENV_NAME, KERNEL_VARIABLE, OWN_VARIABLES
from engine.workspaces import FileLimits, LocalFiles, RunDir, Workspace

_CONNECTION_ARGUMENTS = ("-f", "{connection_file}")  # what a kernel's command ends with


class Local(Backend):
    """Forks kernels where possible, and spawns the others. `provisioner` and `channels` replace its own ways, for tests."""

    name = "local"
    title = "this machine"
    where = "on this machine"
    limiter: Limiter

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
        self._can_fork = settings.zygote and provisioner is None and sys.platform == "linux"
        self._zygotes: dict[str, Zygotes] = {}
        self._spawners: Zygotes | None = None
        self._compiled: CompiledCode | None = None
        self._origins: WeakKeyDictionary[Kernel, Zygote] = WeakKeyDictionary()  # which they are copies of
        self._parents: WeakKeyDictionary[Kernel, Zygote] = WeakKeyDictionary()  # zygote or spawner
        self._waker: Waker | None = None
        self.limiter = Limiter(settings, memory=memory_of(settings))
        self._file_limits = FileLimits(
            file_bytes=settings.max_file_bytes, files=settings.max_context_files, bytes=settings.max_context_bytes
        )

    def open(self, run_dir: RunDir, waker: Waker) -> None:
        super().open(run_dir, waker)
        self._waker = waker
        if self._settings.cgroups and self._make_provisioner is None and sys.platform == "linux":
            self.limiter.wards.open()
        if self._make_provisioner is None:
            self._compiled = CompiledCode(self, run_dir)
        if self._can_fork and sys.executable:
            self._spawners = Zygotes(
                [sys.executable, "-I", "-S", str(data_dir() / "runtimes" / "python" / "spawn.py")],
                preload=(),
                env={},
                timeout=self._settings.kernel_start_timeout,
                metrics=None,
            )

    def spec(self, language: Language) -> KernelSpec:
        return self._kernelspecs.find(language.kernel_name)

    def problem(self, language: Language) -> str | None:
        return self._kernelspecs.problem(language.kernel_name)

    def version(self, language: Language) -> str | None:
        return self._kernelspecs.version(language.kernel_name)

    def wrong_settings(self) -> list[FieldError]:
        return _wrong_settings(self._settings, self._kernelspecs.installed())

    async def _start(
        self, spec: KernelSpec, language: Language, workspace: Workspace, *, patient: bool
    ) -> tuple[Kernel, str]:
        await workspace.ready()
        if self._make_provisioner is not None:
            return await self._run(self._make_provisioner(spec), spec, language, workspace, None), "spawn"
        kernel = await self._fork(spec, language, workspace, patient=patient)
        if kernel is not None:
            return kernel, "zygote"
        if self._compiled is not None and honours(spec, "compile_cache"):
            await self._compiled.prepare(spec, language, workspace, patient=patient)
        return await self.start_program(spec, language, workspace), "spawn"

    async def start_program(self, spec: KernelSpec, language: Language, workspace: Workspace) -> Kernel:
        """A kernel that is not forked. The directories of `workspace` are made. Raises KernelStartFailed."""
        spawner = None if self._spawners is None else await self._spawners.settled()
        kernel = await self._child(ProgramProvisioner, spawner, spec, language, workspace)
        if kernel is not None:
            return kernel
        provisioner = SpawnProvisioner(confinement=self._confinement(spec, workspace), kernel_spec=spec)
        return await self._run(provisioner, spec, language, workspace, None)

    def expect(self, source: Kernel, directory: Path) -> None:
        if (zygote := self._parents.get(source)) is not None:
            zygote.expect([directory.name])

    async def adopt(
        self,
        language: Language,
        stream: socket.socket,
        *,
        source: Kernel,
        directory: Path,
        workspace: Workspace,
        pipes: Mapping[str, int],
        timeout: float,
    ) -> Kernel:
        zygote = self._parents.get(source)
        spec = source.spec
        provisioner = ForkProvisioner(
            zygote if zygote is not None and zygote.is_alive else None,
            metrics=self._metrics,
            mark=directory.name,
            pipes=pipes,
            kernel_spec=spec,
        )
        kernel = self._kernel(spec, provisioner, directory, workspace)
        await kernel.adopt(stream, channels=self._make_channels, timeout=timeout)
        if zygote is not None:
            self._parents[kernel] = zygote
        if source in self._origins:
            self._origins[kernel] = self._origins[source]
        self._watch(kernel, language)
        return kernel

    def is_current(self, kernel: Kernel) -> bool:
        zygotes = self._zygotes.get(kernel.spec.resource_dir)
        zygote = self._origins.get(kernel)
        if zygotes is None:
            return True
        return zygotes.is_current(zygote) if zygote is not None else not zygotes.is_ready

    def zygotes(self, language: Language) -> Zygotes | None:
        spec = self.spec(language)
        if not self._can_fork or not honours(spec, "fork"):
            return None
        zygotes = self._zygotes.get(spec.resource_dir)
        if zygotes is None:
            run_dir = self.run_dir
            zygotes = self._zygotes[spec.resource_dir] = Zygotes(
                self._kernelspecs.command(spec)[: -len(_CONNECTION_ARGUMENTS)],
                preload=self._settings.preload,
                env=zygote_env(self._settings, run_dir=run_dir.path, server_env=self._server_env),
                timeout=self._settings.kernel_start_timeout,
                metrics=self._metrics,
                waker=self._waker,
            )
        return zygotes

    async def _fork(
        self, spec: KernelSpec, language: Language, workspace: Workspace, *, patient: bool
    ) -> Kernel | None:
        zygotes = self.zygotes(language)
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
        directory = self.run_dir.new_kernel_dir()
        provisioner = kind(
            zygote,
            metrics=self._metrics,
            mark=directory.name,
            confinement=self._confinement(spec, workspace),
            kernel_spec=spec,
        )
        try:
            kernel = await self._run(provisioner, spec, language, workspace, directory)
        except KernelStartFailed as error:
            if provisioner.pid is not None:  # it was forked, and failed by itself
                raise
            get_logger().warning("fork_failed", language=language.name, reason=error.message)
            return None
        self._parents[kernel] = zygote
        return kernel

    async def _run(
        self,
        provisioner: Provisioner,
        spec: KernelSpec,
        language: Language,
        workspace: Workspace,
        directory: Path | None,
    ) -> Kernel:
        kernel = self._kernel(spec, provisioner, directory or self.run_dir.new_kernel_dir(), workspace)
        ours = is_ours(spec)  # the interpreter of others has packages of its own
        packages = package_variables(self._settings, workspace) if ours else {}
        env = kernel_env(
            self._settings,
            spec_env={**thread_variables(self.limiter.limits_of(workspace)), **spec.env, **packages},
            tmp_dir=workspace.tmp,
            state_dir=workspace.state,
            server_env=self._server_env,
            context_env=workspace.env,
            own={KERNEL_VARIABLE: kernel.name, **_own_env(spec, workspace, packages)},
            programs=package_programs(workspace) if ours else (),
        )
        await kernel.start(
            self._kernelspecs.command(spec, memory=self.limiter.heap_of(workspace)),
            channels=self._make_channels,
            cwd=workspace.cwd,
            env=env,
            timeout=self._settings.kernel_start_timeout,
            tcp=language.kernel_name in self._settings.tcp_kernelspecs,
        )
        return kernel

    def _kernel(self, spec: KernelSpec, provisioner: Provisioner, directory: Path, workspace: Workspace) -> Kernel:
        ward = self.limiter.ward(directory.name, workspace)
        return Kernel(spec, provisioner, directory, metrics=self._metrics, ward=ward)

    def _confinement(self, spec: KernelSpec, workspace: Workspace) -> Confinement:
        return confinement_of(spec, self._settings, self.limiter.limits_of(workspace))

    def files(self, holder: FileHolder) -> LocalFiles:
        return LocalFiles(holder.id, holder.workspace, self._file_limits)

    async def aclose(self) -> None:
        if self._compiled is not None:
            await self._compiled.aclose()
        for zygotes in (*self._zygotes.values(), self._spawners):
            if zygotes is not None:
                await zygotes.aclose()
        self._channels.close()
        await asyncio.to_thread(self.limiter.wards.close)


def _wrong_settings(settings: Settings, installed: Sequence[str]) -> list[FieldError]:
    given = settings.model_fields_set
    wrong = []
    for field, others in (
        ("kernelspecs", {"*"}),
        ("tcp_kernelspecs", set(Settings.model_fields["tcp_kernelspecs"].default)),
    ):
        if field in given:
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
