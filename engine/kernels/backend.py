"""Backend: a place where kernels run. A language points at the one that runs it; nothing else says where that is."""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from jupyter_client.kernelspec import KernelSpec

from engine.errors import FieldError, InvalidRequest, KernelStartFailed
from engine.kernels.isolation import EnclosedTool, Isolator
from engine.kernels.kernel import Kernel
from engine.kernels.limiting import Limiter
from engine.kernels.provisioners import Confinement, Waker, Zygotes
from engine.kernels.refusals import start_refused
from engine.languages import Language
from engine.log import get_logger
from engine.metrics import Metrics
from engine.options import Isolation
from engine.settings import Limits, Settings
from engine.workspaces import Files, RunDir, Workspace


class FileHolder(Protocol):
    """Who has files: a context."""

    @property
    def id(self) -> str: ...
    @property
    def language(self) -> Language: ...
    @property
    def workspace(self) -> Workspace: ...

    def turn(self, timeout: float) -> AbstractAsyncContextManager[Kernel]:
        """Have the kernel between two cells. Raises QueueFull or ContextBusy after `timeout` seconds."""


class Backend(ABC):
    """Starts kernels somewhere, and reaches the files of their contexts.

    Made with the engine, so that it can say what it runs; `open` before the first start, `aclose` when its kernels are gone."""

    name: str
    """As the setting `backend` and the answer of /readyz name it."""

    title: str
    """For people, as the beginning of a sentence."""

    where: str
    """Completes "its kernel runs ..."."""

    takes_cwd = True
    """Whether a request may name the working directory."""

    isolator: Isolator | None = None
    """What decides how contexts are isolated; None: another machine."""

    watches_files = True
    """Whether a result can list the files that the code made, changed and deleted."""

    limiter: Limiter | None = None
    """What keeps contexts within limits; None where another machine does."""

    def __init__(self, settings: Settings, *, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._opened: RunDir | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def kernel_names(self) -> Mapping[str, str]:
        """The languages that the settings have run here in particular, with the names of their kernels as users see them."""
        return {}

    @property
    def default_timeout(self) -> float:
        """Seconds that an execution may run if its request does not say."""
        return min(self._settings.default_timeout, self._settings.max_timeout)

    @property
    def run_dir(self) -> RunDir:
        if self._opened is None:
            raise KernelStartFailed(self.title, "the engine has not been entered")
        return self._opened

    def open(self, run_dir: RunDir, waker: Waker) -> None:
        """Begin: kernels are started from now on, with directories in `run_dir`.

        `waker` is woken when `is_current` may answer otherwise than before."""
        self._opened = run_dir

    async def ready(self) -> None:
        """Return when kernels can be started as the settings say. Raises InvalidRequest that names a setting that does not hold."""
        return

    def resolve_isolation(self, tier: str | None, network: str | None) -> Isolation | None:
        """How a new context is isolated of which a request says this; None: as all are that say nothing.

        Raises InvalidRequest that names the field, its value and what is allowed."""
        if self.isolator is not None:
            return self.isolator.resolve(tier, network)
        for field, value in (("isolation", tier), ("network", network)):
            if value is not None:
                raise InvalidRequest(FieldError(field, f"{value!r} is not for a language that runs {self.where}"))
        return None

    def isolation_of(self, workspace: Workspace) -> Isolation | None:
        """How contexts with these directories are isolated; None: another machine decides."""
        return None if self.isolator is None else self.isolator.of(workspace)

    async def enclose_tool(
        self, workspace: Workspace, staging: Path, limits: Confinement, read: Sequence[str]
    ) -> EnclosedTool:
        """How a tool is run that installs packages into `workspace`, by way of `staging`. `read`: what it reads besides what
        kernels do. Raises KernelStartFailed."""
        if self.isolator is None:
            return EnclosedTool(limits)
        return await self.isolator.enclose_tool(workspace, staging, limits, read)

    @abstractmethod
    def spec(self, language: Language) -> KernelSpec:
        """The kernelspec of a language, as far as it is known without asking. Raises KernelStartFailed."""

    @abstractmethod
    def problem(self, language: Language) -> str | None:
        """Why the language cannot run; None if it can. Blocks: it may start an interpreter, but asks no other machine."""

    def describe(self) -> str:
        """One line for operators, once `check` found nothing wrong: where it is, and what runs there."""
        return f"{self.title} works"

    def version(self, language: Language) -> str | None:
        """The version of the language's interpreter; None if it is unknown. Blocks."""
        return None

    def wrong_settings(self) -> list[FieldError]:
        """The settings that name something that is not there: the field, the name and what is allowed. Asks no other machine."""
        return []

    async def check(self) -> str | None:
        """What is wrong at the moment, found out by asking; None if nothing is. Takes seconds at most."""
        return None

    async def start(self, language: Language, workspace: Workspace, *, patient: bool = False) -> Kernel:
        """A kernel that takes requests, in the directories of `workspace`.

        `patient`: rather wait for the fastest way to be ready than start the kernel in a slower way.
        Raises KernelStartFailed, StorageFull or TooManyOpenFiles."""
        started = time.perf_counter()
        spec = self.spec(language)
        try:
            kernel, way = await self._start(spec, language, workspace, patient=patient)
        except OSError as error:  # a directory that cannot be made, a descriptor
            raise start_refused(spec.display_name, error) from None
        seconds = time.perf_counter() - started
        self._metrics.kernel_starts.labels(language.name, way).inc()
        self._metrics.kernel_start_seconds.labels(language.name).observe(seconds)
        get_logger().info(
            "kernel_started", kernel=kernel.name, language=language.name, way=way, seconds=round(seconds, 3)
        )
        self._watch(kernel, language)
        return kernel

    @abstractmethod
    async def _start(
        self, spec: KernelSpec, language: Language, workspace: Workspace, *, patient: bool
    ) -> tuple[Kernel, str]:
        """A started kernel and, for operators, the way it was started. Raises KernelStartFailed or OSError."""

    def _watch(self, kernel: Kernel, language: Language) -> None:
        """Count a death that we did not cause."""

        def note_exit(_: object) -> None:
            if not kernel.was_killed:
                self._metrics.kernel_deaths.labels(language.name).inc()

        kernel.exited.add_done_callback(note_exit)

    def expect(self, source: Kernel, directory: Path) -> None:
        """Announce that `source` is about to be forked, for `adopt` with the same directory. Only a backend with `adopt` has this."""
        raise NotImplementedError

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
        """A kernel that `source` has forked, at the other end of `stream`. `directory`: its own, whose name it was given;
        `workspace`: the directories in which it goes on; `pipes`: the readers of its stdout and stderr.
        All of these are its own from now on. Raises KernelStartFailed.

        Only a backend with kernels that can be forked has this."""
        raise NotImplementedError

    def is_current(self, kernel: Kernel) -> bool:
        """Whether a kernel started now would be started like this one, with the same modules in it."""
        return True

    def limits_of(self, workspace: Workspace) -> Limits | None:
        """What contexts in these directories may take; None where another machine decides."""
        return None if self.limiter is None else self.limiter.limits_of(workspace)

    def zygotes(self, language: Language) -> Zygotes | None:
        """What kernels of this language are forked from; None if they are not forked."""
        return None

    @abstractmethod
    def files(self, holder: FileHolder) -> Files:
        """The files of a context."""

    @abstractmethod
    async def aclose(self) -> None:
        """Release what kernels shared; they are gone by now. May be called again."""
