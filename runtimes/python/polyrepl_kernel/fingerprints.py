"""What a value is compared by: enough to see most changes, bounded in time and memory, and without a user's code."""

from __future__ import annotations

import zlib
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable
from itertools import chain, islice
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType
from typing import Any

from .deadlines import Deadlines, Expired
from .kinds import is_among, known_type, mro
from .previews import class_namespace, kind_of

_ENDS = 128  # entries looked at on either end of a container
_TEXT = 512  # characters of a longer text that are compared
_BYTES = 4 * 1024 * 1024  # of arrays: what is larger is compared by samples
_SAMPLES = 64
_OBJECTS = 4096  # entries of an array of objects, or of one that is not contiguous, that are compared
_INT_BITS = 4096
_IMMUTABLE = {id(kind) for kind in (type(None), bool, int, float, complex, str, bytes)}
_LISTS = {id(kind) for kind in (list, tuple, deque)}
_SETS = {id(kind) for kind in (set, frozenset)}
_DICTS = {id(kind) for kind in (dict, defaultdict, OrderedDict, Counter)}
_CODE = {id(kind) for kind in (FunctionType, BuiltinFunctionType)}

Token = tuple[Any, ...]


def token(value: object) -> Token:
    """What tells a value from another one: plain values by what they are, all others by identity, containers by length as well."""
    kind = id(type(value))
    if kind in _IMMUTABLE:
        return _plain_token(value, kind)
    if kind in _DICTS:
        return kind, id(value), dict.__len__(value)  # type: ignore[arg-type]
    if kind in _LISTS or kind in _SETS or kind == id(bytearray):
        return kind, id(value), len(value)  # type: ignore[arg-type]
    return kind, id(value)


def _plain_token(value: Any, kind: int) -> Token:
    if kind in (id(str), id(bytes)) and len(value) > _TEXT:
        return kind, id(value), len(value), value[:: len(value) // _TEXT]
    if kind == id(int) and value.bit_length() > _INT_BITS:
        return kind, id(value), value.bit_length(), value & 0xFFFF_FFFF
    if kind in (id(float), id(complex)):
        return kind, repr(value)  # so that NaN is itself, and -0.0 is not 0.0
    return kind, value


def fingerprint(value: object, deadlines: Deadlines) -> Token | None:
    """What a mutable value is compared by besides its token; None for what is taken as unchanging, or was too slow."""
    kind = id(type(value))
    if kind in _IMMUTABLE or kind in _CODE or kind_of(value) != "value":
        return None
    try:
        if kind in _LISTS:
            return tuple(map(token, _ends(value)))
        if kind in _DICTS:
            return _entries(value)
        if kind in _SETS:
            return tuple(map(token, islice(value, _ENDS)))  # type: ignore[call-overload]
        if kind == id(bytearray):
            return (_checksum(memoryview(value)),)  # type: ignore[arg-type]
        deadlines.next_subject()
        return deadlines.call(_of_object, value)
    except (Exception, Expired):
        return None  # changed by a thread meanwhile, in pieces, or too slow


def _ends(values: Any) -> Iterable[Any]:
    if len(values) <= 2 * _ENDS:
        return list(values)
    return chain(islice(values, _ENDS), islice(reversed(values), _ENDS))


def _entries(mapping: Any) -> Token:
    return tuple((token(key), token(value)) for key, value in _ends(dict.items(mapping)))


def _of_object(value: Any) -> Token | None:
    kind = type(value)
    if is_among(kind, known_type("numpy", "ndarray", "memmap")):
        return _of_array(value)
    if is_among(kind, known_type("pandas", "DataFrame", "Series")):
        return _of_table(value)
    attributes = _attributes(value)
    return None if attributes is None else _entries(attributes)


def _attributes(value: object) -> dict[str, Any] | None:
    """The instance's own attributes, wherever its class says that they are to be looked for."""
    for kind in mro(type(value)):
        found = class_namespace(kind).get("__dict__")
        if type(found) is GetSetDescriptorType:
            attributes = found.__get__(value)
            return attributes if type(attributes) is dict else None
    return None


def _of_table(table: Any) -> Token:
    """Labels by identity, pandas replaces them; values block by block."""
    blocks = table._mgr.blocks
    bound = _BYTES // max(len(blocks), 1)
    return (*map(id, table._mgr.axes), *(_of_values(block.values, bound) for block in blocks))


def _of_values(values: Any, bound: int) -> Token:
    arrays = known_type("numpy", "ndarray")
    if not is_among(type(values), arrays):  # an extension array: most wrap an array
        values = getattr(values, "_ndarray", values)
    if is_among(type(values), arrays):
        return _of_array(values, bound)
    attributes = _attributes(values) or {}
    return tuple(
        _of_array(each, bound) if is_among(type(each), arrays) else token(each)
        for name, each in attributes.items()
        if name != "_cache"
    )


def _of_array(array: Any, bound: int = _BYTES) -> Token:
    shape = array.shape
    dtype = str(array.dtype)
    if array.dtype.hasobject:
        if array.dtype.kind != "O":
            return shape, dtype  # records: their fields are made anew whenever they are read
        steps = tuple(slice(None, None, step) for step in _steps(shape))
        return shape, dtype, *map(token, islice(array[steps].flat, _OBJECTS))
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        array = array.T
    elif not array.flags.c_contiguous:
        array = array[tuple(slice(None, None, step) for step in _steps(shape))].copy()
    return shape, dtype, _checksum(array.reshape(-1).view("u1"), bound) if array.size else 0


def _steps(shape: tuple[int, ...]) -> list[int]:
    """Steps along each axis that leave about as many entries as are compared."""
    size = 1
    steps = []
    for length in shape:
        step = max(1, length * size // _OBJECTS)
        steps.append(step)
        size *= -(-length // step)
    return steps


def _checksum(data: Any, bound: int = _BYTES) -> int:
    """A checksum of bytes; of more than `bound` only of parts all over them."""
    size = len(data)
    if size <= bound:
        return zlib.crc32(data)
    part = bound // _SAMPLES
    checksum = 0
    for number in range(_SAMPLES):
        start = (size - part) * number // (_SAMPLES - 1)
        checksum = zlib.crc32(data[start : start + part], checksum)
    return checksum
