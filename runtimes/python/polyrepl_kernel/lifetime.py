"""The end of the kernel's process: when the process that started it is gone, and when its client is."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import NoReturn

from . import prctl

_KILL_LATER = ("/bin/sh", ("sh", "-c", "sleep 0.5; kill -9 0"))  # its own group, which is that of the kernel


def die_with_parent(parent: int) -> bool:
    """Ask Linux to kill this process when `parent` dies, more exactly: its thread that started this process.

    Returns False when that is not our parent or not Linux."""
    if not sys.platform.startswith("linux") or parent <= 1 or os.getppid() != parent:
        return False
    try:
        prctl.set_death_signal(signal.SIGKILL)
    except OSError:
        return False
    if os.getppid() != parent:
        os._exit(1)  # it died before the request
    return True


def outlive_parent() -> None:
    """Take `die_with_parent` back: from now on the end of a stream says that the client is gone, and there is more to end."""
    with contextlib.suppress(OSError):
        prctl.set_death_signal(0)


def _ignore_sigterm() -> None:
    import ctypes

    ignore = ctypes.CDLL(None).signal  # Python's own works in the main thread only
    ignore.argtypes, ignore.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    ignore(signal.SIGTERM, int(signal.SIG_IGN))


def end_process_group() -> NoReturn:
    """The client is gone: end this process and what it started, in an order in which shared memory is removed.

    Python's resource trackers ignore SIGTERM, and remove what is left once all others have ended."""
    with contextlib.suppress(OSError):
        if os.getpgid(0) == os.getpid():
            try:
                _ignore_sigterm()  # and so does what is started now
                os.posix_spawn(*_KILL_LATER, {})
                os.killpg(0, signal.SIGTERM)
            except (OSError, MemoryError):
                os.killpg(0, signal.SIGKILL)
    os._exit(0)
