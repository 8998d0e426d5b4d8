"""What a terminal shows of a text that moves its cursor: up to a line that is there already, back over it, or erasing it."""

from __future__ import annotations

import re
from itertools import islice

# CSI sequences (parameters, intermediates, final), OSC sequences, and all other escape sequences: ECMA-48, 5.3-5.6.
ESCAPE = re.compile(r"\x1b(?:\[([0-?]*)([ -/]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*([0-~]))")
_MOVES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-ln-~]|[78DEM])|\x08")
_BACK = re.compile(r"[\r\x08]")
_ROWS = 100  # of the screen; what has scrolled out of it cannot be reached
_WIDTH = 200  # columns that a movement to the right reaches beyond the text of its line
_MOST_STEPS = (
    50_000  # escape sequences, and as many steps back, that are followed in one text: the server has other work
)


def moves_cursor(text: str) -> bool:
    """Whether the text does more to the cursor than to end a line and to return to its start."""
    return ("\x1b" in text or "\x08" in text) and _MOVES.search(text) is not None


class Terminal:
    """A screen without a right edge. Colours stay where their text stays; all else that shows nothing is left out."""

    def __init__(self) -> None:
        self._lines: list[str | list[str]] = []  # a list of characters where something was written over it
        self._row = self._column = self._top = 0
        self._saved = (0, 0)
        self._pen = ""  # colours for the next character
        self._steps = _MOST_STEPS
        self._padding = 0  # characters that may still be made up

    def show(self, text: str) -> list[str]:
        """The lines that are left of a text; an empty last one, where nothing is written yet, is not one."""
        self._padding = len(text)
        start = 0
        for escape in islice(ESCAPE.finditer(text), _MOST_STEPS):
            self._print(text[start : escape.start()])
            self._obey(escape)
            start = escape.end()
        self._print(text[start:])
        self._place_pen()
        while len(self._lines) > self._row and not self._column and not "".join(self._lines[-1]).strip():
            self._lines.pop()
        return [line if isinstance(line, str) else "".join(line) for line in self._lines]

    def _print(self, text: str) -> None:
        """Text without escape sequences. Whole new lines at the end are not looked at one character at a time."""
        if not text:
            return
        at = 0
        while self._row != len(self._lines) or self._column or self._pen:
            end = text.find("\n", at)
            self._write(text[at:] if end < 0 else text[at:end])
            if end < 0:
                return
            self._end_line()
            at = end + 1
        start = text.rfind("\n") + 1
        whole = text[at:start].split("\n")[:-1]
        if _BACK.search(text, at, start):
            for line in whole:
                self._write(line)
                self._end_line()
        else:
            self._lines += whole
            self._row += len(whole)
            self._top = max(self._top, self._row + 1 - _ROWS)
        self._write(text[max(at, start) :])

    def _end_line(self) -> None:
        self._reach()
        self._place_pen()
        self._row += 1
        self._column = 0
        self._top = max(self._top, self._row + 1 - _ROWS)

    def _write(self, text: str) -> None:
        at = 0
        for back in islice(_BACK.finditer(text), self._steps):
            self._steps -= 1
            self._put(text[at : back.start()])
            self._column = 0 if back[0] == "\r" else max(0, self._column - 1)
            at = back.end()
        self._put(text[at:])

    def _put(self, text: str) -> None:
        """Write over what stands at the cursor."""
        if not text:
            return
        line = self._reach()
        if self._column > len(line):
            missing = min(self._column - len(line), self._padding)
            self._padding -= missing
            line += " " * missing
            self._column = len(line)
        characters = list(text)
        if self._pen:
            characters[0] = self._pen + characters[0]
            self._pen = ""
        line[self._column : self._column + len(characters)] = characters
        self._column += len(characters)

    def _place_pen(self) -> None:
        """Leave colours that no character follows, such as the end of one, behind the last one."""
        if self._pen:
            before = slice(max(0, self._column - 1), self._column)
            line = self._reach()
            line[before] = ["".join(line[before]) + self._pen]
            self._pen = ""

    def _reach(self) -> list[str]:
        """The line of the cursor, for changes."""
        while len(self._lines) <= self._row:
            self._lines.append("")
        line = self._lines[self._row]
        if isinstance(line, str):
            line = self._lines[self._row] = list(line)
        return line

    def _obey(self, escape: re.Match[str]) -> None:
        parameters, intermediates, final, other = escape.groups()
        if final == "m":
            self._pen += escape[0]
        elif final and not intermediates:
            self._control(final, parameters)
        elif other == "7":
            self._saved = self._row, self._column
        elif other == "8":
            self._go(*self._saved)
        elif other == "M":
            self._go(self._row - 1, self._column)

    def _control(self, final: str, parameters: str) -> None:
        first, _, second = parameters.partition(";")
        count = max(1, _number(first))
        match final:
            case "A" | "F":
                self._go(self._row - count, 0 if final == "F" else self._column)
            case "B" | "E" | "e":
                self._go(self._row + count, 0 if final == "E" else self._column)
            case "C" | "a":
                self._go(self._row, self._column + count)
            case "D":
                self._go(self._row, self._column - count)
            case "G" | "`":
                self._go(self._row, count - 1)
            case "d":
                self._go(self._top + count - 1, self._column)
            case "H" | "f":
                self._go(self._top + count - 1, max(1, _number(second)) - 1)
            case "s":
                self._saved = self._row, self._column
            case "u":
                self._go(*self._saved)
            case "K":
                self._erase_line(_number(first))
            case "J":
                self._erase_screen(_number(first))

    def _go(self, row: int, column: int) -> None:
        """Move the cursor, within the screen."""
        self._row = max(self._top, min(row, self._top + _ROWS - 1))
        line = self._lines[self._row] if self._row < len(self._lines) else ""
        self._column = max(0, min(column, len(line) + _WIDTH))

    def _erase_line(self, part: int) -> None:
        line = self._reach()
        if part == 0:
            del line[self._column :]
        elif part == 1:
            end = min(self._column + 1, len(line), self._padding)
            self._padding -= end
            line[:end] = " " * end
        else:
            line.clear()

    def _erase_screen(self, part: int) -> None:
        if part == 0:
            del self._reach()[self._column :]
            del self._lines[self._row + 1 :]
        elif part == 1:
            self._lines[self._top : self._row] = [""] * len(self._lines[self._top : self._row])
            self._erase_line(1)
        else:
            del self._lines[self._top :]


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 6 else 0
