"""The environment of one cell, laid over the process environment while it runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress


def environment_from_metadata(value: object) -> dict[str, str]:
    """Read the metadata entry ``env_vars``; what is not a string is left out."""
    if not isinstance(value, dict):
        return {}
    return {name: text for name, text in value.items() if isinstance(name, str) and isinstance(text, str)}


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables and put the old values back, except for those that were assigned or deleted meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    try:
        for name, value in variables.items():
            # A name or value that no environment can hold must not cost the cell its reply.
            with suppress(ValueError):
                os.environ[name] = value
        yield
    finally:
        for name, value in variables.items():
            if os.environ.get(name) == value:
                _restore(name, before[name])


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
