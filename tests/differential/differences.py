"""The differences that are accepted: docs/differences.md, which is read here, so that what it says is what the test demands.

There a block names a cell (`group / title` in backticks, on its own line) and shows, fenced as a diff, which lines of its transcript
stock ipykernel has (-) and ours has (+) instead."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/differences.md"
_BLOCK = re.compile(
    r"^`(?P<group>[\w-]+) / (?P<title>[^`\n]+)`\n\n?```diff\n(?P<diff>.*?)^```$", re.MULTILINE | re.DOTALL
)

Key = tuple[str, str]  # group and title


def accepted(document: Path = DOCUMENT) -> dict[Key, list[str]]:
    """The lines of each cell's diff."""
    blocks = list(_BLOCK.finditer(document.read_text(encoding="utf-8")))
    found = {(block["group"], block["title"]): block["diff"].splitlines() for block in blocks}
    assert len(found) == len(blocks), "a cell is listed twice"
    return found


def difference(stock: list[str], lean: list[str]) -> list[str]:
    """Removed and added lines, without those around them; empty when there is no difference."""
    lines = difflib.unified_diff(stock, lean, n=0, lineterm="")
    return [line.rstrip() for line in list(lines)[2:] if not line.startswith("@@")]


def block(key: Key, diff: list[str]) -> str:
    """A cell's difference as the document holds it."""
    group, title = key
    return "\n".join([f"`{group} / {title}`", "", "```diff", *diff, "```"])


def updated(text: str, found: dict[Key, list[str]]) -> str:
    """The document with the blocks of these cells as they are now."""

    def replace(match: re.Match[str]) -> str:
        key = (match["group"], match["title"])
        return block(key, found[key]) if found.get(key) else match[0]

    return _BLOCK.sub(replace, text)
