"""The local backend: kernels on this machine. How one is run and how it is reached is decided here, and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import zmq
from jupyter_client.kernelspec import KernelSpec

from engine.errors import FieldError, KernelStartFailed
from engine.kernels.backend import Backend, FileHolder
from engine.kernels.channels import Channels, MakeChannels, Receiver, StreamChannels, ZmqChannels
from engine.kernels.checked_settings import wrong_settings
from engine.kernels.compiled import CompiledCode, cache_of
from engine.kernels.context_packages import package_programs, package_variables
from engine.kernels.environment import kernel_env
from engine.kernels.isolation import Box, Enclosure, Isolator
from engine.kernels.kernel import Kernel
from engine.kernels.kernelspecs import KernelSpecs, honours, is_ours
from engine.kernels.limiting import Limiter, Ward, thread_variables
from engine.kernels.limits import confinement_of, memory_of
from engine.kernels.parents import Parents
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
from engine.kernels.readable import Readable
from engine.languages import Language
from engine.log import get_logger
from engine.metrics import Metrics
from engine.options import Isolation
from engine.settings import Limits, Settings, Tier
from engine.validation import CACHE_VARIABLE, KERNEL_VARIABLE, OWN_VARIABLES
from engine.workspaces import FileLimits, LocalFiles, RunDir, Workspace


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
        self._has_parents = provisioner is None and sys.platform == "linux" and bool(sys.executable)
        self._ancestors: Parents | None = None
        self.isolator: Isolator = Isolator(settings, Readable(settings), metrics=metrics, is_on=self._has_parents)
        self._boxes: WeakKeyDictionary[Kernel, Box] = WeakKeyDictionary()
        self._compiled: CompiledCode | None = None
        self._parents: WeakKeyDictionary[Kernel, Zygote] = WeakKeyDictionary()  # zygote or spawner
        self._wards: WeakKeyDictionary[Kernel, Ward] = WeakKeyDictionary()
        self.limiter: Limiter = Limiter(settings, memory=memory_of(settings))
        self._file_limits = _file_limits(settings)

    def open(self, run_dir: RunDir, waker: Waker) -> None:
        super().open(run_dir, waker)
        if self._make_provisioner is None:
            self._compiled = CompiledCode(self, run_dir)
        if self._has_parents:
            self.limiter.open()
            self._ancestors = Parents(
                self._settings,
                self._kernelspecs,
                run_dir=run_dir,
                metrics=self._metrics,
                waker=waker,
                world=self.isolator.world,
            )

    async def ready(self) -> None:
        await self.isolator.open(self.run_dir, *(self._ancestors.pair if self._ancestors is not None else (None, None)))
        default = self.isolator.default
        self._metrics.isolation.labels(default.tier.label, default.network).set(1)
        self._metrics.boxes_ready.set_function(lambda: self.isolator.spares)

    def spec(self, language: Language) -> KernelSpec:
        return self._kernelspecs.find(language.kernel_name)

    def problem(self, language: Language) -> str | None:
        return self._kernelspecs.problem(language.kernel_name)

    def version(self, language: Language) -> str | None:
        return self._kernelspecs.version(language.kernel_name)

    def wrong_settings(self) -> list[FieldError]:
        return wrong_settings(self._settings, self._kernelspecs)

    async def _start(
        self, spec: KernelSpec, language: Language, workspace: Workspace, *, patient: bool
    ) -> tuple[Kernel, str]:
        await workspace.ready()
        if self._make_provisioner is not None:
            enclosure = Enclosure(self.run_dir.new_kernel_dir())
            return await self._run(self._make_provisioner(spec), spec, language, workspace, enclosure), "spawn"
        kernel = await self._fork(spec, language, workspace, patient=patient)
        if kernel is not None:
            return kernel, "zygote"
        if self._compiled is not None and honours(spec, "compile_cache"):
            await self._compiled.prepare(spec, language, workspace, patient=patient)
        return await self.start_program(spec, language, workspace), "spawn"

    async def start_program(self, spec: KernelSpec, language: Language, workspace: Workspace) -> Kernel:
        """A kernel that is not forked. The directories of `workspace` are made. Raises KernelStartFailed."""
        tier = self.isolator.of(workspace).tier
        spawners = None if self._ancestors is None else self._ancestors.spawners(boxed=tier is Tier.NAMESPACES)
        spawner = None if spawners is None else await spawners.settled()
        kernel = await self._child(ProgramProvisioner, spawner, spec, language, workspace)
        if kernel is None and spawners is not None and spawner is not None and not spawner.is_alive:
            # Another one has come while the box was made.
            kernel = await self._child(ProgramProvisioner, await spawners.settled(), spec, language, workspace)
        if kernel is not None:
            return kernel
        if tier is not Tier.NONE:  # never with less
            why = "there is none" if spawners is None else spawners.describe()
            raise KernelStartFailed(spec.display_name, f"its isolation failed: the spawner: {why}")
        provisioner = SpawnProvisioner(confinement=self._confinement(spec, workspace), kernel_spec=spec)
        return await self._run(provisioner, spec, language, workspace, Enclosure(self.run_dir.new_kernel_dir()))

    def _hold(self, kernel: Kernel, box: Box | None) -> None:
        """Keep the box for as long as the kernel lives."""
        if box is not None:
            box.join()
            self._boxes[kernel] = box
            kernel.exited.add_done_callback(lambda _: box.leave())

    def expect(self, source: Kernel, directory: Path) -> None:
        self._wards[source].expect_branch()
        if (box := self._boxes.get(source)) is not None:
            box.expect()
        elif (zygote := self._parents.get(source)) is not None:
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
        kernel = self._kernel(spec, provisioner, directory, workspace)
        with _held(box):
            await kernel.adopt(stream, channels=self._make_channels, timeout=timeout)
            self._hold(kernel, box)
        if zygote is not None:
            self._parents[kernel] = zygote
        if self._ancestors is not None:
            self._ancestors.note_branch(kernel, source)
        self._watch(kernel, language)
        return kernel

    def is_current(self, kernel: Kernel) -> bool:
        return self._ancestors is None or self._ancestors.is_current(kernel, boxed=self.isolator.has_boxes)

    def zygotes(self, language: Language) -> Zygotes | None:
        return (
            None
            if self._ancestors is None
            else self._ancestors.zygotes(self.spec(language), boxed=self.isolator.has_boxes)
        )

    async def _fork(
        self, spec: KernelSpec, language: Language, workspace: Workspace, *, patient: bool
    ) -> Kernel | None:
        if self._ancestors is None:
            return None
        boxed = self.isolator.of(workspace).tier is Tier.NAMESPACES
        zygotes = self._ancestors.zygotes(spec, boxed=boxed)
        # What is imported in the zygote already cannot be replaced by a package of the context.
        if zygotes is None or workspace.replaces_packages:
            return None
        zygote = await zygotes.settled() if patient else zygotes.current()
        kernel = await self._child(ForkProvisioner, zygote, spec, language, workspace)
        if kernel is not None and zygote is not None:
            self._ancestors.note_fork(kernel, zygote, boxed=boxed)
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
        enclosure = await self.isolator.enclose(self.run_dir, spec, workspace, self._confinement(spec, workspace))
        provisioner = kind(
            zygote,
            metrics=self._metrics,
            mark=enclosure.directory.name,
            confinement=enclosure.confinement,
            kernel_spec=spec,
        )
        with contextlib.closing(enclosure):
            try:
                kernel = await self._run(provisioner, spec, language, workspace, enclosure)
            except KernelStartFailed as error:
                if provisioner.pid is not None:  # it was forked, and failed by itself
                    raise
                get_logger().warning("fork_failed", language=language.name, reason=error.message)
                return None
            self._parents[kernel] = zygote
            self._hold(kernel, enclosure.box)
        return kernel

    async def _run(
        self,
        provisioner: Provisioner,
        spec: KernelSpec,
        language: Language,
        workspace: Workspace,
        enclosure: Enclosure,
    ) -> Kernel:
        kernel = self._kernel(spec, provisioner, enclosure.directory, workspace)
        isolation = self.isolator.of(workspace)
        try:
            if isolation.tier is not Tier.NONE:
                workspace.make_home()
            tcp = _needs_tcp(self._settings, spec, language, isolation)
            limits = self.limiter.limits_of(workspace)
            env = _environment(self._settings, self._server_env, kernel.name, spec, workspace, isolation, limits)
        except BaseException:
            await asyncio.shield(kernel.kill())  # its directory goes with it
            raise
        await kernel.start(
            self._kernelspecs.command(spec, memory=self.limiter.heap_of(workspace)),
            channels=self._make_channels,
            cwd=workspace.cwd,
            env=env,
            timeout=self._settings.kernel_start_timeout,
            tcp=tcp,
            relayed=tcp and enclosure.box is not None,
        )
        return kernel

    def _kernel(self, spec: KernelSpec, provisioner: Provisioner, directory: Path, workspace: Workspace) -> Kernel:
        ward, uid = self.limiter.ward(directory.name, workspace), workspace.slot.uid
        kernel = Kernel(spec, provisioner, directory, remover=self.run_dir, metrics=self._metrics, ward=ward, uid=uid)
        self._wards[kernel] = ward
        return kernel

    def _confinement(self, spec: KernelSpec, workspace: Workspace) -> Confinement:
        is_alone = self.isolator.of(workspace).tier is Tier.NAMESPACES or workspace.slot.uid is not None
        return confinement_of(spec, self._settings, self.limiter.limits_of(workspace), is_alone=is_alone)

    def files(self, holder: FileHolder) -> LocalFiles:
        return LocalFiles(holder.id, holder.workspace, self._file_limits)

    async def aclose(self) -> None:
        if self._compiled is not None:
            await self._compiled.aclose()
        await self.isolator.aclose()
        if self._ancestors is not None:
            await self._ancestors.aclose()
        self._channels.close()
        await asyncio.to_thread(self.limiter.close)


def _needs_tcp(settings: Settings, spec: KernelSpec, language: Language, isolation: Isolation) -> bool:
    """Whether a kernel cannot use unix sockets. Raises KernelStartFailed if its isolation refuses TCP."""
    needs = language.kernel_name in settings.tcp_kernelspecs
    if needs and isolation.tier is Tier.LANDLOCK and isolation.network == "none":
        reason = "it can only use TCP, which the isolation landlock refuses with the network none"
        raise KernelStartFailed(spec.display_name, reason)
    return needs


def _environment(
    settings: Settings,
    server_env: Mapping[str, str],
    name: str,
    spec: KernelSpec,
    workspace: Workspace,
    isolation: Isolation,
    limits: Limits,
) -> dict[str, str]:
    """All variables of a kernel."""
    ours = is_ours(spec)  # the interpreter of others has packages of its own
    has_network = isolation.network == "open"
    packages = package_variables(settings, workspace, has_network=has_network) if ours else {}
    return kernel_env(
        settings,
        spec_env={**thread_variables(limits), **_of_tier(isolation.tier), **spec.env, **packages},
        tmp_dir=workspace.tmp,
        state_dir=workspace.state,
        home=None if isolation.tier is Tier.NONE else workspace.home,
        server_env=server_env,
        context_env=workspace.env,
        own={KERNEL_VARIABLE: name, **_own_env(spec, workspace, packages)},
        programs=package_programs(workspace) if ours else (),
    )


def _of_tier(tier: Tier) -> dict[str, str]:
    """What programs must know of their isolation. Landlock does not let git read the machine's configuration, and git ends then."""
    return {"GIT_CONFIG_NOSYSTEM": "1"} if tier is Tier.LANDLOCK else {}


def _own_env(spec: KernelSpec, workspace: Workspace, packages: Mapping[str, str]) -> dict[str, str]:
    """What the server says to a kernel of its own (runtimes/README.md)."""
    env = {name: value for name, value in packages.items() if name in OWN_VARIABLES}
    if honours(spec, "compile_cache"):
        env[CACHE_VARIABLE] = str(cache_of(workspace))
    return env


def _file_limits(settings: Settings) -> FileLimits:
    return FileLimits(
        file_bytes=settings.max_file_bytes, files=settings.max_context_files, bytes=settings.max_context_bytes
    )


@contextlib.contextmanager
def _held(box: Box | None) -> Iterator[None]:
    """Keep a box for the time of the block."""
    if box is not None:
        box.join()
    try:
        yield
    finally:
        if box is not None:
            box.leave()


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
