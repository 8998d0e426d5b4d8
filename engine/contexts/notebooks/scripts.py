"""A script: the code of one language, cell by cell in the percent format that VS Code, Spyder and Jupytext read.

It is written to be run again: what failed, and what only a notebook understands (lines with % and !), stays as comments."""

from __future__ import annotations

import re

from engine.contexts.notebooks.cells import Cell, Origin

LANGUAGES = {
    "py": frozenset({"python", "ipykernel", "xpython"}),
    "ts": frozenset({"typescript", "bun", "deno"}),
}
"""The languages whose code is in a file with that suffix."""
_SIGNS = {"py": "#", "ts": "//"}
_CELL_MAGIC = re.compile(r"%%\w")
_MAGIC = re.compile(r"%[A-Za-z_]|!(?!=)|\?{1,2}[\w.]")
_NAME = re.compile(r"[\w.]+")
_LINE_END = re.compile("\r\n|[\n\r\u2028\u2029]")  # each of these ends a comment in Python or in TypeScript


class ScriptWriter:
    """Writes the cells of the suffix's languages, and says how many others there are."""

    def __init__(self, origin: Origin, suffix: str) -> None:
        self._origin = origin
        self._suffix = suffix
        self._sign = _SIGNS[suffix]
        self._others = 0

    def begin(self) -> bytes:
        lines = [f"Context {self._origin.context_id}, exported by polyrepl", *self._origin.missing]
        return self._comment("\n".join(lines)).encode()

    def cell(self, cell: Cell) -> bytes:
        if cell.language not in LANGUAGES[self._suffix]:
            self._others += 1
            return b""
        number = "" if cell.execution_count is None else f" {cell.execution_count}"
        title, code = f"In{number}", cell.code.rstrip("\n")
        if cell.status != "ok":
            title += f": {cell.status}, as a comment"
            code = self._comment(code).rstrip("\n")
        elif self._suffix == "py":
            code = self._without_magics(code)
        return f"\n{self._sign} %% {title}\n{code}\n".encode()

    def gone(self, number: int) -> bytes:
        return f"\n{self._sign} Cell {number} was no longer kept when its turn came.\n".encode()

    def end(self) -> bytes:
        if not self._others:
            return b""
        return f"\n{self._sign} Cells in other languages that are not in this file: {self._others}\n".encode()

    def _comment(self, text: str) -> str:
        return "".join(f"{self._sign} {line}".rstrip() + "\n" for line in _lines(text))

    def _without_magics(self, code: str) -> str:
        if not any(sign in code for sign in "%!?"):
            return code
        if _CELL_MAGIC.match(code.lstrip()):
            return self._comment(code).rstrip("\n")
        return "\n".join(f"{self._sign} {line}" if _is_magic(line.strip()) else line for line in code.split("\n"))


def _lines(text: str) -> list[str]:
    """The lines as a language sees them."""
    return _LINE_END.split(text)


def _is_magic(line: str) -> bool:
    """Whether IPython alone understands it: a magic, a command of the shell, or a question such as `name?`."""
    return bool(_MAGIC.match(line)) or (line.endswith("?") and bool(_NAME.fullmatch(line.rstrip("?"))))
