"""Confinement: what a forked kernel puts on itself before any user code runs.

A confinement is a JSON object of the server's, one entry per kind, in the order of `_KINDS`:

- ``"rlimits": {"AS": [soft, hard]}``, names as in setrlimit(2) without their prefix, -1 for no limit.
- ``"hidden": true``: other processes of the same user see neither memory nor environment nor descriptors.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

from . import prctl


def check(confinement: Any) -> None:
    """Raise ValueError that names what is wrong."""
    if not isinstance(confinement, dict):
        raise ValueError("a confinement is an object")
    for kind, wanted in confinement.items():
        if kind not in _KINDS:
            raise ValueError(f"unknown confinement {kind!r}; known: {', '.join(_KINDS)}")
        _KINDS[kind][0](wanted)


def apply(confinement: dict[str, Any]) -> None:
    """Confine this process, for good."""
    check(confinement)
    for kind, (_, confine) in _KINDS.items():
        if kind in confinement:
            confine(confinement[kind])


def _check_rlimits(limits: Any) -> None:
    if not isinstance(limits, dict):
        raise ValueError("rlimits is an object")
    for name, pair in limits.items():
        if not hasattr(resource, f"RLIMIT_{name}"):
            raise ValueError(f"unknown rlimit {name!r}")
        if not isinstance(pair, list) or len(pair) != 2 or any(type(each) is not int or each < -1 for each in pair):
            raise ValueError(f"rlimit {name} is a pair of numbers")


def _apply_rlimits(limits: dict[str, list[int]]) -> None:
    for name, wanted in limits.items():
        number = getattr(resource, f"RLIMIT_{name}")
        most = resource.getrlimit(number)[1]
        soft, hard = (_lower(each, most) for each in wanted)
        resource.setrlimit(number, (_lower(soft, hard), hard))


def _check_hidden(hidden: Any) -> None:
    if type(hidden) is not bool:
        raise ValueError("hidden is true or false")


def _apply_hidden(hidden: bool) -> None:
    if hidden:
        prctl.hide()


def _lower(one: int, other: int) -> int:
    """The smaller of two limits: nobody without privilege raises one, and with it nobody should."""
    # RLIM_INFINITY is -1 before Python 3.15 and the largest number from then on; -1 is understood by all.
    finite = [each for each in (one, other) if each not in (-1, resource.RLIM_INFINITY)]
    return min(finite, default=resource.RLIM_INFINITY)


_KINDS: dict[str, tuple[Callable[[Any], None], Callable[[Any], None]]] = {
    "rlimits": (_check_rlimits, _apply_rlimits),
    "hidden": (_check_hidden, _apply_hidden),
}
