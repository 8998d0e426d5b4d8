"""Kernelspecs: ours, and those installed on the machine; which of them can run here, and why not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal, get_args

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_core.paths import jupyter_path

from engine.errors import KernelStartFailed
from engine.kernels.interpreters import INTERPRETERS, PYTHONS, Interpreter, Tool
from engine.resources import kernelspecs_dir
from engine.settings import MIB, Settings

Runtime = Literal["node", "bun", "deno"]
RUNTIMES = get_args(Runtime)
_RESERVED_MIB = 512  # while a kernel starts
CONNECTION_FILE = "{connection_file}"
"""What stands in a kernel's command for the path of its connection file, until that is known."""


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
        """Why this kernelspec cannot be used here; None if it can."""
        try:
            spec = self.find(kernel_name)
        except KernelStartFailed:
            return f"kernelspec {kernel_name!r} is not installed"
        interpreter = _interpreter_of(spec)
        if interpreter is not None:
            return interpreter.problem(self._settings, kernel_name)
        return None if shutil.which(spec.argv[0]) else f"{spec.argv[0]!r} is not on PATH"

    def version(self, kernel_name: str) -> str | None:
        """Version of the interpreter behind one of our kernelspecs; None if it is unknown."""
        spec = self._found.get(kernel_name)
        interpreter = None if spec is None else _interpreter_of(spec)
        return None if interpreter is None else interpreter.version(self._settings)

    def command(
        self, spec: KernelSpec, connection_file: str = CONNECTION_FILE, *, memory: int | None = None
    ) -> list[str]:
        """The argv that starts a kernel of this spec, interpreters as the settings name them. `memory`: its limit in bytes."""
        program, *rest = spec.argv
        interpreter = INTERPRETERS["python"] if program in PYTHONS else _interpreter_of(spec)
        if interpreter is not None:
            program = str(interpreter.find(self._settings) or program)
        values = {CONNECTION_FILE: connection_file, "{resource_dir}": spec.resource_dir}
        return [program, *_memory_arguments(spec, memory), *(_fill(argument, values) for argument in rest)]


def _memory_arguments(spec: KernelSpec, memory: int | None) -> list[str]:
    """What tells an interpreter that bounds its own heap how large that may be (runtimes/README.md)."""
    argument = _memory(spec).get("argument")
    if memory is None or not isinstance(argument, str):
        return []
    return [argument.replace("{mib}", str(memory // MIB))]


def is_ours(spec: KernelSpec) -> bool:
    return Path(spec.resource_dir).parent == kernelspecs_dir()


def _interpreter_of(spec: KernelSpec) -> Interpreter | None:
    """What a kernelspec of ours runs on; None for the kernelspecs of others."""
    return INTERPRETERS.get(spec.argv[0]) if is_ours(spec) else None


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


def types_of(spec: KernelSpec) -> Runtime | None:
    """The runtime whose declarations a type check of its cells needs (runtimes/README.md); None where cells have no types."""
    named = _ours(spec).get("types")
    return named if named in RUNTIMES and is_ours(spec) else None


def reserved_memory(spec: KernelSpec) -> int:
    """Bytes that the interpreter and what is preloaded in it may take until it has started, generously."""
    mib = _memory(spec).get("reserved_mib")
    return (mib if isinstance(mib, int) else _RESERVED_MIB) * MIB


def memory_slack(spec: KernelSpec) -> int:
    """Bytes that an interpreter reserves and does not use, such as V8 for each of a user's workers."""
    mib = _memory(spec).get("slack_mib")
    return mib * MIB if isinstance(mib, int) else 0


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
