"""Cells that are Python as they stand: what IPython's transformations would give back unchanged, told without running them."""

from __future__ import annotations

import re
from typing import Any

from IPython.core.autocall import IPyAutocall
from IPython.core.macro import Macro

# What any transformation looks for: an indented or blank first line, and lines of blanks; an escape character at the begin of a
# line or after `=`; a question mark; prompts of a session that was pasted. Line ends other than \n make more lines.
_MARKED = re.compile(
    r"""\A\s | ^[ \t]+$ | ^[ \t]*(?:[%!?,;/]|\.\.\.|>>>) | =[^\S\n]*[%!] | \? | In[ ]\[
      | [\r\v\f\x1c-\x1e\x85\u2028\u2029] | PYTHON-MODE""",
    re.VERBOSE | re.MULTILINE,
)
_FIRST_WORD = re.compile(r"[\w.*]*")  # as IPython's prefilter splits a line


class PlainCells:
    """Knows the transformations that a shell starts with; where a user has added some, no cell is plain."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._at_start = self._transformations()

    def _transformations(self) -> list[Any]:
        shell = self._shell
        static, dynamic = shell.input_transformer_manager, shell.prefilter_manager
        return [
            *static.cleanup_transforms,
            *static.line_transforms,
            *static.token_transformers,
            *shell.input_transformers_post,
            *dynamic.transformers,
            *dynamic.checkers,
            shell.autocall,
        ]

    def include(self, cell: str) -> bool:
        """Whether `transform_cell` would change nothing but add a newline at the end."""
        if _MARKED.search(cell) or self._transformations() != self._at_start:
            return False
        # Of a single line the first word may be a magic, a macro, or an object that is called by its name.
        return "\n" in cell.rstrip("\n") or self._is_plain_word(_FIRST_WORD.match(cell)[0])  # type: ignore[index]

    def _is_plain_word(self, word: str) -> bool:
        magics = self._shell.magics_manager
        if word in magics.magics["line"] or word in magics.lazy_magics:
            return False
        return not isinstance(self._shell.user_ns.get(word), (IPyAutocall, Macro))
