"""Installing: one installation of packages as something to follow, with a deadline and an end that is reached once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import UNSET, UnsetType

from engine.errors import KernelStartFailed
from engine.following import follow
from engine.kernels import EnclosedTool, Kernel, Tool
from engine.kernels.provisioners import Confinement, run_command
from engine.languages import Language
from engine.log import get_logger
from engine.models import (
    Event,
    InstallationError,
    InstallationResult,
    InstallationStatus,
    Installed,
    Installing,
    Stderr,
    Stdout,
)
from engine.output import Journal, strip_ansi
from engine.packages.configuration import Configuration
from engine.packages.tools import Installer, Outcome, ToolFailed, ToolMissing, explain
from engine.packages.variables import CREDENTIALS, Variables
from engine.validation import KERNEL_VARIABLE
from engine.workspaces import Anchor, Place, RunDir, Workspace, as_owner

_MAX_EVENTS = 2000
_MAX_LOG_BYTES = 1024 * 1024
_LOG_LINES = 100
_LINE_CHARS = 2000
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Target(Protocol):
    """What packages are installed into: a context."""

    @property
    def id(self) -> str: ...
    @property
    def language(self) -> Language: ...
    @property
    def workspace(self) -> Workspace: ...
    @property
    def kernel(self) -> Kernel | None: ...

    def end_installation(self, installation: Installation) -> None:
        """The installation has ended."""


class Owner(Protocol):
    """Who bounds installations."""

    def note_finished(self, installation: Installation) -> None:
        """It has its result. Readers learn of that after this call."""


class Installation:
    """Runs in a task of its own from `start` on; readers follow it. When it is cancelled, its processes are gone before it ends.

    `configuration`: the operator's, for a tool that is isolated; None: it reads that itself."""

    def __init__(
        self,
        installer: Installer,
        packages: Sequence[str],
        *,
        tool: Tool,
        target: Target,
        variables: Variables,
        run_dir: RunDir,
        staging: Path,
        confinement: Confinement,
        configuration: Configuration | None,
        timeout: float,
    ) -> None:
        self.target = target
        self.context_id = target.id
        self.language = target.language.name
        self.tool = tool
        self.packages = list(packages)
        self.journal = Journal(max_events=_MAX_EVENTS, max_bytes=_MAX_LOG_BYTES)
        self.result: InstallationResult | None = None
        self._installer = installer
        self.workspace = target.workspace
        self._run_dir = run_dir
        self._staging = staging
        self._anchor = Anchor(staging)
        self._env = {
            **variables.plain,
            "TMPDIR": str(staging / "tmp"),
            KERNEL_VARIABLE: f"install-{target.workspace.root.name}",
        }
        self._secret = json.dumps(variables.secret).encode()
        self._confinement = confinement
        self._configuration = configuration
        if configuration is not None:
            self._env |= {"HOME": str(staging / "home"), "GIT_CONFIG_NOSYSTEM": "1"}
        self._enclosed: EnclosedTool | None = None
        self._timeout = timeout
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._task: asyncio.Task[None] | None = None
        self._owner: Owner | None = None
        self._reason = "was cancelled"
        self._started_at = time.perf_counter()

    def __repr__(self) -> str:
        state = "RUNNING" if self.result is None else self.result.status.upper()
        return f"<Installation {self.context_id} {self.tool} {state}>"

    @property
    def location(self) -> None:
        """It cannot be asked for again."""
        return None

    def start(self, owner: Owner) -> None:
        """Begin; `owner` learns of the end before readers do."""
        self._owner = owner
        self.journal.append(
            Installing(context_id=self.context_id, language=self.language, tool=self.tool, packages=self.packages)
        )
        self._task = asyncio.create_task(self._install())
        self._task.add_done_callback(self._settle)

    async def wait(self) -> InstallationResult:
        """The result, once it has ended. It always does: it has a deadline."""
        assert self._task is not None
        await asyncio.wait({self._task})
        assert self.result is not None
        return self.result

    async def cancel(self, reason: str) -> None:
        """End it, with all its processes, and return when they are gone. `reason` completes "The installation ..."."""
        await asyncio.wait({self.stop(reason)})

    def stop(self, reason: str) -> asyncio.Task[None]:
        """As `cancel`, at once: the task is done when its processes are gone."""
        assert self._task is not None
        if not self._task.done() and not self._task.cancelling():
            self._reason = reason
            self._task.cancel()
        return self._task

    def follow(self, after: int = 0, *, ping: float | None = None) -> AsyncIterator[tuple[int, Event] | None]:
        """Every event numbered above `after`, until the end; None after each `ping` seconds of silence."""
        return follow(self.journal, after, ping=ping)

    def _settle(self, task: asyncio.Task[None]) -> None:
        """Reach the end also where the task was cancelled before it began, or is broken."""
        if self.result is None and task.cancelled():
            self._end("cancelled", error=self._cancelled())
        elif self.result is None:
            get_logger().error("installation_failed", context=self.context_id, exc_info=task.exception())
            message = "The engine failed to run the installation"
            self._end("error", error=InstallationError("InternalError", message, "Try again."))

    async def _install(self) -> None:
        outcome = Outcome()
        status: InstallationStatus = "error"
        error: InstallationError | UnsetType = UNSET
        try:
            async with asyncio.timeout(self._timeout):
                await self._prepare()
                self._enclosed = await self.target.language.backend.enclose_tool(
                    self.workspace,
                    self._staging,
                    self._confinement,
                    self._configuration.read if self._configuration is not None else (),
                )
                outcome = await self._installer.install(self.packages, self.workspace, self._staging, self._command)
            status = "ok"
        except TimeoutError:
            message = f"The installation exceeded its timeout of {round(self._timeout * 1000)} ms and was stopped"
            status, error = (
                "timeout",
                InstallationError("InstallationTimeout", message, "Allow more time, or install less."),
            )
        except asyncio.CancelledError:
            status, error = "cancelled", self._cancelled()
        except ToolMissing as missing:
            error = InstallationError("ToolMissing", f"{self.tool} is not there", str(missing))
        except ToolFailed as failed:
            error = explain(failed.output)
        except (OSError, ValueError) as failure:
            error = InstallationError("InstallationFailed", str(failure)[:1000], "The log tells more.")
        except KernelStartFailed as failed:
            error = InstallationError("InstallationFailed", failed.message, "The server's log tells more.")
        if self._enclosed is not None:
            self._enclosed.release()
        with contextlib.suppress(asyncio.CancelledError):  # what has ended is not cancelled any more
            self._anchor.close()
            await asyncio.shield(self._run_dir.remove(self._staging))
        self._end(status, outcome, error)

    async def _prepare(self) -> None:
        await self.workspace.ready()
        uid = self.workspace.slot.uid
        self._run_dir.make(self._staging.name, uid=uid)
        self._anchor.make()
        with as_owner(uid):
            Place(self._anchor, ("tmp",)).make()

    def _cancelled(self) -> InstallationError:
        return InstallationError("InstallationCancelled", f"The installation {self._reason}", "Start it again.")

    def _end(
        self,
        status: InstallationStatus,
        outcome: Outcome | None = None,
        error: InstallationError | UnsetType = UNSET,
    ) -> None:
        outcome = outcome or Outcome()
        kernel = self.target.kernel
        if error is not UNSET:
            error.message = _without_secrets(error.message)
        self.result = InstallationResult(
            context_id=self.context_id,
            language=self.language,
            tool=self.tool,
            status=status,
            installed=outcome.installed,
            restart_for=outcome.replaced if kernel is not None and kernel.is_alive else [],
            log=list(self._log),
            duration_ms=round((time.perf_counter() - self._started_at) * 1000, 3),
            error=error,
        )
        if self._owner is not None:
            self._owner.note_finished(self)
        self.journal.append(Installed(result=self.result))
        self.journal.close()

    async def _command(self, command: Sequence[str], *, shown: bool = True, trusted: bool = False) -> str:
        """Run a command and, if it is to be shown, tell what it prints; returns the end of its stdout. Raises ToolFailed."""
        enclosed = self._enclosed
        with self._home(trusted):
            code, stdout, stderr = await run_command(
                command,
                cwd=self._staging,
                env=self._env,
                confinement=enclosed.confinement if enclosed is not None else self._confinement,
                reader=self if shown else None,
                given=self._secret if trusted else b"{}",
                spawner=enclosed.spawner if enclosed is not None else None,
                mark=f"t{secrets.token_hex(4)}",
            )
        if code != 0:
            raise ToolFailed(stderr + stdout)
        return stdout

    @contextlib.contextmanager
    def _home(self, trusted: bool) -> Iterator[None]:
        """Have the operator's configuration in the tool's home while no other code runs. Raises OSError."""
        files = self._configuration.home if trusted and self._configuration is not None else {}
        for name, data in files.items():
            with self._directory_of(name) as directory:
                with contextlib.suppress(FileNotFoundError):  # never into what is there: a hard link, or a pipe
                    os.unlink(Path(name).name, dir_fd=directory)
                fd = os.open(Path(name).name, _CREATE, 0o600, dir_fd=directory)
                with open(fd, "wb") as file:
                    file.write(data)
        try:
            yield
        finally:
            for name in files:
                with self._directory_of(name) as directory, contextlib.suppress(FileNotFoundError):
                    os.unlink(Path(name).name, dir_fd=directory)

    @contextlib.contextmanager
    def _directory_of(self, name: str) -> Iterator[int]:
        """Where a file of the tool's home lies: made, and reached by descriptors, as code of a package may have put links there."""
        place = Place(self._anchor, ("home", *Path(name).parts[:-1]))
        with as_owner(self.workspace.slot.uid), place.opened(make=True) as directory:
            yield directory

    def read_line(self, name: str, line: str) -> None:
        """Take a line that the tool has printed."""
        line = _without_secrets(strip_ansi(line))
        self._log.append(line[:_LINE_CHARS])
        event = Stderr if name == "stderr" else Stdout
        self.journal.append(event(text=f"{line}\n"))


def _without_secrets(text: str) -> str:
    """Without the credentials of URLs."""
    return CREDENTIALS.sub("***", text)
