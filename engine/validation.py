"""What requests name, checked: ids, variables and directories."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import chain

from engine.errors import FieldError, InvalidRequest

_NOT_TEXT = "holds half of a surrogate pair, which is no character"
CONTEXT_ID = r"[A-Za-z0-9_.:~-]{1,128}"
MAX_NAME = 200  # characters of the name of a variable, or of a part of one, that is looked for
MAX_ENV = 1024 * 1024  # characters of all variables of a request; an operating system takes no more
MAX_ENTRIES = 1000  # of a map in a request
ENV_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
IS_CONTEXT_ID, IS_ENV_NAME = re.compile(CONTEXT_ID), re.compile(ENV_NAME)
KERNEL_VARIABLE = "POLYREPL_KERNEL"  # names the kernel; nothing is decided by it
PACKAGES_VARIABLE = "POLYREPL_PACKAGES"  # runtimes/README.md, like the next
PYTHON_VARIABLE = "POLYREPL_PYTHON"
CACHE_VARIABLE = "POLYREPL_CACHE_DIR"
HIDDEN_VARIABLE = "POLYREPL_HIDDEN"
NETWORK_VARIABLE = "POLYREPL_NO_NETWORK"  # what installers in a cell say first, if there is no network
OWN_VARIABLES = frozenset(
    {KERNEL_VARIABLE, PACKAGES_VARIABLE, PYTHON_VARIABLE, CACHE_VARIABLE, HIDDEN_VARIABLE, NETWORK_VARIABLE}
)
"""What the server says to a kernel of its own: a request that gives one of these changes nothing."""


def check_context_id(context_id: str | None) -> None:
    if context_id is not None and not IS_CONTEXT_ID.fullmatch(context_id):
        error = "must be 1 to 128 of the characters A-Z a-z 0-9 _ . : ~ -"
        raise InvalidRequest(FieldError("context_id", error))


def is_text(value: str) -> bool:
    """Whether UTF-8 can express it: kernels and clients get nothing else, though on Linux a file's name may be any bytes."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_text(field: str, value: str) -> None:
    """Raises InvalidRequest where a kernel could not get it."""
    if not is_text(value):
        raise InvalidRequest(FieldError(field, _NOT_TEXT))


def check_size(field: str, texts: Iterable[str], most: int) -> None:
    """Raises InvalidRequest where texts that are kept have more than `most` characters together."""
    size = sum(map(len, texts))
    if size > most:
        raise InvalidRequest(FieldError(field, f"has {size} characters in all, and may have {most}"))


def check_env_vars(env_vars: Mapping[str, str] | None) -> dict[str, str]:
    """The variables that a request may set: all but OWN_VARIABLES. Names as POSIX has them; values are text without NUL.

    Raises InvalidRequest that names every wrong one (never a value)."""
    if env_vars and len(env_vars) > MAX_ENTRIES:
        raise InvalidRequest(FieldError("env_vars", f"must have at most {MAX_ENTRIES} entries"))
    check_size("env_vars", chain.from_iterable((env_vars or {}).items()), MAX_ENV)
    errors = []
    for name, value in (env_vars or {}).items():
        if not IS_ENV_NAME.fullmatch(name):
            shown = name.encode(errors="replace").decode()
            errors.append(FieldError(f"env_vars.{shown}", "a name is letters, digits and _, and starts with no digit"))
        elif "\0" in value:
            errors.append(FieldError(f"env_vars.{name}", "a value cannot hold a NUL character"))
        elif not is_text(value):
            errors.append(FieldError(f"env_vars.{name}", _NOT_TEXT))
    if errors:
        raise InvalidRequest(*errors)
    return {name: value for name, value in (env_vars or {}).items() if name not in OWN_VARIABLES}
