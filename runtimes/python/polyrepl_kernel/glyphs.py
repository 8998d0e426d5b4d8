"""Glyphs that no font has: one line for a figure's cell, and not a warning of matplotlib for each of them, with paths of the server."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

from .imports import after_import

if TYPE_CHECKING:
    from types import ModuleType


def tell_missing_glyphs_once(shell: Any) -> None:
    """Have matplotlib's warning of a missing glyph shown once in a cell for each font, unless the user's filters drop it."""

    def replace(module: ModuleType) -> None:
        warn = getattr(module, "warn_on_missing_glyph", None)
        if warn is None:  # another version, which warns by itself
            return
        told: tuple[int, str] | None = None

        def tell(codepoint: int, fonts: str) -> None:
            nonlocal told
            with warnings.catch_warnings(record=True) as shown:
                warn(codepoint, fonts)
            if shown and told != (shell.execution_count, fonts):
                told = (shell.execution_count, fonts)
                text = (
                    f"No glyph for {chr(codepoint)!r} in the font {fonts}: a box is drawn. Name a font that has it in"
                )
                print(f"UserWarning: {text} plt.rcParams['font.family'].", file=sys.stderr)

        module.warn_on_missing_glyph = tell  # type: ignore[attr-defined]

    after_import("matplotlib._text_helpers", replace)
