"""The end of the kernel when the process that started it is gone."""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> bool:
    """Ask Linux to kill this process when `parent` dies; False when that is not our parent or not Linux."""
    if not sys.platform.startswith("linux") or parent <= 1 or os.getppid() != parent:
        return False
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        return False
    if os.getppid() != parent:
        os._exit(1)  # it died before the request
    return True
