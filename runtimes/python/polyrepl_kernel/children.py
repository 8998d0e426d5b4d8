"""Processes that user code forks: they end as a Python program does, with its exit code, and what they say goes to their parent."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

_FAILED = 1


def leave(error: BaseException | None) -> NoReturn:
    """End this process: a cell, or what else was called in it, has returned, or raised `error`, whose traceback is written."""
    status = 0 if error is None else _FAILED
    if isinstance(error, SystemExit):
        status = _status_of(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()
    if isinstance(error, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status)


def report(error_type: type[BaseException], lines: Sequence[str]) -> None:
    """Write the traceback of an error that ends this process; an exit has none."""
    if not issubclass(error_type, SystemExit):
        with suppress(BaseException):
            sys.stderr.write("\n".join(lines) + "\n")


def _status_of(error: SystemExit) -> int:
    """The exit code that Python makes of it; what is no number is a message."""
    code = error.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    with suppress(BaseException):
        sys.stderr.write(f"{code}\n")
    return _FAILED
