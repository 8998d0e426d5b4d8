"""What all values of the API have in common: fields that may be absent, and the way from JSON and back. Pure."""

from __future__ import annotations

import enum
import json
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, Final, Literal, TypeVar, dataclass_transform

V = TypeVar("V")
_Convert = Callable[[Any, str], Any]  # what JSON holds, and where it stands


class UnsetType(enum.Enum):
    """The type of `UNSET`."""

    UNSET = "unset"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = UnsetType.UNSET


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
class Value:
    """Base of the values that a server sends, which are dataclasses. A field that it did not send is `UNSET`, which is false."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    type_tag: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        dataclass(kw_only=True, repr=False)(cls)

    def as_dict(self) -> dict[str, Any]:
        """Return this value as the server sent it: what `json.dumps` takes, without absent fields."""
        return {**({"type": self.type_tag} if self.type_tag else {}), **_shown(self, _plain)}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in _shown(self, lambda value: value).items())
        return f"{type(self).__name__}({shown})"


class DecodeError(ValueError):
    """JSON is malformed, or does not hold the value that was expected."""


def encode(value: object) -> bytes:
    """JSON, without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def decode(body: bytes, kind: type[V]) -> V:
    """The value of JSON; fields that are not known are left out. Raises DecodeError."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DecodeError(str(error)) from None
    hashable: Any = kind
    value: V = _converter(hashable)(found, "$")
    return value


def _shown(value: Value, convert: Callable[[Any], Any]) -> dict[str, Any]:
    named = {each.name: getattr(value, each.name) for each in fields(value)}
    return {name: convert(each) for name, each in named.items() if each is not UNSET}


def _plain(value: Any) -> Any:
    if isinstance(value, Value):
        return value.as_dict()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value


@cache
def _converter(kind: Any) -> _Convert:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return lambda value, place: value
    if origin is list:
        return _list(_converter(arguments[0]))
    if origin is dict:
        return _dict(_converter(arguments[1]))
    if origin is Literal:
        return _literal(arguments)
    if origin is typing.Union or origin is types.UnionType:
        return _union([each for each in arguments if each is not UnsetType])
    if isinstance(kind, type) and issubclass(kind, Value):
        return _value(kind)
    return _scalar(kind)


def _scalar(kind: type) -> _Convert:
    def convert(value: Any, place: str) -> Any:
        if type(value) is kind:
            return value
        if kind is float and type(value) is int:
            return float(value)
        raise DecodeError(f"{place} is no {kind.__name__}")

    return convert


def _literal(allowed: tuple[Any, ...]) -> _Convert:
    def convert(value: Any, place: str) -> Any:
        if value in allowed:
            return value
        raise DecodeError(f"{place} is none of {', '.join(map(repr, allowed))}")

    return convert


def _list(each: _Convert) -> _Convert:
    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, list):
            raise DecodeError(f"{place} is no list")
        return [each(item, f"{place}[{index}]") for index, item in enumerate(value)]

    return convert


def _dict(each: _Convert) -> _Convert:
    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            raise DecodeError(f"{place} is no object")
        return {name: each(item, f"{place}.{name}") for name, item in value.items()}

    return convert


def _union(kinds: list[Any]) -> _Convert:
    """One kind that may be absent, or values that their `type` tells apart."""
    if len(kinds) == 1:
        return _converter(kinds[0])
    tagged = {kind.type_tag: kind for kind in kinds}

    def convert(value: Any, place: str) -> Any:
        tag = value.get("type") if isinstance(value, dict) else None
        kind = tagged.get(tag) if isinstance(tag, str) else None
        if kind is None:
            raise DecodeError(f"{place}.type is none of {', '.join(tagged)}")
        return _converter(kind)(value, place)

    return convert


def _value(kind: type[Value]) -> _Convert:
    hints = typing.get_type_hints(kind)
    expected = [
        (each.name, _converter(hints[each.name]), each.default is MISSING and each.default_factory is MISSING)
        for each in fields(kind)
    ]

    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            raise DecodeError(f"{place} is no object")
        found: dict[str, Any] = {}
        for name, each, is_required in expected:
            if name in value:
                found[name] = each(value[name], f"{place}.{name}")
            elif is_required:
                raise DecodeError(f"{place}.{name} is missing")
        return kind(**found)

    return convert
