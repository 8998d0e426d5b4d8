"""Writes the modules of `polyrepl` that are made from others: run `python clients/python/generate.py` after a change of one of those.

- `_sync/` from `_async/`: the names of asynchronous things become those of plain ones, and `async` and `await` go.
- `models.py` from the engine's values and `api_errors.py` from its tree of errors, so that the package needs nothing of the engine.
- `_version.py` from the engine's version.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(__file__).resolve().parent / "polyrepl"
ENGINE = ROOT / "engine"

_RENAMED = {
    "_async": "_sync",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
    "aiter_bytes": "iter_bytes",
    "anext": "next",
    "aread": "read",
    "asynccontextmanager": "contextmanager",
    "aclosing": "closing",
}
_REMOVED = re.compile(r"\b(?:async|await) ")
_WORD = re.compile(r"\w+")


def generated() -> dict[Path, str]:
    """The text of each generated module."""
    made = {
        PACKAGE / "_sync" / path.name: _first_line(f"_async/{path.name}") + synchronous(path.read_text())
        for path in sorted((PACKAGE / "_async").glob("*.py"))
    }
    for name, source, make in (
        ("models", "models", models),
        ("api_errors", "errors", api_errors),
        ("_version", "__init__", version),
    ):
        made[PACKAGE / f"{name}.py"] = _first_line(f"engine/{source}") + make(engine_source(source))
    return {path: formatted(text, path) for path, text in made.items()}


def engine_source(name: str) -> str:
    """A module of the engine, or all modules of a package."""
    module = ENGINE / f"{name}.py"
    return "\n".join(
        path.read_text() for path in ([module] if module.exists() else sorted((ENGINE / name).glob("*.py")))
    )


def _first_line(source: str) -> str:
    return f"# Generated from {source} by clients/python/generate.py: change that, and run this.\n"


def synchronous(source: str) -> str:
    """A module's plain twin: each word of it replaced, also those of its docstrings."""
    return _WORD.sub(_plain_word, _REMOVED.sub("", source))


def _plain_word(match: re.Match[str]) -> str:
    word = match[0]
    if word in _RENAMED:
        return _RENAMED[word]
    return word[5:] if re.match(r"Async[A-Z]", word) else word.removeprefix("async_")


def models(source: str) -> str:
    """The engine's structs as dataclasses, without the bounds that only a server checks."""
    parts = [
        '"""The values of the API, as dataclasses. A field that the server left out is `UNSET`."""\n',
        "from __future__ import annotations\n",
        "from typing import Any, ClassVar, Literal\n",
        "from polyrepl.values import UNSET, UnsetType, Value\n",
    ]
    structs: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            if ast.unparse(node).startswith("__all__"):
                continue
            parts.append(ast.unparse(_WithoutBounds().visit(node)))
        elif isinstance(node, ast.ClassDef) and _bases(node)[0] in {"msgspec.Struct", *structs}:
            structs.add(node.name)
            parts.append(_dataclass(_WithoutBounds().visit(node)))
    return "\n".join(parts)


class _WithoutBounds(ast.NodeTransformer):
    """`Annotated[X, ...]` becomes `X`."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id == "Annotated" and isinstance(node.slice, ast.Tuple):
            return node.slice.elts[0]
        return node


def _bases(node: ast.ClassDef) -> list[str]:
    return [ast.unparse(base) for base in node.bases] or [""]


def _dataclass(node: ast.ClassDef) -> str:
    base = _bases(node)[0].replace("msgspec.Struct", "Value")
    tag = next((ast.literal_eval(each.value) for each in node.keywords if each.arg == "tag"), None)
    if tag is not None:
        field = ast.parse(f"type_tag: ClassVar[str] = {tag!r}").body[0]
        node.body.insert(1 if ast.get_docstring(node) else 0, field)
    node.bases, node.keywords = [], []
    node.body = [each for each in node.body if not isinstance(each, ast.FunctionDef)]
    _, body = ast.unparse(node).split("\n", 1)
    return f"\nclass {node.name}({base}):\n{body}\n"


def api_errors(source: str) -> str:
    """The engine's errors as those of a client: the same tree below `ApiError`."""
    parts = [
        '"""The errors that a server answers with, under its own names."""\n',
        "from polyrepl.errors import ApiError\n",
    ]
    names = {"PolyreplError": "ApiError"}
    left = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    while found := [node for node in left if _bases(node)[0] in names]:
        for node in found:
            summary = re.split(r"(?<=\.)\s", ast.get_docstring(node) or "")[0]
            parts.append(f'\nclass {node.name}({names[_bases(node)[0]]}):\n    """{summary}"""\n')
        names |= {node.name: node.name for node in found}
        left = [node for node in left if node.name not in names]
    listed = sorted(set(names.values()) - {"ApiError"})
    parts.insert(2, f"__all__ = {listed!r}\n")
    return "\n".join(parts)


def version(source: str) -> str:
    found = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    assert found is not None, "engine/__init__.py states no version"
    return f'__version__ = "{found[1]}"\n'


def formatted(text: str, path: Path) -> str:
    """As `make format` leaves it."""
    for command in (["check", "--fix", "--quiet", "--select", "I"], ["format", "--quiet"]):
        arguments = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"]
        text = subprocess.run(arguments, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return text


def main() -> None:
    for path, text in generated().items():
        path.write_text(text)
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
