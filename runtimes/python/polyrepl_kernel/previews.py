"""What is told of one value: its kind, type, size and a short preview. Nothing of a user's class runs without a deadline.

Classes are compared by identity throughout: a metaclass can define `==` and `hash`, and any class `__class__`."""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import islice
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from .deadlines import Deadlines, Expired
from .kinds import is_among, known_type, mro

MAX_PREVIEW = 120
MAX_TYPE = 200
_MAX_DEPTH = 2  # of containers within containers
_MAX_LABEL = 60
_MAX_COLUMNS = 30
_SIZED_COLUMNS = 1000  # the size of a DataFrame is asked column by column
_FEW = 3  # values shown of a column
_SOME = 40  # values shown of an array: more than there is room for
_MAX_INT_BITS = 1024  # larger ones are not written out: that takes quadratic time
_MORE = "…"
_TOO_LONG = "<repr took too long>"

_INDEXES = ("Index", "RangeIndex", "DatetimeIndex", "TimedeltaIndex", "PeriodIndex", "CategoricalIndex", "IntervalIndex",
            "MultiIndex")  # fmt: skip
# By id of the class.
_SEQUENCES: dict[int, tuple[str, str]] = {
    id(list): ("[", "]"),
    id(tuple): ("(", ")"),
    id(set): ("{", "}"),
    id(frozenset): ("frozenset({", "})"),
    id(deque): ("deque([", "])"),
}
_MAPPINGS: dict[int, tuple[str, str]] = {
    id(dict): ("{", "}"),
    id(defaultdict): ("defaultdict({", "})"),
    id(OrderedDict): ("OrderedDict({", "})"),
    id(Counter): ("Counter({", "})"),
}
_SIMPLE = {id(kind) for kind in (type(None), bool, float, complex, type(...), type(NotImplemented))}
_TEXTS = {id(kind) for kind in (str, bytes, bytearray)}
_SIZED = {*_SEQUENCES, *_MAPPINGS, *_TEXTS, id(range)} - {id(Counter)}  # a Counter's methods can be replaced
_BUILTIN = {*_SIZED, *_SIMPLE, id(int)}

_get_name = type.__dict__["__qualname__"].__get__
_get_module = type.__dict__["__module__"].__get__
_get_namespace = type.__dict__["__dict__"].__get__
_module_dict = ModuleType.__dict__["__dict__"].__get__


def type_name(kind: type) -> str:
    """The qualified name of a class, builtins without their module; a metaclass has no say in it."""
    name = plain(_get_name(kind))
    try:
        module = _get_module(kind)
    except AttributeError:
        module = None
    if type(module) is not str or module == "builtins":
        return name[:MAX_TYPE]
    return f"{plain(module)}.{name}"[:MAX_TYPE]


def class_namespace(kind: type) -> Any:
    """What a class defines itself, by name; a metaclass has no say in it."""
    return _get_namespace(kind)


def plain(text: str) -> str:
    """The same text as exactly a str that can be encoded."""
    return str.__str__(text).encode("utf-8", "replace").decode()


def kind_of(value: object) -> str:
    """`module`, `class`, `function` or `value`."""
    kinds = mro(type(value))
    if is_among(ModuleType, kinds):
        return "module"
    if is_among(type, kinds):
        return "class"
    if is_among(type(value), (FunctionType, BuiltinFunctionType, MethodType)):
        return "function"
    return "value"


