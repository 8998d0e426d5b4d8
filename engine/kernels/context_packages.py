"""A context's packages as its kernels know them: variables and programs by which pip, uv and npm in a cell install into the context."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from engine.kernels.interpreters import find_node
from engine.resources import data_dir
from engine.settings import Settings
from engine.validation import NETWORK_VARIABLE, PACKAGES_VARIABLE, PYTHON_VARIABLE
from engine.workspaces import Workspace

_NO_NETWORK = (
    "This context has no network, so installers reach no registry. Install packages through the server: "
    "POST /contexts/CONTEXT_ID/packages, or the tool install_packages of MCP."
)


def package_variables(settings: Settings, workspace: Workspace, *, has_network: bool = True) -> dict[str, str]:
    """The variables of kernels. Nothing that they name has to be there: the programs make it."""
    packages = str(workspace.packages)
    return {
        PACKAGES_VARIABLE: f"{packages}/python",
        "UV_PYTHON": f"{packages}/python/bin/python",
        "npm_config_prefix": f"{packages}/npm",
        **({} if has_network else {NETWORK_VARIABLE: _NO_NETWORK}),
        **fixed_variables(settings),
    }


def fixed_variables(settings: Settings) -> dict[str, str]:
    """Those of them that are the same in every context: a zygote has them, so that its kernels need not write them."""
    npmrc = _operators_npmrc(settings.node)
    return {
        PYTHON_VARIABLE: str(settings.python),
        "PIP_PYTHON": str(_programs() / "context-python"),
        **({} if npmrc is None else {"npm_config_globalconfig": npmrc}),
    }


def package_programs(workspace: Workspace) -> list[Path]:
    """Directories of programs: those that packages bring, and what stands in for installers."""
    return [workspace.packages / "python" / "bin", workspace.packages / "npm" / "bin", _programs()]


@cache
def _operators_npmrc(configured: Path | None) -> str | None:
    """Where npm has its configuration for all users, which it would otherwise look for below the context's prefix."""
    node = find_node(configured)
    return None if node is None else str(node.resolve().parent.parent / "etc" / "npmrc")


@cache
def _programs() -> Path:
    return data_dir() / "runtimes" / "bin"
