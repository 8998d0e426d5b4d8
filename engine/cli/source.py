"""What `polyrepl run` runs: the code of its argument, a file that this names, or standard input."""

from __future__ import annotations

import os
import re
import sys
from typing import NamedTuple

_LANGUAGES = {
    "py": "python", "ipy": "python", "ts": "typescript", "tsx": "typescript", "mts": "typescript", "cts": "typescript",
    "js": "javascript", "jsx": "javascript", "mjs": "javascript", "cjs": "javascript",
}  # fmt: skip
_NAME = re.compile(r"[\w./~@+-]+")


class SourceMissing(Exception):
    """The file that was named cannot be read; the message says why."""


class Source(NamedTuple):
    """`file`: where the code comes from, if that is a file. `language`: what the file's name says."""

    code: str
    language: str | None = None
    file: str | None = None
    is_stdin: bool = False

    @property
    def is_notebook(self) -> bool:
        """Whether it is the text of a notebook."""
        return self.file is not None and self.file.lower().endswith(".ipynb")


def read_source(argument: str | None) -> Source:
    """Take an argument as the name of a file if there is such a file, or if it can be nothing else. Raises SourceMissing."""
    if argument is None or argument == "-":
        return Source(sys.stdin.read(), is_stdin=True)
    if not (os.path.isfile(argument) or _is_name(argument)):
        return Source(argument)
    try:
        with open(argument, encoding="utf-8-sig") as file:
            code = file.read()
    except OSError as error:
        raise SourceMissing(f"Cannot run {argument}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SourceMissing(f"Cannot run {argument}: it is not text in UTF-8") from None
    return Source(code, _LANGUAGES.get(argument.rpartition(".")[2].lower()), os.path.abspath(argument))


def _is_name(argument: str) -> bool:
    """Whether it can be nothing but the name of a file that is not there."""
    stem, dot, suffix = argument.rpartition(".")
    return bool(stem) and bool(dot) and suffix in (*_LANGUAGES, "ipynb") and _NAME.fullmatch(stem) is not None