class Describer:
    """Describes values one after the other, all within the time of its `Deadlines`."""

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines

    def describe(self, value: object) -> dict[str, Any]:
        """The entry of a value, without its name (runtimes/README.md, "variables_request")."""
        self._deadlines.next_subject()
        kind = kind_of(value)
        entry: dict[str, Any] = {"type": type_name(type(value)), "kind": kind}
        if kind != "value":
            entry["preview"] = _cut(_definition(value, kind), MAX_PREVIEW)
        elif id(type(value)) in _BUILTIN:
            entry |= _builtin_size(value)
            entry["preview"] = _cut(self.show(value), MAX_PREVIEW)
        else:
            entry |= self._describe_object(value)
        return entry

    def _describe_object(self, value: object) -> dict[str, Any]:
        if id(type(value)) in _MAPPINGS:
            return {"length": dict.__len__(value), "preview": _cut(self.show(value), MAX_PREVIEW)}  # type: ignore[arg-type]
        describe = self._special(type(value))
        if describe is not None:
            try:
                facts, parts = self._deadlines.call(describe, value)
                preview = {"preview": self._compose(parts)} if parts is not None else {"preview": self._repr(value)}
                columns = {"columns": self._labels(facts.pop("columns"))} if "columns" in facts else {}
                return {**facts, **columns, **preview}
            except (Exception, Expired):
                pass  # a value in pieces, or a type that is another than its name says: as any other object
        return {"preview": self._repr(value)}

    def _special(self, kind: type) -> Callable[[Any], tuple[dict[str, Any], Any]] | None:
        if is_among(kind, known_type("numpy", "ndarray", "memmap")):
            return _array
        if is_among(kind, known_type("pandas", "DataFrame")):
            return _frame
        if is_among(kind, known_type("pandas", "Series")):
            return _series
        if is_among(kind, known_type("pandas", *_INDEXES)):
            return _index
        if is_among(kind, known_type("polars", "DataFrame")):
            return _polars_frame
        if is_among(kind, known_type("polars", "Series")):
            return _polars_series
        if is_among(kind, known_type("torch", "Tensor")):
            return _tensor
        return None

    def _labels(self, labels: list[Any]) -> list[str]:
        return [self._label(label) for label in labels]

    def _label(self, label: object) -> str:
        return _cut(plain(label), _MAX_LABEL) if type(label) is str else self.show(label, room=_MAX_LABEL)

    def _compose(self, parts: Any) -> str:
        """The preview of an array (its nested first values) or of a table (the first values of its columns)."""
        if isinstance(parts, dict):
            shown = (f"{self._label(name)}: {self.show(_Head(*values), 1)}" for name, values in parts["columns"])
            return _cut(self._joined(shown, "{", "}", MAX_PREVIEW, has_more=parts["more"]), MAX_PREVIEW)
        values, outer = parts
        text = self.show(values if outer is None else _Head(*values))
        for has_more in outer or ():
            text = f"[{text}{', ' + _MORE if has_more else ''}]"
        return _cut(text, MAX_PREVIEW)

    def show(self, value: object, depth: int = 0, room: int = MAX_PREVIEW) -> str:
        """A value as Python writes it, in about one line: the first entries, and not all of what is nested."""
        kind = type(value)
        if id(kind) in _SIMPLE:
            return repr(value)
        if kind is _Head:
            texts = (self.show(each, depth + 1, room) for each in value.values)
            return self._joined(texts, "[", "]", room, has_more=value.has_more)
        if id(kind) in _TEXTS:
            return _text(value, room)
        if kind is int:
            return _integer(value)  # type: ignore[arg-type]
        if kind is range:
            return _range(value)  # type: ignore[arg-type]
        if id(kind) in _SEQUENCES:
            return self._show_sequence(value, depth, room)
        if id(kind) in _MAPPINGS:
            return self._show_mapping(value, depth, room)
        if depth and self._special(kind):
            return f"<{type_name(kind)}>"
        return self._repr(value, room)

    def _show_sequence(self, value: Any, depth: int, room: int) -> str:
        start, end = _SEQUENCES[id(type(value))]
        if not value:
            return repr(value)
        if depth >= _MAX_DEPTH:
            return start + _MORE + end
        if type(value) is tuple and len(value) == 1:
            end = ",)"
        return self._joined((self.show(each, depth + 1, room) for each in value), start, end, room)

    def _show_mapping(self, value: Any, depth: int, room: int) -> str:
        start, end = _MAPPINGS[id(type(value))]
        if not dict.__len__(value):
            return start + end
        if depth >= _MAX_DEPTH:
            return start + _MORE + end
        show = partial(self.show, depth=depth + 1, room=room)
        return self._joined((f"{show(key)}: {show(each)}" for key, each in dict.items(value)), start, end, room)

    def _joined(self, texts: Iterable[str], start: str, end: str, room: int, *, has_more: bool = False) -> str:
        parts: list[str] = []
        used = len(start) + len(end) + len(_MORE)
        try:
            for text in texts:
                if used + len(text) + 2 > room:
                    has_more = True
                    if not parts:
                        parts.append(_cut(text, max(room - used - 2, 10)))
                    break
                parts.append(text)
                used += len(text) + 2
        except RuntimeError:  # a thread changes the container meanwhile
            has_more = True
        if has_more:
            parts.append(_MORE)
        return start + ", ".join(parts) + end

    def _repr(self, value: object, room: int = MAX_PREVIEW) -> str:
        try:
            return self._deadlines.call(_repr, value, room)
        except Expired:
            return _TOO_LONG


class _Head:
    """The first values of something longer."""

    __slots__ = ("has_more", "values")

    def __init__(self, values: list[Any], has_more: bool) -> None:
        self.values = values
        self.has_more = has_more


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(room - 1, 0)] + _MORE


def _repr(value: object, room: int) -> str:
    try:
        text = repr(value)
        head = str.__getitem__(text, slice(0, 10 * room))
        return _cut(" ".join(plain(head).split()), room)
    except Expired:
        raise
    except BaseException as error:
        return f"<repr raised {type_name(type(error))}>"


def _text(value: Any, room: int) -> str:
    """A str, bytes or bytearray; only as much of it is looked at as is shown."""
    shown = repr(value[:room])
    return shown if len(value) <= room and len(shown) <= room else shown[: room - 1] + _MORE


