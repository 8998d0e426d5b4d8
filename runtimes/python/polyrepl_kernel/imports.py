"""What happens when cells, or libraries that look for a notebook, import ipykernel in a kernel that is not ipykernel."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

Action = Callable[[ModuleType], None]
_SHELL_MODULE = "ipykernel.zmqshell"


class _AfterImport(MetaPathFinder):
    """Does something with some modules when they have been imported."""

    def __init__(self) -> None:
        self.actions: dict[str, tuple[Action, ...]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of the modules as Python does."""
        actions = self.actions.get(fullname)
        spec = PathFinder.find_spec(fullname, path, target) if actions else None
        if actions is None or spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            for act in actions:
                act(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


_finder = _AfterImport()


def after_import(name: str, act: Action) -> None:
    """Call `act` with the module of that name each time it has been imported."""
    _finder.actions[name] = (*_finder.actions.get(name, ()), act)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def on_import(name: str, act: Action) -> None:
    """Call `act` with the module of that name: now if it is there, and each time it has been imported."""
    if name in sys.modules:
        act(sys.modules[name])
    after_import(name, act)


class _ShellModule(ModuleType):
    """Stands for ipykernel.zmqshell, by whose presence tqdm and others know a notebook, until something of it is used."""

    _real: ModuleType | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # tracebacks and debuggers look through all modules
            raise AttributeError(name)
        if self._real is None:
            self._real = self._import()
        return getattr(self._real, name)

    def _import(self) -> ModuleType:
        del sys.modules[_SHELL_MODULE]
        try:
            return importlib.import_module(_SHELL_MODULE)
        finally:
            sys.modules[_SHELL_MODULE] = self
            if "ipykernel" in sys.modules:
                self.enter(sys.modules["ipykernel"])

    def enter(self, package: ModuleType) -> None:
        """Be the package's attribute, as the import of a submodule would make it."""
        package.zmqshell = self  # type: ignore[attr-defined]


def pose_as_notebook(shell_class: type) -> None:
    """Let imports of ipykernel.zmqshell succeed at no cost; its ZMQInteractiveShell is `shell_class`."""
    module = _ShellModule(_SHELL_MODULE)
    module.ZMQInteractiveShell = shell_class  # type: ignore[attr-defined]
    sys.modules[_SHELL_MODULE] = module
    after_import("ipykernel", module.enter)
