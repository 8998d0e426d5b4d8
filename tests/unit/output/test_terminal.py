"""Logs are as a terminal shows them, also where the text moves the cursor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.output import to_lines
from engine.output.terminal import Terminal

UP, DOWN, LINE, END, BELOW = "\x1b[A", "\x1b[B", "\x1b[2K", "\x1b[K", "\x1b[J"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f"one\ntwo\n{UP}{UP}uno\n", ["uno", "two"]),
        ("one\ntwo\n\x1b[2Auno\n", ["uno", "two"]),
        (f"a{DOWN}{DOWN}b", ["a", "", " b"]),
        ("old text\r\x1b[Knew\n", ["new"]),
        (f"old text\r{LINE}new\r{LINE}last", ["last"]),
        (f"1\n2\n3\n{UP}{UP}{BELOW}end\n", ["1", "end"]),
        ("abc\b\bX", ["aXc"]),
        ("x\x1b[3Cy\x1b[3Dz", ["x z y"]),
        ("x\x1b[5Gy\x1b[1Gz", ["z   y"]),
        ("first\n\x1b[2J\x1b[Hsecond", ["second"]),
        ("\x1b[2;3Hb\x1b[1;1Ha", ["a", "  b"]),
        ("\x1b[?25lspin\r\x1b[?25hdone", ["done"]),
        ("ab\x1b7cd\x1b8X\x1b[s!\x1b[uY", ["abXY"]),
        (f"keep\n{UP}", ["keep"]),
        (f"bar\n   {UP}\rBAR\n", ["BAR"]),
        (f"a\n\nb{END}\n\n", ["a", "", "b", ""]),
        (f"{UP}{UP}top", ["top"]),
        (f"\x1b[31mred\x1b[0m{END}\nplain", ["\x1b[31mred\x1b[0m", "plain"]),
        (f"\x1b[1mbold{END}\x1b[0m\n", ["\x1b[1mbold\x1b[0m"]),
        ("\x1b[31mred\x1b[0m only colours\n", ["\x1b[31mred\x1b[0m only colours"]),
    ],
)
def test_the_cursor_moves(text: str, lines: list[str]):
    assert to_lines(text) == lines


def test_nested_progress_bars_leave_a_line_each():
    steps = [f"\router {i}\n\rinner {j}{UP}" for i in range(3) for j in range(4)]
    assert to_lines("".join(steps)) == ["outer 2", "inner 3"]


@given(st.text(alphabet="ab\r\n", max_size=60))
def test_text_that_moves_no_cursor_is_shown_as_without_a_screen(text: str):
    shown, lines = Terminal().show(text), to_lines(text)
    assert shown == lines or (text.endswith("\r") and [*shown, ""] == lines)


@given(st.text(alphabet="ab12;\r\n\b\x1b[ABCDGHJKmsu?7", max_size=200))
def test_no_text_makes_up_more_than_its_length_and_a_screen(text: str):
    lines = to_lines(text)
    assert sum(map(len, lines)) <= 2 * len(text)
    assert len(lines) <= text.count("\n") + 101


@pytest.mark.parametrize(
    "text",
    [
        UP * 500_000,
        "\x1b[199Cx\n" * 200_000,
        "x" * 1_000_000 + "\x1b[1K" * 100_000,
        "x" * 500_000 + "\bab" * 500_000 + UP,
        "\n" * 200_000 + "\x1b[1J" * 50_000,
        "\x1b[" + "1" * 1_000_000,
    ],
)
def test_hostile_text_is_bounded_work(text: str):
    """Following all of it would take minutes, in the server's loop."""
    assert sum(map(len, to_lines(text))) <= 2 * len(text)