def _integer(value: int) -> str:
    bits = value.bit_length()
    return str(value) if bits <= _MAX_INT_BITS else f"<int of {bits} bits>"


def _range(value: range) -> str:
    step = "" if value.step == 1 else f", {_integer(value.step)}"
    return f"range({_integer(value.start)}, {_integer(value.stop)}{step})"


def _builtin_size(value: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"size_bytes": sys.getsizeof(value)}
    if id(type(value)) in _SIZED:
        with suppress(OverflowError):  # of a range
            facts["length"] = len(value)
    return facts


def _definition(value: Any, kind: str) -> str:
    """What is said of a module, a class or a function, read without any of the user's code."""
    if kind == "module":
        name = _module_dict(value).get("__name__")
        return f"<module {plain(name)!r}>" if type(name) is str else "<module>"
    if kind == "class":
        return f"<class {type_name(value)!r}>"
    if type(value) is FunctionType:
        return plain(value.__qualname__) + _parameters(value.__code__)
    if type(value) is MethodType and type(value.__func__) is FunctionType:
        return f"<bound method {plain(value.__func__.__qualname__)}>"
    return f"<built-in function {value.__name__}>" if type(value) is BuiltinFunctionType else "<bound method>"


def _parameters(code: CodeType) -> str:
    positional, named = code.co_argcount, code.co_kwonlyargcount
    names = list(code.co_varnames)
    shown = names[:positional]
    rest = positional + named
    if code.co_flags & 0x04:  # CO_VARARGS
        shown.append("*" + names[rest])
        rest += 1
    elif named:
        shown.append("*")
    shown += names[positional : positional + named]
    if code.co_flags & 0x08:  # CO_VARKEYWORDS
        shown.append("**" + names[rest])
    return f"({', '.join(shown)})"


# Below: what libraries tell of their own values. Called within a deadline; returns facts, and values to show.


def _array(value: Any) -> tuple[dict[str, Any], Any]:
    facts = {
        "shape": [*map(int, value.shape)],
        "dtype": _cut(str(value.dtype), MAX_TYPE),
        "size_bytes": int(value.nbytes),
    }
    if not value.ndim:
        return facts, (value.item(), None)
    if not value.size:
        return facts, (([], False), ())
    row = value[(0,) * (value.ndim - 1)]
    head = row[:_SOME]
    if value.dtype.kind in "mM":
        head = head.astype(str)
    return facts, ((head.tolist(), len(row) > _SOME), [length > 1 for length in reversed(value.shape[:-1])])


def _frame(value: Any) -> tuple[dict[str, Any], Any]:
    rows, columns = map(int, value.shape)
    labels = value.columns[:_MAX_COLUMNS].tolist()
    facts: dict[str, Any] = {"shape": [rows, columns], "columns": labels}
    if columns <= _SIZED_COLUMNS:
        facts["size_bytes"] = int(value.memory_usage(index=True, deep=False).sum())
    shown = [(label, (value.iloc[:_FEW, n].tolist(), rows > _FEW)) for n, label in enumerate(labels[:6])]
    return facts, {"columns": shown, "more": columns > len(shown)}


def _series(value: Any) -> tuple[dict[str, Any], Any]:
    facts = {
        "shape": [int(value.size)],
        "dtype": _cut(str(value.dtype), MAX_TYPE),
        "size_bytes": int(value.memory_usage(index=True, deep=False)),
    }
    return facts, ((value.iloc[:_SOME].tolist(), value.size > _SOME), ())


def _index(value: Any) -> tuple[dict[str, Any], Any]:
    facts = {
        "shape": [int(value.size)],
        "dtype": _cut(str(value.dtype), MAX_TYPE),
        "size_bytes": int(value.memory_usage(deep=False)),
    }
    return facts, ((value[:_SOME].tolist(), value.size > _SOME), ())


def _polars_frame(value: Any) -> tuple[dict[str, Any], Any]:
    rows, columns = map(int, value.shape)
    labels = [*islice(value.columns, _MAX_COLUMNS)]
    facts = {"shape": [rows, columns], "columns": labels, "size_bytes": int(value.estimated_size())}
    head = value.head(_FEW)
    shown = [(label, (head[label].to_list(), rows > _FEW)) for label in labels[:6]]
    return facts, {"columns": shown, "more": columns > len(shown)}


def _polars_series(value: Any) -> tuple[dict[str, Any], Any]:
    facts = {
        "shape": [len(value)],
        "dtype": _cut(str(value.dtype), MAX_TYPE),
        "size_bytes": int(value.estimated_size()),
    }
    return facts, ((value.head(_SOME).to_list(), len(value) > _SOME), ())


def _tensor(value: Any) -> tuple[dict[str, Any], Any]:
    facts = {
        "shape": [*map(int, value.shape)],
        "dtype": str(value.dtype).removeprefix("torch."),
        "size_bytes": int(value.element_size() * value.nelement()),
    }
    return facts, None
