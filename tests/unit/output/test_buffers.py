"""What is kept of output: the first and the last half, the true totals, and lines as a terminal leaves them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from engine.models import Item, ItemAdded, ItemUpdated
from engine.output.buffers import ItemBuffer, OutputLimits, StreamBuffer, place_of, to_lines


def limits(**changes: int) -> OutputLimits:
    return OutputLimits(**{"stream_bytes": 1000, "item_bytes": 1000, "items": 100, "output_bytes": 10_000, **changes})


class TestStreams:
    def test_text_below_the_share_passes_at_once(self):
        stream = StreamBuffer(10)
        assert stream.add("abc") == "abc"
        assert stream.add("de") == "de"
        assert stream.release() == ("", 0)
        assert stream.truncation() is None

    def test_of_what_comes_after_the_first_half_the_last_half_is_held_until_the_end(self):
        stream = StreamBuffer(10)
        assert stream.add("0123456789abcdef") == "01234"
        assert stream.add("XYZ") == ""
        assert stream.release() == ("efXYZ", 9)
        truncation = stream.truncation()
        assert truncation is not None
        assert (truncation.total_bytes, truncation.kept_bytes) == (19, 10)

    def test_the_lines_say_how_much_is_missing_and_where(self):
        stream = StreamBuffer(10)
        stream.add("head\n" + "x" * 100 + "\ntail")
        stream.release()
        lines = stream.lines()
        assert (lines[0], lines[-1]) == ("head", "tail")
        assert "[... 100 bytes omitted ...]" in lines

    def test_what_the_kernel_left_out_counts_as_missing(self):
        stream = StreamBuffer(100)
        stream.add("start")
        assert stream.add("end", omitted=50) == ""
        assert stream.release() == ("end", 50)
        truncation = stream.truncation()
        assert truncation is not None
        assert (truncation.total_bytes, truncation.kept_bytes) == (58, 8)

    def test_text_after_the_end_is_kept_within_the_share(self):
        stream = StreamBuffer(10)
        stream.add("0123456789")
        stream.release()
        stream.add("late output that does not fit")
        stream.release()
        assert stream.kept_bytes <= 10

    @given(st.lists(st.text(max_size=12), max_size=12), st.integers(0, 60))
    def test_head_and_tail_are_the_real_ones_and_the_totals_are_true(self, writes: list[str], share: int):
        stream = StreamBuffer(share)
        head = "".join(stream.add(text) for text in writes)
        tail, omitted = stream.release()
        sent = "".join(writes)
        total = len(sent.encode())
        kept = len((head + tail).encode())
        assert stream.kept_bytes == kept <= share
        assert kept + (omitted if tail else total - kept) == total
        if total <= share - share // 2:
            assert (head, tail) == (sent, "")
        assert sent.startswith(head)
        assert sent.endswith(tail)
        truncation = stream.truncation()
        if kept == total:
            assert truncation is None
            assert head + tail == sent
        else:
            assert truncation is not None
            assert (truncation.total_bytes, truncation.kept_bytes) == (total, kept)
            assert kept >= share - 6  # a cut loses part of one character on each side

    @given(st.text(), st.integers(0, 30), st.booleans())
    def test_a_cut_falls_between_characters_and_loses_nothing(self, text: str, size: int, round_up: bool):
        place = place_of(text, size, round_up=round_up)
        head, tail = text[:place], text[place:]
        assert head + tail == text
        if not round_up:
            assert size - 3 <= len(head.encode()) <= size or not tail
        elif tail:
            assert size <= len(head.encode()) <= size + 3


class TestLines:
    @pytest.mark.parametrize(
        ("text", "lines"),
        [
            ("", []),
            ("a", ["a"]),
            ("a\n", ["a"]),
            ("a\nb\n", ["a", "b"]),
            ("\n", [""]),
            ("a\n\nb", ["a", "", "b"]),
            ("a\r\nb\r\n", ["a", "b"]),
            (" 10%\r 50%\r100%\n", ["100%"]),
            ("100%\r 5%", [" 5%%"]),
            ("long line\rshort", ["shortline"]),
            ("a\r", ["a"]),
            ("\ra", ["a"]),
            ("\r\r\n", [""]),
            ("done\r\nnext\rN", ["done", "Next"]),
            ("a\x0bb\u2028c\x85d", ["a\x0bb\u2028c\x85d"]),
        ],
    )
    def test_lines_are_as_a_terminal_leaves_them(self, text: str, lines: list[str]):
        assert to_lines(text) == lines

    @given(st.text(alphabet="ab\r\n", max_size=60))
    def test_a_carriage_return_overwrites_from_the_start_of_its_line(self, text: str):
        screen: list[list[str]] = [[]]
        column = 0
        for char in text:
            if char == "\n":
                screen.append([])
                column = 0
            elif char == "\r":
                column = 0
            else:
                screen[-1][column : column + 1] = [char]
                column += 1
        if not screen[-1]:
            screen.pop()
        expected = ["".join(row) for row in screen]
        found = to_lines(text)
        assert found == expected or (text.endswith("\r") and found == [*expected, ""])

    def test_a_long_line_under_a_million_short_writes_is_no_quadratic_work(self):
        """Copying the line for each of them would take hours, in the server's loop."""
        (line,) = to_lines("x" * 3_000_000 + "\rab" * 1_000_000)
        assert line == "ab" + "x" * 2_999_998


