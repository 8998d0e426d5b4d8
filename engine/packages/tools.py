"""Tools: how packages get into a context with pip or npm, and what the tools' complaints mean.

Both run in a staging directory of ours, and see nothing of the context but names and versions: no code, no configuration. Programs of
ours read those from the context before, and move what was installed into the context after (`package_staging.py`, `npm_staging.py`).
Those are processes, too: what they find in a context may be anything, and they end with the installation's deadline."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from engine.models import InstallationError, PackageInfo
from engine.workspaces import Workspace

T = TypeVar("T")
_MAX_ANSWER_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is new. `replaced`: names of packages that were there in another version."""

    installed: list[PackageInfo] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)


class ToolFailed(Exception):
    """A command of the tool did not succeed; `output` is the end of what it printed."""

    def __init__(self, output: str) -> None:
        super().__init__(output)
        self.output = output


class ToolMissing(Exception):
    """The tool is not there; the message tells what to do about that."""


class Run(Protocol):
    """Runs a command in the staging directory."""

    async def __call__(self, command: Sequence[str], *, shown: bool = True, trusted: bool = False) -> str:
        """The end of its stdout. `shown`: its output is for readers. `trusted`: it gets the credentials, as JSON through stdin.

        Raises ToolFailed."""


class Installer(Protocol):
    """Puts packages into a context. What is cancelled or fails leaves the context's packages as they were."""

    async def install(self, packages: Sequence[str], workspace: Workspace, staging: Path, run: Run) -> Outcome:
        """Raises ToolFailed, ToolMissing, or what the commands are cancelled with."""


def located(packages: Sequence[str], workspace: Workspace) -> list[str]:
    """The packages, with paths that hold in any directory."""
    return [_RELATIVE.sub(lambda _: f"{workspace.cwd}/", package) for package in packages]


def read_answer(path: Path, kind: type[T]) -> T:
    """What a program of ours has written into the staging directory. Raises OSError, or ValueError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("the answer of the installation is not a regular file")
        return msgspec.json.decode(file.read(_MAX_ANSWER_BYTES), type=kind)


_RELATIVE = re.compile(r"^(?:file:)?(?=\.{1,2}/)")
_COMPLAINT = re.compile(r"^(?:ERROR: |error: |npm error )(.*\S)", re.MULTILINE)
_NO_REASON = re.compile(r"\A(?:code |A complete log|\S*/_logs/|404$)")
# The first that fits names the failure: what it says of the network is meant even where pip then finds "no version".
_COMPLAINTS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "RegistryUnreachable",
        re.compile(
            r"Failed to establish a new connection|Max retries exceeded|ConnectTimeoutError|Temporary failure in name resolution"
            r"|CERTIFICATE_VERIFY_FAILED|ProxyError|npm error code (?:ENOTFOUND|ECONN\w+|E?AI_AGAIN|EAI_AGAIN|ETIMEDOUT|ERR_SOCKET\w*)"
            r"|npm error code (?:SELF_SIGNED\w*|UNABLE_TO\w*|CERT_\w+)"
        ),
        "The server could not reach the registry: check its network, and PIP_INDEX_URL or npm_config_registry.",
    ),
    (
        "RegistryRefused",
        re.compile(r"npm error code E40[13]|\b40[13] (?:Client Error|Unauthorized|Forbidden)"),
        "The registry wants other credentials: the operator sets them in .npmrc, pip.conf or the server's environment.",
    ),
    ("DiskFull", re.compile(r"No space left on device|ENOSPC"), "Free some space, or delete contexts."),
    (
        "PackageNotFound",
        re.compile(r"\(from versions: none\)|npm error code E404|npm error code EINVALIDPACKAGENAME"),
        "Check the spelling: the registry has no package of this name that fits this interpreter.",
    ),
    (
        "VersionNotFound",
        re.compile(r"Could not find a version that satisfies|npm error code ETARGET"),
        "Ask for another version, or for none in particular.",
    ),
    (
        "DependencyConflict",
        re.compile(r"ResolutionImpossible|conflicting dependencies|npm error code ERESOLVE"),
        "Ask for other versions: these packages cannot be installed together.",
    ),
    (
        "BuildRefused",
        re.compile(r"ERROR: A package has no wheel and would have to be built"),
        "A build could read the server's credentials of a registry, or use the server itself if that has no token. Ask for a version "
        "with a wheel, or let the operator set a token, or package_scripts.",
    ),
    (
        "BuildFailed",
        re.compile(
            r"Failed building wheel|subprocess-exited-with-error|metadata-generation-failed|Failed to build|npm error code ELIFECYCLE"
        ),
        "The package has to be built here, and that failed: ask for a version with a wheel for this interpreter.",
    ),
    (
        "NotWritable",
        re.compile(r"npm error code E(?:ACCES|PERM|ROFS)|Permission denied"),
        "The server's user may not write there.",
    ),
)


def explain(output: str) -> InstallationError:
    """What the tool's complaints mean."""
    for name, pattern, remediation in _COMPLAINTS:
        if pattern.search(output):
            return InstallationError(name, _complaint(output), remediation)
    return InstallationError("InstallationFailed", _complaint(output), "The log tells more.")


def _complaint(output: str) -> str:
    """The lines in which the tool says what is wrong."""
    found = _COMPLAINT.findall(output)
    told = [line for line in found if not _NO_REASON.match(line)]
    return ("; ".join(told[:3]) or output.strip().rpartition("\n")[2] or "The tool failed and said nothing")[:1000]
