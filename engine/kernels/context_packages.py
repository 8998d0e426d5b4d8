"""A context's packages as its kernels know them: variables and programs by which pip, uv and npm in a cell install into the context."""

from __future__ import annotations

from pathlib import Path

from engine.kernels.interpreters import find_node
from engine.resources import data_dir
from engine.settings import Settings
from engine.workspaces import Workspace


def package_variables(settings: Settings, workspace: Workspace) -> dict[str, str]:
    """The variables of kernels. Nothing that they name has to be there: the programs make it."""
    python = workspace.packages / "python"
    node = find_node(settings.node)
    # npm looks for the operator's configuration below the prefix unless it is told otherwise.
    npmrc = {} if node is None else {"npm_config_globalconfig": str(node.resolve().parent.parent / "etc" / "npmrc")}
    return {
        "POLYREPL_PACKAGES": str(python),
        "POLYREPL_PYTHON": str(settings.python),
        "PIP_PYTHON": str(_programs() / "context-python"),
        "UV_PYTHON": str(python / "bin" / "python"),
        "npm_config_prefix": str(workspace.packages / "npm"),
        **npmrc,
    }


def package_programs(workspace: Workspace) -> list[Path]:
    """Directories of programs: those that packages bring, and what stands in for installers."""
    return [workspace.packages / "python" / "bin", workspace.packages / "npm" / "bin", _programs()]


def _programs() -> Path:
    return data_dir() / "runtimes" / "bin"