def show(buffer: ItemBuffer, text: str = "", **options: Any) -> list[Any]:
    data = options.pop("data", {"text/plain": text})
    return buffer.add(data, {}, **{"is_primary": False, "display_id": None, **options})


def texts(buffer: ItemBuffer) -> list[Any]:
    return [item.text for item in buffer.result()]


class TestItems:
    def test_an_item_is_an_event_at_once(self):
        (event,) = show(ItemBuffer(limits()), "a")
        assert event == ItemAdded(index=0, item=Item(is_primary=False, text="a"))

    def test_the_execute_result_is_primary_wherever_it_stands(self):
        buffer = ItemBuffer(limits())
        show(buffer, "before")
        show(buffer, "result", is_primary=True)
        show(buffer, "after")
        assert [item.is_primary for item in buffer.result()] == [False, True, False]
        assert buffer.primary_index() == 1

    def test_without_an_execute_result_the_last_item_is_primary(self):
        buffer = ItemBuffer(limits())
        show(buffer, "a")
        show(buffer, "b")
        assert [item.is_primary for item in buffer.result()] == [False, True]

    def test_of_several_execute_results_the_last_is_primary(self):
        buffer = ItemBuffer(limits())
        show(buffer, "a", is_primary=True)
        show(buffer, "b", is_primary=True)
        assert [item.is_primary for item in buffer.result()] == [False, True]

    def test_without_items_none_is_primary(self):
        assert ItemBuffer(limits()).primary_index() is UNSET

    def test_an_update_replaces_every_item_of_its_display_id(self):
        buffer = ItemBuffer(limits())
        show(buffer, "a", display_id="d")
        show(buffer, "other")
        show(buffer, "b", display_id="d")
        events = buffer.update("d", {"text/plain": "new"}, {})
        assert [(event.index, event.item.text) for event in events] == [(0, "new"), (2, "new")]
        assert all(isinstance(event, ItemUpdated) for event in events)
        assert texts(buffer) == ["new", "other", "new"]

    def test_an_update_keeps_its_item_primary(self):
        buffer = ItemBuffer(limits())
        show(buffer, "a", display_id="d", is_primary=True)
        buffer.update("d", {"text/plain": "b"}, {})
        show(buffer, "c")
        assert [(item.text, item.is_primary) for item in buffer.result()] == [("b", True), ("c", False)]

    def test_an_update_of_an_unknown_display_id_is_a_new_item(self):
        buffer = ItemBuffer(limits())
        (event,) = buffer.update("earlier", {"text/plain": "a"}, {})
        assert isinstance(event, ItemAdded)
        assert texts(buffer) == ["a"]

    def test_above_the_limit_the_first_and_the_last_half_are_kept(self):
        buffer = ItemBuffer(limits(items=4))
        events = [event for number in range(10) for event in show(buffer, str(number))]
        assert [event.index for event in events] == [0, 1]
        assert [event.index for event in buffer.release()] == [8, 9]
        assert texts(buffer) == ["0", "1", "8", "9"]
        truncation = buffer.truncation()
        assert truncation is not None
        assert (truncation.total, truncation.kept) == (10, 4)
        assert (truncation.total_bytes, truncation.kept_bytes) == (10, 4)

    def test_a_held_item_is_sent_once_as_it_is_at_the_end(self):
        buffer = ItemBuffer(limits(items=2))
        show(buffer, "head")
        show(buffer, "held", display_id="d")
        assert buffer.update("d", {"text/plain": "newer"}, {}) == []
        assert [event.item.text for event in buffer.release()] == ["newer"]
        assert buffer.release() == []

    def test_an_update_of_a_dropped_item_is_a_new_item(self):
        buffer = ItemBuffer(limits(items=2))
        show(buffer, "head")
        show(buffer, "dropped", display_id="d")
        show(buffer, "tail")
        buffer.update("d", {"text/plain": "again"}, {})
        assert texts(buffer) == ["head", "again"]

    def test_the_last_item_stays_even_when_items_are_large(self):
        buffer = ItemBuffer(limits(item_bytes=3000, stream_bytes=1000, output_bytes=8000))
        for number in range(10):
            show(buffer, f"{number}" * 2500)
        buffer.release()
        assert buffer.result()[-1].text == "9" * 2500
        assert buffer.kept_bytes <= limits(output_bytes=8000).items_share

    def test_a_value_that_is_too_large_is_left_out_and_its_neighbours_stay(self):
        buffer = ItemBuffer(limits(item_bytes=10))
        show(buffer, data={"text/plain": "small", "text/html": "x" * 11})
        (item,) = buffer.result()
        assert (item.text, item.html, item.omitted) == ("small", UNSET, {"text/html": 11})
        truncation = buffer.truncation()
        assert truncation is not None
        assert (truncation.total_bytes, truncation.kept_bytes) == (16, 5)

    def test_of_values_that_do_not_fit_together_the_largest_is_left_out(self):
        buffer = ItemBuffer(limits(output_bytes=4000, item_bytes=1000, stream_bytes=1000))
        show(buffer, data={"text/plain": "an image", "image/png": "A" * 800, "image/jpeg": "A" * 400})
        (item,) = buffer.result()
        assert (item.text, item.png, item.jpeg) == ("an image", UNSET, "A" * 400)
        assert item.omitted == {"image/png": 800}

    def test_metadata_is_bounded_like_the_data_it_belongs_to(self):
        buffer = ItemBuffer(limits())
        for _ in range(50):
            buffer.add({"text/plain": "a"}, {"x": "y" * 100_000}, is_primary=False, display_id=None)
        buffer.release()
        assert len(msgspec.json.encode(buffer.result())) <= 20_000

    def test_clearing_forgets_items_and_what_was_cut(self):
        buffer = ItemBuffer(limits(items=2))
        for number in range(5):
            show(buffer, str(number), display_id="d")
        buffer.clear()
        assert buffer.result() == []
        assert buffer.truncation() is None
        assert buffer.kept_bytes == 0
        (event,) = show(buffer, "new")
        assert event.index == 5  # an index is never used twice

    @given(
        st.lists(st.integers(0, 40), max_size=30),
        st.integers(2, 8),
        st.integers(1, 40),
        st.integers(20, 200),
    )
    def test_under_any_limits_a_head_and_a_tail_are_kept_and_the_totals_are_true(
        self, sizes: list[int], items: int, item_bytes: int, output_bytes: int
    ):
        bounds = OutputLimits(stream_bytes=5, item_bytes=item_bytes, items=items, output_bytes=output_bytes)
        buffer = ItemBuffer(bounds)
        events = [event for size in sizes for event in show(buffer, "x" * size)] + buffer.release()
        result = buffer.result()
        indices = [event.index for event in events]
        assert len(result) == len(indices) <= items
        assert buffer.kept_bytes <= bounds.items_share
        head = next((place for place, index in enumerate(indices) if place != index), len(indices))
        assert indices[head:] == list(range(len(sizes) - (len(indices) - head), len(sizes)))
        if sizes:
            assert indices[-1] == len(sizes) - 1
        for index, item in zip(indices, result, strict=True):
            size = sizes[index]
            assert item.text == "x" * size or item.omitted == {"text/plain": size}
        truncation = buffer.truncation()
        kept = sum(len(item.text) for item in result if item.text is not UNSET)
        if truncation is None:
            assert kept == sum(sizes)
        else:
            assert (truncation.total, truncation.kept) == (len(sizes), len(result))
            assert (truncation.total_bytes, truncation.kept_bytes) == (sum(sizes), kept)


