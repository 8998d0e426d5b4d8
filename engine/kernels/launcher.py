"""The launcher: starts kernels. How a kernel is run and how it is reached is decided here, and nowhere else."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import zmq
from jupyter_client.kernelspec import KernelSpec

from engine.errors import KernelStartFailed, MessageError
from engine.kernels.channels import Channels, Listener
from engine.kernels.channels.stream import StreamChannels
from engine.kernels.channels.zmq import ZmqChannels
from engine.kernels.confinement import Limits, kernel_limits
from engine.kernels.environment import kernel_env, zygote_env
from engine.kernels.kernel import Kernel
from engine.kernels.kernelspecs import KernelSpecs, honours, package_tool, reserved_memory
from engine.kernels.provisioners import KERNEL_MARK, Provisioner
from engine.kernels.provisioners.fork import ForkProvisioner
from engine.kernels.provisioners.spawn import SpawnProvisioner
from engine.kernels.provisioners.zygote import Zygote
from engine.kernels.provisioners.zygotes import Zygotes
from engine.kernels.remote.channels import RemoteChannels
from engine.kernels.remote.provisioner import RemoteProvisioner
from engine.kernels.remote.server import RemoteServer, remote_problem
from engine.languages import REMOTE, Language
from engine.log import get_logger
from engine.metrics import Metrics
from engine.settings import Settings
from engine.workspaces.run_directory import RunDir, Workspace

_CONNECTION_ARGUMENTS = ("-f", "{connection_file}")  # what a kernel's command ends with

MakeProvisioner = Callable[[KernelSpec], Provisioner]


class MakeChannels(Protocol):
    """Makes the channels to a kernel of this connection info. `kernel_waits`: it never sends more than is read."""

    def __call__(self, info: Mapping[str, Any], listener: Listener, /, *, kernel_waits: bool) -> Channels: ...


class Launcher:
    """Starts kernels of any language. `provisioner` and `channels` replace the ways of its own, for tests."""

    def __init__(
        self,
        settings: Settings,
        *,
        run_dir: RunDir,
        kernelspecs: KernelSpecs,
        metrics: Metrics,
        provisioner: MakeProvisioner | None = None,
        channels: MakeChannels | None = None,
    ) -> None:
        self._settings = settings
        self._run_dir = run_dir
        self._kernelspecs = kernelspecs
        self._metrics = metrics
        self._make_provisioner = provisioner or self._spawning
        self._make_channels = channels or self._channels
        self._server_env = dict(os.environ)
        self._zmq: zmq.Context[zmq.Socket[bytes]] | None = None
        self._can_fork = settings.zygote and provisioner is None and sys.platform == "linux"
        self._zygotes: dict[str, Zygotes] = {}
        self._remote: RemoteServer | None = None
        self._origins: WeakKeyDictionary[Kernel, Zygote] = WeakKeyDictionary()
        self.on_change: Callable[[], None] = lambda: None  # called when `is_current` may answer otherwise than before

    async def start(self, language: Language, workspace: Workspace, *, patient: bool = False) -> Kernel:
        """A kernel that takes requests, in the directories of `workspace`: forked where possible, else spawned.

        `patient`: rather wait for the zygote to be ready than have a spawned one now. Raises KernelStartFailed."""
        started = time.perf_counter()
        spec = self._kernelspecs.find(language.kernel_name)
        workspace.prepare()
        kernel = await self._fork(spec, language, workspace, patient=patient)
        way = "zygote"
        if kernel is None and language.is_remote:
            kernel, way = await self._start_remote(spec, language, workspace), "remote"
        elif kernel is None:
            kernel, way = await self._run(self._make_provisioner(spec), spec, language, workspace), "spawn"
        seconds = time.perf_counter() - started
        self._metrics.kernel_starts.labels(language.name, way).inc()
        self._metrics.kernel_start_seconds.labels(language.name).observe(seconds)
        get_logger().info(
            "kernel_started", kernel=kernel.name, language=language.name, way=way, seconds=round(seconds, 3)
        )
        return kernel

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
        """A kernel that `source` has forked, at the other end of `stream`. `directory`: its own, whose name it was given;
        `pipes`: the readers of its stdout and stderr. All of these are its own from now on. Raises KernelStartFailed."""
        zygote = self._origins.get(source)
        spec = source.spec
        provisioner = ForkProvisioner(
            zygote if zygote is not None and zygote.is_alive else None,
            metrics=self._metrics,
            mark=directory.name,
            pipes=pipes,
            kernel_spec=spec,
        )
        kernel = self._kernel(spec, provisioner, directory)
        connect = partial(self._make_channels, kernel_waits=honours(spec, "output_limits"))
        await kernel.adopt(stream, connect=connect, timeout=timeout)
        if zygote is not None:
            self._origins[kernel] = zygote
        kernel.exited.add_done_callback(lambda _: self._note_exit(kernel, language))
        return kernel

    def is_current(self, kernel: Kernel) -> bool:
        """Whether a kernel started now would be started like this one, with the same modules in it."""
        zygotes = self._zygotes.get(kernel.spec.resource_dir)
        zygote = self._origins.get(kernel)
        if zygotes is None:
            return True
        return zygotes.is_current(zygote) if zygote is not None else not zygotes.is_ready

    def zygotes(self, kernel_name: str) -> Zygotes | None:
        """The zygotes that kernels of this kernelspec are forked from; None where they are spawned."""
        spec = self._kernelspecs.find(kernel_name)
        if not self._can_fork or not honours(spec, "fork"):
            return None
        zygotes = self._zygotes.get(spec.resource_dir)
        if zygotes is None:
            zygotes = self._zygotes[spec.resource_dir] = Zygotes(
                self._kernelspecs.command(spec, "")[: -len(_CONNECTION_ARGUMENTS)],
                preload=self._settings.preload,
                env=zygote_env(
                    self._settings,
                    tmp_dir=self._run_dir.path,
                    cache_dir=self._run_dir.cache,
                    server_env=self._server_env,
                ),
                timeout=self._settings.kernel_start_timeout,
                metrics=self._metrics,
                on_change=lambda: self.on_change(),
            )
        return zygotes

    async def _fork(
        self, spec: KernelSpec, language: Language, workspace: Workspace, *, patient: bool
    ) -> Kernel | None:
        zygotes = self.zygotes(language.kernel_name)
        # What is imported in the zygote already cannot be replaced by a package of the context.
        if zygotes is None or workspace.replaces_packages:
            return None
        zygote = await zygotes.settled() if patient else zygotes.current()
        if zygote is None:
            return None
        provisioner = ForkProvisioner(zygote, metrics=self._metrics, rlimits=self._rlimits(spec), kernel_spec=spec)
        try:
            kernel = await self._run(provisioner, spec, language, workspace)
        except KernelStartFailed as error:
            if provisioner.pid is not None:  # it was forked, and failed by itself
                raise
            get_logger().warning("fork_failed", language=language.name, reason=error.message)
            return None
        self._origins[kernel] = zygote
        return kernel

    def _spawning(self, spec: KernelSpec) -> Provisioner:
        return SpawnProvisioner(rlimits=self._rlimits(spec), kernel_spec=spec)

    def _rlimits(self, spec: KernelSpec) -> Limits:
        memory = self._settings.kernel_memory
        return kernel_limits(
            self._settings.kernel_rlimits, memory=None if memory is None else memory + reserved_memory(spec)
        )

    async def _run(
        self, provisioner: Provisioner, spec: KernelSpec, language: Language, workspace: Workspace
    ) -> Kernel:
        kernel = self._kernel(spec, provisioner, self._run_dir.new_kernel_dir())
        env = kernel_env(
            self._settings,
            spec_env={**spec.env, KERNEL_MARK: kernel.name, **self._packages_env(spec, workspace)},
            tmp_dir=workspace.tmp,
            cache_dir=self._run_dir.cache,
            server_env=self._server_env,
            own_env=workspace.env,
        )
        await kernel.start(
            command=lambda connection_file: self._kernelspecs.command(spec, connection_file),
            connect=partial(self._make_channels, kernel_waits=honours(spec, "output_limits")),
            cwd=workspace.cwd,
            env=env,
            timeout=self._settings.kernel_start_timeout,
            tcp=language.kernel_name in self._settings.tcp_kernelspecs,
        )
        kernel.exited.add_done_callback(lambda _: self._note_exit(kernel, language))
        return kernel

    @property
    def remote(self) -> RemoteServer:
        """The remote Jupyter of the settings."""
        if self._remote is None:
            token = self._settings.jupyter_token
            self._remote = RemoteServer(
                self._settings.jupyter_url,
                token.get_secret_value() if token else None,
                start_timeout=self._settings.kernel_start_timeout,
            )
        return self._remote

    async def remote_problem(self) -> str | None:
        """What is wrong with the remote Jupyter at the moment; None where it answers, or no language runs there."""
        names = set(self._settings.remote_languages.values())
        if not names:
            return None
        return remote_problem(self._settings.jupyter_url) or await self.remote.problem(names)

    async def _start_remote(self, spec: KernelSpec, language: Language, workspace: Workspace) -> Kernel:
        """A kernel on the remote Jupyter: neither the workspace nor this machine's variables mean anything there."""
        name = language.kernel_name.removeprefix(REMOTE)
        provisioner = RemoteProvisioner(self.remote, name, env=self._settings.kernel_env, kernel_spec=spec)
        kernel = self._kernel(spec, provisioner, self._run_dir.new_kernel_dir())
        await kernel.start(
            command=lambda connection_file: [],
            connect=lambda info, listener: RemoteChannels(info, listener, on_bad_message=self._note_bad_message),
            cwd=workspace.cwd,
            env={},
            timeout=self._settings.kernel_start_timeout,
        )
        spec.language = (await self.remote.find_kernelspec(name)).language  # known by now
        kernel.exited.add_done_callback(lambda _: self._note_exit(kernel, language))
        return kernel

    def _packages_env(self, spec: KernelSpec, workspace: Workspace) -> dict[str, str]:
        if not self._settings.packages or package_tool(spec) != "pip":
            return {}
        return {"POLYREPL_PACKAGES": str(workspace.packages / "python")}

    def _kernel(self, spec: KernelSpec, provisioner: Provisioner, directory: Path) -> Kernel:
        memory = self._settings.kernel_memory
        return Kernel(spec, provisioner, directory, memory=memory, on_bad_message=self._note_bad_message)

    async def aclose(self) -> None:
        """Release what kernels shared; they are gone by now. May be called again."""
        for zygotes in self._zygotes.values():
            await zygotes.aclose()
        if self._remote is not None:
            await self._remote.aclose()
        if self._zmq is not None:
            self._zmq.term()
            self._zmq = None

    def _channels(self, info: Mapping[str, Any], listener: Listener, *, kernel_waits: bool) -> Channels:
        if info["transport"] == "stream":
            return StreamChannels(info["socket"], listener, on_bad_message=self._note_bad_message)
        if self._zmq is None:
            self._zmq = zmq.Context()
            self._zmq.set(zmq.MAX_SOCKETS, 16 * self._settings.max_contexts + 1024)
        return ZmqChannels(
            info, listener, context=self._zmq, on_bad_message=self._note_bad_message, kernel_waits=kernel_waits
        )

    def _note_bad_message(self, error: MessageError) -> None:
        self._metrics.bad_messages.inc()
        get_logger().warning("bad_message", reason=error.message)

    def _note_exit(self, kernel: Kernel, language: Language) -> None:
        if not kernel.was_killed:
            self._metrics.kernel_deaths.labels(language.name).inc()
