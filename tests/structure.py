"""The rooms of the code and what they import, read from the code itself. `python -m tests.structure` prints them as text.

A room is a file or a folder directly below a package; what is deeper belongs to its room, except for the folders of SPLIT."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENGINE = ROOT / "engine"
TYPESCRIPT = ROOT / "runtimes/typescript"

SPLIT = ("api", "kernels")
"""Folders of the engine whose own folders are rooms, too."""

Rooms = dict[str, set[str]]
"""Each room with the rooms that it imports."""


@cache
def imports(path: Path, *, lazy: bool = True, typing: bool = False, relative: bool = False) -> frozenset[str]:
    """Full names of what a Python file imports.

    `lazy`: also inside functions. `typing`: also what only a type checker reads. `relative`: the file may import relatively;
    such imports are left out. Raises ValueError for one that may not."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not typing:
            return
        if not lazy and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level and not relative:
                msg = f"{path}: relative import"
                raise ValueError(msg)
            if not node.level:
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(parsed(path))
    return frozenset(found)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def modules(package: Path = ENGINE) -> list[Path]:
    return sorted(path for path in package.rglob("*.py") if "_data" not in path.parts)


def name_of(path: Path) -> str:
    """The name that a module of the engine is imported by, without `engine.`; empty for the engine itself."""
    parts = path.relative_to(ENGINE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(name: str) -> str:
    """The room of a module: `contexts.queue` is in `contexts`, `api.gateway.routes` in `api.gateway`."""
    top, _, rest = name.partition(".")
    if top not in SPLIT or not rest:
        return top
    below = rest.partition(".")[0]
    is_folder = (ENGINE / top / below).is_dir()
    return f"{top}.{below}" if is_folder or top == "api" else top


def engine_rooms(*, typing: bool = False) -> Rooms:
    """The engine's rooms; folders of SPLIT appear with their own rooms."""
    names = {name_of(path) for path in modules()}
    rooms: Rooms = defaultdict(set)
    for path in modules():
        room = room_of(name_of(path))
        if not room:
            continue
        rooms[room] |= set()
        for name in imports(path, typing=typing):
            target = _module(name, names)
            if target and room_of(target) != room:
                rooms[room].add(room_of(target))
    return dict(rooms)


def _module(name: str, names: set[str]) -> str | None:
    """The module of the engine that an imported name is, or is in."""
    if not name.startswith("engine."):
        return None
    name = name.removeprefix("engine.")
    while name and name not in names:
        name = name.rpartition(".")[0]
    return name or None


_IMPORT = re.compile(r"""(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+)["'](\.[^"']+)["']""", re.MULTILINE)


def typescript_rooms() -> Rooms:
    """The folders of the TypeScript runtime, read from static and dynamic imports of relative paths."""
    rooms: Rooms = defaultdict(set)
    for path in sorted(TYPESCRIPT.rglob("*.mjs")):
        parts = path.relative_to(TYPESCRIPT).parts
        if parts[0] in ("vendor", "test"):
            continue
        room = parts[0].removesuffix(".mjs")
        rooms[room] |= set()
        for target in _IMPORT.findall(path.read_text()):
            found = (path.parent / target).resolve()
            if found.is_relative_to(TYPESCRIPT):
                other = found.relative_to(TYPESCRIPT).parts[0].removesuffix(".mjs")
                if other not in (room, "vendor"):
                    rooms[room].add(other)
    return dict(rooms)


def main() -> None:
    for title, rooms in (("engine", engine_rooms()), ("runtimes/typescript", typescript_rooms())):
        arrows = sum(map(len, rooms.values()))
        print(f"{title}: {len(rooms)} rooms, {arrows} arrows")
        for room in sorted(rooms):
            print(f"  {room} -> {', '.join(sorted(rooms[room])) or '-'}")


if __name__ == "__main__":
    sys.exit(main())
