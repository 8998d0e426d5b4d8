"""The engine's regular expressions take time in proportion to what they are applied to, whatever it is.

Each is applied to texts of a megabyte that nearly match. One that goes back over them again and again takes hours for that; the
process that tries them has 40 seconds of the processor's time."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from re import _constants as kinds  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import engine
from tests.structure import ENGINE, ROOT, modules

CPU_SECONDS = 40
SIZE = 1_000_000  # characters
LOOKED_AT = ("compile", "match", "search", "fullmatch", "sub", "subn", "split", "findall", "finditer")
PART = 200_000  # of those that repeat one part
ENDS = ("", "\0", "\n\0")
Node = tuple[Any, Any]


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """All that modules of the engine hold, also within tuples and maps."""
    for module in pkgutil.walk_packages(engine.__path__, "engine."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            for pattern in _within(value):
                yield f"{module.name}.{name}", pattern


def _within(value: Any, depth: int = 0) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, (tuple, list, dict)) and depth < 3:
        for each in value.values() if isinstance(value, dict) else value:
            yield from _within(each, depth + 1)


def sample(nodes: Any) -> str:
    """A text that these parts of a pattern match, as far as that is told without thinking."""
    return "".join(_sample(kind, value) for kind, value in nodes)


def _sample(kind: Any, value: Any) -> str:
    if kind is kinds.LITERAL:
        return chr(value)
    if kind is kinds.NOT_LITERAL:
        return "b" if value == ord("a") else "a"
    if kind is kinds.ANY:
        return "a"
    if kind is kinds.IN:
        return _one_of(value)
    if kind is kinds.SUBPATTERN:
        return sample(value[-1])
    if kind is kinds.BRANCH:
        return sample(value[1][0])
    if kind in (kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT):
        return sample(value[2]) * max(1, value[0])
    if kind is kinds.ATOMIC_GROUP:
        return sample(value)
    return ""  # a place


def _one_of(choices: list[Node]) -> str:
    members = re.compile(_class(choices))
    return next(
        chr(code)
        for code in (*range(97, 123), *range(32, 127), *range(32), *range(127, 256), 0x2028)
        if members.fullmatch(chr(code))
    )


def _class(choices: list[Node]) -> str:
    names = {
        kinds.CATEGORY_DIGIT: r"\d", kinds.CATEGORY_NOT_DIGIT: r"\D", kinds.CATEGORY_SPACE: r"\s",
        kinds.CATEGORY_NOT_SPACE: r"\S", kinds.CATEGORY_WORD: r"\w", kinds.CATEGORY_NOT_WORD: r"\W",
    }  # fmt: skip
    text = ""
    for kind, value in choices:
        if kind is kinds.NEGATE:
            text += "^"
        elif kind is kinds.LITERAL:
            text += rf"\U{value:08x}"
        elif kind is kinds.RANGE:
            text += rf"\U{value[0]:08x}-\U{value[1]:08x}"
        else:
            text += names[value]
    return f"[{text}]"


def near_matches(nodes: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """A text for each part that may come again and again: what comes before it, and the part itself."""
    for kind, value in nodes:
        if kind in (kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT):
            if value[1] > 1000:
                yield before, sample(value[2])
            yield from near_matches(value[2], before)
        elif kind is kinds.SUBPATTERN:
            yield from near_matches(value[-1], before)
        elif kind is kinds.ATOMIC_GROUP:
            yield from near_matches(value, before)
        elif kind is kinds.BRANCH:
            for branch in value[1]:
                yield from near_matches(branch, before)
        before += _sample(kind, value)


def texts(pattern: re.Pattern[Any]) -> Iterator[str]:
    nodes = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    whole = sample(nodes) or "a"
    for size in {1, len(whole) // 2, len(whole) - 1, len(whole)} - {0, -1}:
        yield whole[:size] * (SIZE // size)
    for before, part in near_matches(nodes):
        many = part * (PART // len(part) if part else 0)
        for end in ENDS:
            yield before + many + end
        yield (before + part) * (PART // len(before + part) if before + part else 0)


def apply_all() -> None:
    """Apply each to its texts; its name is said before."""
    for name, pattern in set(patterns()):
        print(name, pattern.pattern, flush=True)
        for text in texts(pattern):
            given = text.encode("latin-1", "replace") if isinstance(pattern.pattern, bytes) else text
            for function in (pattern.match, pattern.fullmatch, pattern.search):
                function(given)


def run(program: str) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))

    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=limit
    )


def test_no_pattern_goes_back_over_its_text_again_and_again():
    done = run("from tests.faults.test_patterns import apply_all; apply_all()")
    assert done.returncode == 0, f"{done.stdout[-300:]}\n{done.stderr[-3000:]}"
    assert done.stdout.count("\n") > 15


def test_one_that_does_is_found():
    pattern = re.compile(r"'(\w*)[^']*'")
    assert any("'" + "a" * 1000 in text and not pattern.match(text[:2000]) for text in texts(pattern))


def test_patterns_are_compiled_in_modules_where_they_are_found():
    """Not within functions, where this test would not see them."""
    inline = []
    for path in modules(ENGINE):
        functions = [each for each in ast.walk(ast.parse(path.read_text())) if isinstance(each, ast.FunctionDef)]
        for call in {call for function in functions for call in ast.walk(function) if isinstance(call, ast.Call)}:
            match call.func:
                case ast.Attribute(value=ast.Name(id="re"), attr=name) if name in LOOKED_AT:
                    inline.append(f"{path.relative_to(ROOT)}:{call.lineno}")
    assert inline == []
