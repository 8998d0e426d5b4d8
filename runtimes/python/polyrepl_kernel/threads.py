"""Thread pools of numeric libraries that are loaded already: they read how many threads they may have only once, in the zygote."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

# By what is in a library's file name: the functions that say how many threads it has, and the variables that it reads.
_LIBRARIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "openblas": (
        (
            "scipy_openblas_set_num_threads64_",
            "openblas_set_num_threads64_",
            "scipy_openblas_set_num_threads",
            "openblas_set_num_threads",
        ),
        ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"),
    ),
    "libmkl_rt": (("MKL_Set_Num_Threads",), ("MKL_NUM_THREADS", "OMP_NUM_THREADS")),
    "libblis": (("bli_thread_set_num_threads",), ("BLIS_NUM_THREADS", "OMP_NUM_THREADS")),
    "libgomp": (("omp_set_num_threads",), ("OMP_NUM_THREADS",)),
    "libiomp": (("omp_set_num_threads",), ("OMP_NUM_THREADS",)),
    "libomp": (("omp_set_num_threads",), ("OMP_NUM_THREADS",)),
}
# The same for modules with a pool of their own.
_MODULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "numexpr": ("set_num_threads", ("NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS")),
    "torch": ("set_num_threads", ("OMP_NUM_THREADS",)),
    "pyarrow": ("set_cpu_count", ("OMP_NUM_THREADS",)),
}
Pool = tuple[Any, tuple[str, ...]]  # the function, and the variables


class ThreadPools:
    """Those that this process has loaded. A kernel, which is a copy of it, has them obey its own environment."""

    def __init__(self) -> None:
        self._env = {name: os.environ.get(name) for name in _variables()}
        self._pools = [*_of_libraries(), *_of_modules()]

    def obey(self, env: Mapping[str, str]) -> None:
        """Limit each pool as the variables say that it reads, where they say something else than when it was loaded."""
        for limit, names in self._pools:
            said = next((name for name in names if env.get(name, "").isdigit()), None)
            if said is not None and env[said] != self._env[said] and int(env[said]) > 0:
                with suppress(Exception):  # a library that refuses keeps what it has
                    limit(int(env[said]))


def _variables() -> set[str]:
    return {name for _, names in (*_LIBRARIES.values(), *_MODULES.values()) for name in names}


def _of_libraries() -> Iterable[Pool]:
    for path in _loaded():
        file = os.path.basename(path)
        functions, names = next((each for key, each in _LIBRARIES.items() if key in file), ((), ()))
        with suppress(OSError):
            library = ctypes.CDLL(path)
            found = next((each for each in functions if hasattr(library, each)), None)
            if found is not None:
                limit = getattr(library, found)
                limit.restype, limit.argtypes = None, [ctypes.c_int]
                yield limit, names


def _loaded() -> set[str]:
    with suppress(OSError), open("/proc/self/maps", errors="surrogateescape") as file:
        paths = {line.split(maxsplit=5)[5].rstrip("\n") for line in file if "/" in line}
        return {path for path in paths if any(key in os.path.basename(path) for key in _LIBRARIES)}
    return set()


def _of_modules() -> Iterable[Pool]:
    for name, (function, names) in _MODULES.items():
        limit = getattr(sys.modules.get(name), function, None)
        if limit is not None:
            yield limit, names
