"""The environment of kernels: built from an allow-list, never the server's own variables or token."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.kernels.interpreters import find_node
from engine.settings import Settings
from engine.validation import HIDDEN_VARIABLE

# What programs need to find each other, their user and their language; nothing that usually holds a secret.
_ALLOWED = ("HOME", "LANG", "LANGUAGE", "LC_*", "LOGNAME", "PATH", "SHELL", "TERM", "TZ", "USER")
# What programs keep for their next run, and believe then: each context has its own, in these directories of its state.
_STATE = {
    "BUN_RUNTIME_TRANSPILER_CACHE_PATH": "bun",
    "DENO_DIR": "deno",
    "IPYTHONDIR": "ipython",
    "MPLCONFIGDIR": "matplotlib",
    "NUMBA_CACHE_DIR": "numba",
    "XDG_CACHE_HOME": "cache",
}
# What interpreters and numeric libraries read once, when they start.
_EARLY = ("PYTHON*", "LD_*", "MALLOC_*", "OMP_*", "OPENBLAS_*", "MKL_*", "NUMEXPR_*", "MPLBACKEND", "MATPLOTLIBRC")


def kernel_env(
    settings: Settings,
    *,
    spec_env: Mapping[str, str],
    tmp_dir: Path,
    state_dir: Path,
    server_env: Mapping[str, str],
    context_env: Mapping[str, str] | None = None,
    own: Mapping[str, str] | None = None,
    programs: Sequence[Path] = (),
    home: Path | None = None,
) -> dict[str, str]:
    """All variables of a new kernel. Later ones win: allow-list, directories of the context, the kernelspec's, the setting
    `kernel_env`, `context_env` (what a request gave), `own` (what the server says to its kernel: OWN_VARIABLES).

    `programs`: directories that come first on PATH; `home`: that of isolated code."""
    patterns = (*_ALLOWED, *settings.kernel_env_allow)
    env = {name: value for name, value in server_env.items() if any(_matches(name, pattern) for pattern in patterns)}
    env["PATH"] = os.pathsep.join([*map(str, programs), _path(settings, env.get("PATH", os.defpath))])
    env["TMPDIR"] = str(tmp_dir)
    if home is not None:
        env["HOME"] = str(home)
    env |= {name: str(state_dir / directory) for name, directory in _STATE.items()}
    # Programs find out from it that they run behind a gateway; a Kernel Gateway lets nothing override it.
    gateway = {"KERNEL_GATEWAY": "1"} if "gateway" in settings.surfaces else {}
    hidden = {HIDDEN_VARIABLE: "1"} if settings.hide_processes else {}
    return {**env, **spec_env, **settings.kernel_env, **(context_env or {}), **gateway, **(own or {}), **hidden}


def zygote_env(settings: Settings, *, run_dir: Path, server_env: Mapping[str, str]) -> dict[str, str]:
    """The variables of a zygote, which every kernel is a copy of: of the settings only what has its effect at the start.

    Each kernel gets its own variables, those of the settings included, in their place. A zygote makes a new directory in TMPDIR
    for what programs keep."""
    early = {name: value for name, value in settings.kernel_env.items() if any(_matches(name, each) for each in _EARLY)}
    bare = settings.model_copy(update={"kernel_env": {}, "kernel_env_allow": []})
    env = kernel_env(bare, spec_env=early, tmp_dir=run_dir, state_dir=run_dir, server_env=server_env)
    return {name: value for name, value in env.items() if name not in _STATE}


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _path(settings: Settings, path: str) -> str:
    """The programs of the kernels' interpreters come first, so that `!pip` and `npm` are theirs."""
    own = [str(settings.python.parent)]
    node = find_node(settings.node)
    if node is not None:
        own.append(str(node.parent))
    rest = [place for place in path.split(os.pathsep) if place and place not in own]
    return os.pathsep.join([*own, *rest])
