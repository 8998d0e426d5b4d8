"""What a zygote imports for its kernels, and the directories that tell when that is no longer what is installed."""

from __future__ import annotations

import importlib
import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Sequence

# The parts of a package that users mean when they name it.
_PARTS = {"matplotlib": ("matplotlib.pyplot", "matplotlib_inline.backend_inline")}
_REASON_CHARACTERS = 300
# What keeps imports from starting threads, which no fork would have: pandas imports pyarrow, and that an allocator with a thread.
_WITHOUT_THREADS = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}


def preload(names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Import modules. Returns those that are there now, and why the others are not; none of them is needed."""
    os.environ.update(_WITHOUT_THREADS)  # kernels get an environment of their own
    loaded: list[str] = []
    failed: dict[str, str] = {}
    for name in names:
        try:
            for part in _PARTS.get(name, (name,)):
                importlib.import_module(part)
        except BaseException as error:  # a module may do anything, even exit
            failed[name] = f"{type(error).__name__}: {error}"[:_REASON_CHARACTERS]
        else:
            loaded.append(name)
    return loaded, failed


def watched(loaded: Sequence[str]) -> dict[str, int]:
    """Directories and when they were last changed, in nanoseconds: an installer touches one of them for whatever it replaces."""
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}
    if site.ENABLE_USER_SITE:
        paths.add(site.getusersitepackages())
    for name in (*loaded, "IPython"):
        paths.update(getattr(sys.modules.get(name), "__path__", ()))
    found = {}
    for path in sorted(paths):
        try:
            found[path] = os.stat(path).st_mtime_ns
        except OSError:  # no such directory
            continue
    return found
