"""What requests name (layer 1), checked: ids, variables and directories."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from engine.errors import FieldError, InvalidRequest

CONTEXT_ID = r"[A-Za-z0-9_.:~-]{1,128}"
ENV_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


def check_context_id(context_id: str | None) -> None:
    if context_id is not None and not re.fullmatch(CONTEXT_ID, context_id):
        error = "must be 1 to 128 of the characters A-Z a-z 0-9 _ . : ~ -"
        raise InvalidRequest(FieldError("context_id", error))


def check_env_vars(env_vars: Mapping[str, str] | None) -> dict[str, str]:
    """Names as POSIX has them; values without NUL. Raises InvalidRequest that names every wrong one (never a value)."""
    errors = []
    for name, value in (env_vars or {}).items():
        if not re.fullmatch(ENV_NAME, name):
            errors.append(FieldError(f"env_vars.{name}", "a name is letters, digits and _, and starts with no digit"))
        elif "\0" in value:
            errors.append(FieldError(f"env_vars.{name}", "a value cannot hold a NUL character"))
    if errors:
        raise InvalidRequest(*errors)
    return dict(env_vars or {})


def check_cwd(cwd: str | None) -> Path | None:
    """The directory that a request names. `/home/user`, the compatible APIs' default, means none where it does not exist."""
    if cwd is None:
        return None
    path = Path(cwd)
    if "\0" in cwd or not path.is_absolute():
        raise InvalidRequest(FieldError("cwd", "must be an absolute path"))
    try:
        if path.is_dir():
            return path
    except OSError as error:  # a name that is too long, a directory that may not be entered
        raise InvalidRequest(FieldError("cwd", error.strerror or str(error))) from None
    if cwd == "/home/user":
        return None
    raise InvalidRequest(FieldError("cwd", "no such directory"))
