"""`polyrepl_confine`, which is no part of the engine and is found where kernels find it."""

from __future__ import annotations

import sys
from pathlib import Path

_RUNTIME = str(Path(__file__).resolve().parents[3] / "runtimes/python")
sys.path.insert(0, _RUNTIME)
try:
    from polyrepl_confine import box, confinement, filter, plan, root, syscalls, world
    from polyrepl_confine.init import assemble
finally:
    sys.path.remove(_RUNTIME)

__all__ = ["assemble", "box", "confinement", "filter", "plan", "root", "syscalls", "world"]
