"""What JSON has for the values of Python's libraries that it cannot say itself."""

from __future__ import annotations

import base64
import dataclasses
import enum
import math
from collections.abc import Mapping, Sequence, Set, ValuesView
from itertools import islice
from typing import Any

from .kinds import is_a

_MAX_TAKEN = 1_000_000  # from an iterator, which may have no end
_LISTS = (Set, Sequence, ValuesView)


def is_iterator(value: Any) -> bool:
    """Whether it can be read only once."""
    return hasattr(type(value), "__next__")


def equivalent(value: Any) -> Any:
    """A value of JSON's, or a container of further values: bytes as base64, arrays as lists, dates in ISO 8601, what is missing as None.

    Its text, if there is nothing better. Raises ValueError for an iterator with too many values."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    kind = type(value)
    if hasattr(kind, "tolist"):  # of numpy, pandas, torch, and array.array
        return _of_array(value)
    if hasattr(kind, "isoformat"):  # of a date or time; pandas' NaT differs from itself
        return value.isoformat() if value == value else None
    if is_iterator(value):
        return _taken(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, _LISTS):
        return list(value)
    if hasattr(kind, "to_list"):  # of polars
        return value.to_list()
    return _of_object(value, kind)


def _of_array(value: Any) -> Any:
    if is_a(value, "numpy", "ndarray", "generic") and value.dtype.kind in "mM":
        return _dates(value.astype(str).tolist())  # their numbers would say nothing without the unit
    found = value.tolist()
    return float(found) if type(found) is type(value) else found  # a long double has no other number


def _dates(texts: Any) -> Any:
    return [_dates(each) for each in texts] if isinstance(texts, list) else None if texts == "NaT" else texts


def _taken(values: Any) -> list[Any]:
    taken = list(islice(values, _MAX_TAKEN + 1))
    if len(taken) > _MAX_TAKEN:
        msg = f"an iterator with more than {_MAX_TAKEN} values cannot be shown as JSON"
        raise ValueError(msg)
    return taken


def _of_object(value: Any, kind: type) -> Any:
    if dataclasses.is_dataclass(kind):
        return {
            each.name: getattr(value, each.name)
            for each in dataclasses.fields(kind)
            if not each.name.startswith("_") and hasattr(value, each.name)
        }
    if hasattr(kind, "model_dump"):  # of pydantic
        return value.model_dump()
    if kind.__name__ == "NAType" and kind.__module__.startswith("pandas."):
        return None
    for number, method in ((int, "__index__"), (float, "__float__")):
        if hasattr(kind, method):
            return number(value)
    return str(value)


def cleaned(value: Any) -> Any:
    """A copy that JSON has in all its parts; what is not finite is None."""
    if isinstance(value, enum.Enum):
        return cleaned(value.value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_key(key): cleaned(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [cleaned(entry) for entry in value]
    return cleaned(equivalent(value))


def _key(key: Any) -> str:
    """The text of a key, as JSON writes the value."""
    if isinstance(key, enum.Enum):
        key = key.value
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return key.isoformat() if hasattr(type(key), "isoformat") else str(key)
