"""One output of a cell, as fields."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class Item(msgspec.Struct, omit_defaults=False, kw_only=True):
    """One output of a cell: its MIME bundle mapped to fields. Images and PDF are base64 text, `json` is JSON.

    `data` holds the values of a table by column, `chart` what a plot shows; both only where the request asked for them.
    `extra` holds every other MIME type; `omitted` the MIME types left out at a limit, with their sizes in bytes."""

    is_primary: bool
    text: str | UnsetType = UNSET
    html: str | UnsetType = UNSET
    markdown: str | UnsetType = UNSET
    svg: str | UnsetType = UNSET
    png: str | UnsetType = UNSET
    jpeg: str | UnsetType = UNSET
    pdf: str | UnsetType = UNSET
    latex: str | UnsetType = UNSET
    json: Any | UnsetType = UNSET
    javascript: str | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET
    chart: dict[str, Any] | UnsetType = UNSET
    extra: dict[str, Any] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    omitted: dict[str, int] | UnsetType = UNSET

    def __eq__(self, other: object) -> bool:
        return _values(self) == _values(other) if isinstance(other, Item) else NotImplemented

    def __repr__(self) -> str:
        return f"Item({', '.join(f'{name}={value!r}' for name, value in _values(self).items())})"


class _Stored:
    """A field that holds JSON as the kernel sent it, or has it for each of its members; who looks at it parses it, encoders do not."""

    def __init__(self, slot: Any) -> None:
        self.slot = slot

    def __get__(self, item: Item | None, owner: type[Item]) -> Any:
        value = self if item is None else self.slot.__get__(item)
        if type(value) is dict and any(isinstance(each, msgspec.Raw) for each in value.values()):
            return {name: _parsed(each) for name, each in value.items()}
        return _parsed(value)

    def __set__(self, item: Item, value: Any) -> None:
        self.slot.__set__(item, value)


def _parsed(value: Any) -> Any:
    """JSON as Python has it; as text where Python cannot have it, as a number that is too large."""
    if not isinstance(value, msgspec.Raw):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bytes(value).decode("utf-8", "replace")


def _values(item: Item) -> dict[str, Any]:
    """The fields that are there."""
    values = {name: getattr(item, name) for name in item.__struct_fields__}
    return {name: value for name, value in values.items() if value is not UNSET}


for _name in ("json", "data", "chart", "extra", "metadata"):
    setattr(Item, _name, _Stored(vars(Item)[_name]))


def stored(item: Item, field: str) -> Any:
    """A field of an item to be encoded: JSON in it may be `msgspec.Raw`."""
    found = vars(Item)[field]
    return found.slot.__get__(item) if isinstance(found, _Stored) else getattr(item, field)


def to_builtins(value: Any) -> Any:
    """A value of the engine as dictionaries, lists, text and numbers. `msgspec.to_builtins` alone raises TypeError for the JSON that an
    item holds as its kernel sent it."""
    return msgspec.to_builtins(value, enc_hook=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Raw):
        return _parsed(value)
    msg = f"{type(value).__name__} is no value of the engine"
    raise TypeError(msg)