class TestSharedDisplayIds:
    """Many items of one display_id share what an update shows."""

    def shown(self, count: int, **changes: int) -> ItemBuffer:
        buffer = ItemBuffer(limits(**{"items": 1000, "output_bytes": 1_000_000, **changes}))
        for _ in range(count):
            show(buffer, "old", display_id="d")
        return buffer

    def test_an_update_changes_all_of_them_and_has_a_bounded_number_of_events(self):
        buffer = self.shown(400)
        for text in ("new", "newer"):
            events = buffer.update("d", {"text/plain": text}, {})
            assert [event.item.text for event in events] == [text] * 10
            assert {item.text for item in buffer.items()} == {text}
        assert len({id(item) for item in buffer.items()}) == 1
        assert buffer.kept_bytes == 400 * len("newer")

    def test_an_item_that_is_shown_after_an_update_keeps_its_own_until_the_next(self):
        buffer = self.shown(2)
        buffer.update("d", {"text/plain": "new"}, {})
        show(buffer, "own", display_id="d")
        assert [item.text for item in buffer.items()] == ["new", "new", "own"]
        buffer.update("d", {"text/plain": "all"}, {})
        assert [item.text for item in buffer.items()] == ["all"] * 3
        assert buffer.kept_bytes == 9

    def test_an_update_fits_as_often_as_it_is_shown(self):
        buffer = self.shown(400, output_bytes=10_000)
        buffer.update("d", {"text/plain": "x" * 900}, {})
        assert buffer.kept_bytes <= 10_000
        assert all(item.omitted == {"text/plain": 900} for item in buffer.items())

    def test_what_was_replaced_is_not_kept(self):
        buffer = self.shown(1, items=10)
        for number in range(100):
            show(buffer, "x" * 100, display_id="d")
            buffer.update("d", {"text/plain": str(number)}, {})
        assert {item.text for item in buffer.items()} == {"99"}
        assert buffer.kept_bytes == 10 * 2
        assert not buffer._groups["d"].new

    def test_ids_of_items_that_were_dropped_are_forgotten(self):
        buffer = ItemBuffer(limits(items=10))
        for number in range(1000):
            show(buffer, "x", display_id=f"d{number}")
        assert len(buffer._groups) == 10
