"""The differences that are accepted: docs/differences.md, which is read here, so that what it says is what the test demands.

There a block names a cell (`group / title` in backticks, on its own line) and shows, fenced as a diff, which lines of its transcript
stock ipykernel has (-) and ours has (+) instead. A block may be for some versions of Python only: `group / title`, before Python 3.15
or `group / title`, from Python 3.15 on."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/differences.md"
_BLOCK = re.compile(
    r"^`(?P<group>[\w-]+) / (?P<title>[^`\n]+)`(?P<when>, (?:before|from) Python 3\.(?P<minor>\d+)(?: on)?)?\n\n?"
    r"```diff\n(?P<diff>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

Key = tuple[str, str]  # group and title


def accepted(document: Path = DOCUMENT, minor: int = sys.version_info.minor) -> dict[Key, list[str]]:
    """The lines of each cell's diff, in this version of Python."""
    blocks = list(_blocks(document.read_text(encoding="utf-8"), minor))
    found = {(block["group"], block["title"]): block["diff"].splitlines() for block in blocks}
    assert len(found) == len(blocks), "a cell is listed twice"
    return found


def named(document: Path = DOCUMENT) -> set[Key]:
    """The cells that have a difference in any version of Python."""
    return {(block["group"], block["title"]) for block in _BLOCK.finditer(document.read_text(encoding="utf-8"))}


def _blocks(text: str, minor: int) -> Iterator[re.Match[str]]:
    return (block for block in _BLOCK.finditer(text) if _applies(block, minor))


def _applies(block: re.Match[str], minor: int) -> bool:
    if block["when"] is None:
        return True
    return minor < int(block["minor"]) if "before" in block["when"] else minor >= int(block["minor"])


def difference(stock: list[str], lean: list[str]) -> list[str]:
    """Removed and added lines, without those around them; empty when there is no difference."""
    lines = difflib.unified_diff(stock, lean, n=0, lineterm="")
    return [line.rstrip() for line in list(lines)[2:] if not line.startswith("@@")]


def block(key: Key, diff: list[str], when: str = "") -> str:
    """A cell's difference as the document holds it."""
    group, title = key
    return "\n".join([f"`{group} / {title}`{when}", "", "```diff", *diff, "```"])


def updated(text: str, found: dict[Key, list[str]], minor: int = sys.version_info.minor) -> str:
    """The document with the blocks of these cells as they are now in this version of Python."""

    def replace(match: re.Match[str]) -> str:
        key = (match["group"], match["title"])
        if not (found.get(key) and _applies(match, minor)):
            return match[0]
        return block(key, found[key], match["when"] or "")

    return _BLOCK.sub(replace, text)
