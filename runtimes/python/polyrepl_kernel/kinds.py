"""Of which class a value is, as the interpreter knows it: neither a metaclass nor a class of the user's has a say in it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import ModuleType

_get_mro = type.__dict__["__mro__"].__get__


def known_type(module_name: str, *names: str) -> tuple[type, ...]:
    """Classes of a module that the user has imported; none where it is not there. Never imports."""
    module = sys.modules.get(module_name)
    if type(module) is not ModuleType:
        return ()
    found = (module.__dict__.get(name) for name in names)
    return tuple(each for each in found if is_among(type, mro(type(each))))


def is_among(kind: type, kinds: Iterable[type]) -> bool:
    """Whether a class is one of these."""
    return any(kind is each for each in kinds)


def mro(kind: type) -> tuple[type, ...]:
    """The method resolution order as the interpreter uses it."""
    found: tuple[type, ...] = _get_mro(kind)
    return found


def is_a(value: object, module_name: str, *names: str) -> bool:
    """Whether a value is of one of these classes of a module, which is imported if there are values of it."""
    kinds = mro(type(value))
    return any(is_among(kind, kinds) for kind in known_type(module_name, *names))
