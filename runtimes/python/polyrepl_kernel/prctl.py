"""What a process tells Linux about itself (prctl(2)): its name, whose orphans it takes, and who may look into it."""

from __future__ import annotations

import ctypes
import os
import sys

_SET_PDEATHSIG = 1
_SET_DUMPABLE = 4
_SET_NAME = 15
_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


def name_process(name: str) -> None:
    """Be called `name`, of which 15 bytes count."""
    _prctl(_SET_NAME, name.encode())


def take_orphans(yes: bool = True) -> None:
    """Have the orphans among our descendants become our children, so that they can be found. A child does not inherit this."""
    _prctl(_SET_CHILD_SUBREAPER, int(yes))


def hide() -> None:
    """Keep memory, environment and descriptors from other processes of this user. A child inherits this, a program that it starts not."""
    _prctl(_SET_DUMPABLE, 0)


def set_death_signal(number: int) -> None:
    """Get this signal when the thread that started this process ends; 0: none."""
    _prctl(_SET_PDEATHSIG, int(number))


def _prctl(option: int, value: object) -> None:
    if _libc is None or _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
