"""The token from a file, so that it stands neither in the environment nor on the command line."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_MAX_BYTES = 4096


def read_token(path: Path) -> str:
    """The only line of a file. Raises ValueError that says what is wrong with it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ValueError(f"token_file: {path}: {error.strerror}") from None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"token_file: {path} is no regular file")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ValueError(f"token_file: {path} can be written by others: chmod 600 {path}")
        data = os.read(fd, _MAX_BYTES + 1)
    finally:
        os.close(fd)
    if len(data) > _MAX_BYTES:
        raise ValueError(f"token_file: {path} has more than {_MAX_BYTES} bytes")
    try:
        token = data.decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"token_file: {path} is not UTF-8") from None
    if not token or not token.isprintable():
        raise ValueError(f"token_file: {path} must contain one line, the token")
    return token


def is_readable_by_others(path: Path) -> bool:
    """Whether other users of this machine can read it."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
