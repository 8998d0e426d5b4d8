"""The end of the kernel's process: when the process that started it is gone, and when its client is."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import NoReturn

from . import prctl


def die_with_parent(parent: int) -> bool:
    """Ask Linux to kill this process when `parent` dies; False when that is not our parent or not Linux."""
    if not sys.platform.startswith("linux") or parent <= 1 or os.getppid() != parent:
        return False
    try:
        prctl.die_with_parent()
    except OSError:
        return False
    if os.getppid() != parent:
        os._exit(1)  # it died before the request
    return True


def end_process_group() -> NoReturn:
    """The client is gone: end this process and what it started."""
    with contextlib.suppress(OSError):
        if os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)
    os._exit(0)
