"""What is kept of a cell's output: streams and items under limits. Both keep the first and the last half and count the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from msgspec import UNSET, UnsetType

from engine.jupyter import to_item, utf8_size
from engine.models import Event, Item, ItemAdded, ItemUpdated, Truncation, stored
from engine.output.primary import primary_of
from engine.output.terminal import Terminal, moves_cursor

_MOST_EVENTS = 10  # of one update


@dataclass(frozen=True)
class OutputLimits:
    """Bounds on what is kept of one execution. Bytes are UTF-8 bytes; `output_bytes` covers streams and items together."""

    stream_bytes: int
    item_bytes: int
    items: int
    output_bytes: int

    def within(self, output_bytes: int | None) -> OutputLimits:
        """These limits, with that much output in all."""
        return self if output_bytes is None else replace(self, output_bytes=output_bytes)

    @cached_property
    def stream_share(self) -> int:
        """Bytes one stream may take, so that both together never take more than half of `output_bytes`."""
        return min(self.stream_bytes, self.output_bytes // 4)

    @cached_property
    def for_kernels(self) -> dict[str, int]:
        """As kernels take them that apply them themselves (runtimes/README.md)."""
        return {"stream_bytes": self.stream_share, "item_bytes": self.item_share}

    @cached_property
    def items_share(self) -> int:
        return self.output_bytes - 2 * self.stream_share

    @cached_property
    def item_share(self) -> int:
        """Bytes one value may take: an item must fit into either half of the items' share."""
        return min(self.item_bytes, self.items_share // 2)


class StreamBuffer:
    """One of stdout and stderr: the first half of its share passes at once, the last half is held until the end."""

    def __init__(self, share: int) -> None:
        self._head_left = share - share // 2
        self._tail_left = share // 2
        self._head: list[str] = []
        self._held: deque[tuple[str, int]] = deque()
        self._held_bytes = 0
        self._holding = False
        self._released: list[str] = []
        self._released_bytes = 0
        self._head_bytes = 0
        self._omitted = 0

    @property
    def kept_bytes(self) -> int:
        return self._head_bytes + self._released_bytes + self._held_bytes

    def add(self, text: str, omitted: int = 0) -> str:
        """Take text; returns the part that passes at once. `omitted` bytes were left out before it by the kernel."""
        if omitted > 0:
            self._holding = True
            self._omitted += omitted
        if self._holding:
            self._hold(text)
            return ""
        size = utf8_size(text)
        if size > self._head_left:
            self._holding = True
            end = place_of(text, self._head_left)
            self._hold(text, start=end)
            text = text[:end]
            size = utf8_size(text)
        if text:
            self._head.append(text)
            self._head_left -= size
            self._head_bytes += size
        return text

    def _hold(self, text: str, *, start: int = 0) -> None:
        """Hold the end of `text[start:]`; a large text is not copied for it."""
        end = max(start, len(text) - self._tail_left)
        if end > start:
            self._omitted += utf8_size(text[start:end])
        text = text[end:] if end else text
        if not text:
            return
        size = utf8_size(text)
        self._held.append((text, size))
        self._held_bytes += size
        while self._held_bytes > self._tail_left:
            text, size = self._held.popleft()
            excess = self._held_bytes - self._tail_left
            if size > excess:
                text = text[place_of(text, excess, round_up=True) :]
                rest = utf8_size(text)
                self._held.appendleft((text, rest))
                size -= rest
            self._held_bytes -= size
            self._omitted += size

    def cap(self) -> None:
        """Keep no more bytes than now."""
        self._head_left, self._tail_left = 0, self._held_bytes

    def release(self) -> tuple[str, int]:
        """What was held, and the bytes missing before it; called when the cell has ended, and again after late output."""
        text = "".join(part for part, _ in self._held)
        self._held.clear()
        missing = 0 if self._released else self._omitted
        if text:
            self._released.append(text)
            self._released_bytes += self._held_bytes
            self._tail_left -= self._held_bytes
            self._held_bytes = 0
        return text, missing

    def lines(self) -> list[str]:
        return to_lines(self.text())

    def text(self) -> str:
        """All that is kept, as it was written."""
        tail = [*self._released, *(part for part, _ in self._held)]
        if self._omitted:
            tail.insert(0, f"\n[... {self._omitted} bytes omitted ...]\n")
        return "".join(self._head + tail)

    def truncation(self) -> Truncation | None:
        if not self._omitted:
            return None
        return Truncation(total_bytes=self.kept_bytes + self._omitted, kept_bytes=self.kept_bytes)


@dataclass(slots=True, eq=False)
class _Shown:
    """What an item shows; after an update, what all of its display_id show."""

    item: Item
    size: int


@dataclass(slots=True, eq=False)
class _Entry:
    index: int
    shown: _Shown
    is_primary: bool
    display_id: str | None
    of_figure: bool = False
    in_tail: bool = False
    held: bool = False

    @property
    def item(self) -> Item:
        return self.shown.item


@dataclass(slots=True, eq=False)
class _Group:
    """The items of one display_id. An update costs the same, however many they are."""

    updated: _Shown | None = None  # what those show that are not new
    new: dict[int, _Entry] = field(default_factory=dict)  # those that were shown since the latest update, by index
    in_head: int = 0  # how many
    in_tail: int = 0
    visible: deque[_Entry] = field(
        default_factory=lambda: deque(maxlen=_MOST_EVENTS)
    )  # the latest of which events have told

    def __len__(self) -> int:
        return self.in_head + self.in_tail


class ItemBuffer:
    """The items: the first half of what may be kept passes at once, of the rest the last half is held until the end."""

    def __init__(self, limits: OutputLimits) -> None:
        self._limits = limits
        self._head_room = self._tail_room = limits.items_share // 2
        self._head: list[_Entry] = []
        self._tail: deque[_Entry] = deque()
        self._groups: dict[str, _Group] = {}  # by display_id
        self._head_bytes = self._tail_bytes = 0
        self._next_index = 0
        self._total = self._total_bytes = 0
        self._cut = False

    @property
    def kept_bytes(self) -> int:
        return self._head_bytes + self._tail_bytes

    def _entries(self) -> Iterator[_Entry]:
        yield from self._head
        yield from self._tail

    def add(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any],
        *,
        is_primary: bool,
        display_id: str | None,
        of_figure: bool = False,
    ) -> list[Event]:
        """Take a new item; returns its event, or none while it is held."""
        item, size = self._item(data, metadata, is_primary=is_primary, room=self._tail_room)
        entry = _Entry(self._next_index, _Shown(item, size), is_primary, display_id, of_figure)
        self._next_index += 1
        self._total += 1
        self._total_bytes += size + _omitted_bytes(item)
        is_held = bool(self._tail) or len(self._head) >= self._limits.items // 2 or not self._fits_head(size)
        entry.in_tail = entry.held = is_held
        if display_id is not None:
            self._join(entry, self._groups.setdefault(display_id, _Group()))
        if not is_held:
            self._head.append(entry)
            self._head_bytes += size
            return [ItemAdded(index=entry.index, item=item)]
        self._tail.append(entry)
        self._tail_bytes += size
        self._drop_oldest()
        return []

    def _fits_head(self, size: int) -> bool:
        return self._head_bytes + size <= self._head_room

    def cap(self) -> None:
        """Keep no more bytes than now."""
        self._head_room, self._tail_room = self._head_bytes, self._tail_bytes

    def _join(self, entry: _Entry, group: _Group) -> None:
        group.new[entry.index] = entry
        if entry.in_tail:
            group.in_tail += 1
        else:
            group.in_head += 1
            group.visible.append(entry)

    def _drop_oldest(self) -> None:
        most = self._limits.items - self._limits.items // 2
        while len(self._tail) > most or (self._tail_bytes > self._tail_room and len(self._tail) > 1):
            dropped = self._tail.popleft()
            self._tail_bytes -= dropped.shown.size
            self._cut = True
            if dropped.display_id is not None:
                group = self._groups[dropped.display_id]
                group.new.pop(dropped.index, None)
                group.in_tail -= 1
                if not len(group):
                    del self._groups[dropped.display_id]

    def knows(self, display_id: str | None) -> bool:
        """Whether an update with this display_id replaces something."""
        return display_id in self._groups

    def update(self, display_id: str | None, data: dict[str, Any], metadata: dict[str, Any]) -> list[Event]:
        """Replace every item with this display_id; an unknown id (shown by an earlier cell) is a new item.

        Events tell of the latest items that have it, a bounded number."""
        group = self._groups.get(display_id) if display_id is not None else None
        if group is None:
            return self.add(data, metadata, is_primary=False, display_id=display_id)
        for entry in group.new.values():
            self._count(entry.shown, -1, in_head=not entry.in_tail, in_tail=entry.in_tail)
        if group.updated is None:
            group.updated = _Shown(Item(is_primary=False), 0)
        new_head = sum(not entry.in_tail for entry in group.new.values())
        self._count(
            group.updated, -1, in_head=group.in_head - new_head, in_tail=group.in_tail - len(group.new) + new_head
        )
        item, size = self._item(data, metadata, is_primary=False, room=self._room(group))
        group.updated.item, group.updated.size = item, size
        self._count(group.updated, 1, in_head=group.in_head, in_tail=group.in_tail)
        for entry in group.new.values():
            entry.shown = group.updated
        group.new.clear()
        return [ItemUpdated(index=entry.index, item=_item_of(entry)) for entry in group.visible]

    def _room(self, group: _Group) -> int:
        """Bytes that each of its items may have."""
        rooms = [
            (self._head_room - self._head_bytes, group.in_head),
            (self._tail_room - self._tail_bytes, group.in_tail),
        ]
        return max(0, min(room // count for room, count in rooms if count))

    def _count(self, shown: _Shown, sign: int, *, in_head: int, in_tail: int) -> None:
        self._head_bytes += sign * shown.size * in_head
        self._tail_bytes += sign * shown.size * in_tail
        self._total_bytes += sign * (shown.size + _omitted_bytes(shown.item)) * (in_head + in_tail)

    def _item(self, data: dict[str, Any], metadata: dict[str, Any], *, is_primary: bool, room: int) -> tuple[Item, int]:
        """An item of at most `room` bytes: values that do not fit are left out, and listed in it."""
        limit = min(self._limits.item_share, room)
        item, size = to_item(data, is_primary=is_primary, metadata=metadata, max_value_bytes=limit, max_bytes=room)
        self._cut = self._cut or item.omitted is not UNSET
        return item, size

    def clear(self) -> None:
        self._head.clear()
        self._tail.clear()
        self._groups.clear()
        self._head_bytes = self._tail_bytes = 0
        self._total = self._total_bytes = 0
        self._cut = False

    def release(self) -> list[Event]:
        """The events of the items that were held; called when the cell has ended."""
        held = [entry for entry in self._tail if entry.held]
        for entry in held:
            entry.held = False
            if entry.display_id is not None:
                self._groups[entry.display_id].visible.append(entry)
        return [ItemAdded(index=entry.index, item=_item_of(entry)) for entry in held]

    def primary_index(self) -> int | UnsetType:
        entry = primary_of(self._entries())
        return entry.index if entry else UNSET

    def items(self) -> list[Item]:
        """What is kept, as it came: primary are the values of expressions, and nothing else."""
        return [_item_of(entry) for entry in self._entries()]

    def result(self) -> list[Item]:
        primary = primary_of(self._entries())
        return [_marked(entry.shown.item, is_primary=entry is primary) for entry in self._entries()]

    def truncation(self) -> Truncation | None:
        if not self._cut:
            return None
        kept = len(self._head) + len(self._tail)
        return Truncation(total_bytes=self._total_bytes, kept_bytes=self.kept_bytes, total=self._total, kept=kept)


def _omitted_bytes(item: Item) -> int:
    return sum(item.omitted.values()) if item.omitted is not UNSET else 0


def _item_of(entry: _Entry) -> Item:
    return _marked(entry.shown.item, is_primary=entry.is_primary)


def _marked(item: Item, *, is_primary: bool) -> Item:
    if item.is_primary == is_primary:
        return item
    fields = {name: stored(item, name) for name in item.__struct_fields__}
    return Item(**{**fields, "is_primary": is_primary})


def to_lines(text: str) -> list[str]:
    """Split into lines as a terminal would leave them: a carriage return goes back to the start of its line."""
    if not text:
        return []
    if moves_cursor(text):
        return Terminal().show(text)
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [_overwrite(line) if "\r" in line else line for line in lines] if "\r" in text else lines


def _overwrite(line: str) -> str:
    """What remains of a line: at each place the last part that reaches it."""
    last, *earlier = reversed(line.split("\r"))
    shown = [last]
    length = len(last)
    for part in earlier:
        if len(part) > length:
            shown.append(part[length:])
            length = len(part)
    return "".join(shown)


def place_of(text: str, size: int, *, round_up: bool = False) -> int:
    """The place, in characters, after at most (or, rounding up, at least) `size` UTF-8 bytes."""
    if text.isascii():
        return min(size, len(text))
    encoded = text.encode("utf-8", "replace")
    while 0 < size < len(encoded) and encoded[size] & 0xC0 == 0x80:  # inside a character
        size += 1 if round_up else -1
    return len(encoded[:size].decode("utf-8"))
