"""Which item of a cell is primary: the answer, for clients that want one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from msgspec import UNSET

from engine.models import Item, stored

_PICTURES = {"png": "image/png", "jpeg": "image/jpeg", "svg": "image/svg+xml", "pdf": "application/pdf"}
_RICH = ("html", "markdown", "latex", "javascript", "data", "chart", "extra", *_PICTURES)


class Shown(Protocol):
    """An item with what is known of the message that brought it."""

    is_primary: bool  # the value of an expression
    of_figure: bool  # a value that only describes a part of a figure, as the kernel knows

    @property
    def item(self) -> Item: ...


Entry = TypeVar("Entry", bound=Shown)


def primary_of(entries: Iterable[Entry]) -> Entry | None:
    """The value of the last expression, or the last item if there is none. But a figure that the cell draws is the answer:

    the last picture after a value that is only text, since kernels show at the end of a cell what it drew and did not show;
    and the last picture anywhere, if the value is a part of a figure, such as `<Axes: >`."""
    listed = list(entries)
    place = next((n for n in range(len(listed) - 1, -1, -1) if listed[n].is_primary), None)
    if place is None:
        return listed[-1] if listed else None
    value = listed[place]
    if not _is_text(value.item):
        return value
    after, before = listed[place + 1 :], listed[:place] if value.of_figure else []
    return next((each for each in (*reversed(after), *reversed(before)) if _is_picture(each.item)), value)


def _is_picture(item: Item) -> bool:
    """Whether it has a picture, or had one that was too large."""
    omitted = item.omitted if item.omitted is not UNSET else {}
    return any(stored(item, field) is not UNSET or mime_type in omitted for field, mime_type in _PICTURES.items())


def _is_text(item: Item) -> bool:
    """Whether it has no form besides text, and besides the `json` of a plain value."""
    omitted = item.omitted if item.omitted is not UNSET else {}
    return omitted.keys() <= {"text/plain"} and all(stored(item, field) is UNSET for field in _RICH)
