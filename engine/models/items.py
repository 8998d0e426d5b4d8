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
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value


for _name in ("json", "data", "chart", "extra", "metadata"):
    setattr(Item, _name, _Stored(vars(Item)[_name]))


def stored(item: Item, field: str) -> Any:
    """A field of an item to be encoded: JSON in it may be `msgspec.Raw`."""
    found = vars(Item)[field]
    return found.slot.__get__(item) if isinstance(found, _Stored) else getattr(item, field)
