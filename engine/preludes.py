"""Environment of one cell in kernels that do not read ours (layer 1): cells that set variables, and put them back. Pure.

They run silently and without history, before and after the user's cell, whose source they never touch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

LANGUAGES = ("python",)

# Old values wait in an attribute of sys, so that no name of the user's is taken. What the cell itself assigned stays.
# Both can be run again where an interrupt stopped them half-way.
_SET = """\
import os, sys
if not hasattr(sys, '_polyrepl_env'):
    sys._polyrepl_env = {name: os.environ.get(name) for name in given}
os.environ.update(given)"""
_PUT_BACK = """\
import os, sys
for name, old in getattr(sys, '_polyrepl_env', {}).items():
    if os.environ.get(name) == given[name]:
        if old is None: del os.environ[name]
        else: os.environ[name] = old
sys.__dict__.pop('_polyrepl_env', None)"""


class Preludes(NamedTuple):
    """Source of the cell before, and of the one after."""

    before: str
    after: str


def preludes(language: str, env: Mapping[str, str]) -> Preludes | None:
    """The cells for a kernel of this language, as its kernelspec names it; None where it cannot be done."""
    if language.lower() not in LANGUAGES:
        return None
    given = {"given": dict(env)}
    return Preludes(f"exec({_SET!r}, {given!r})", f"exec({_PUT_BACK!r}, {given!r})")
