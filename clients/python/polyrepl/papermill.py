"""Parameters of TypeScript notebooks for papermill, which knows how to write them in other languages only.

papermill looks for engines of other packages, but not for translators. So this module is the entry point of an engine, `polyrepl`,
which is papermill's own; when papermill loads it, the translator is registered."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from papermill.engines import NBClientEngine
from papermill.models import Parameter
from papermill.translators import papermill_translators

_LARGEST_EXACT = 2**53 - 1  # a larger integer is a BigInt
_NAME = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
_RESERVED_WORDS = """
arguments await break case catch class const continue debugger default delete do else enum eval export extends false finally for function
if implements import in instanceof interface let new null package private protected public return static super switch this throw true try
typeof undefined var void while with yield
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())
_DECLARATION = re.compile(
    r"(?:const|let|var)\s+(?P<name>[\w$]+)\s*(?::\s*(?P<type>[^=]+?))?\s*=\s*(?P<value>.+?)\s*;?\s*(?://\s*(?P<help>.*))?"
)


class TypeScriptTranslator:
    """Writes a cell of parameters in TypeScript, which is JavaScript too, and finds those that a notebook has."""

    @classmethod
    def codify(cls, parameters: Mapping[str, Any], comment: str = "Parameters") -> str:
        """The source of the cell."""
        return "".join(f"{line}\n" for line in (f"// {comment}", *map(_assignment, parameters, parameters.values())))

    @classmethod
    def inspect(cls, parameters_cell: Mapping[str, Any]) -> list[Any]:
        """The parameters of a cell that declares one in a line, for `papermill --help-notebook`."""
        lines = parameters_cell["source"].splitlines()
        found = filter(None, (_DECLARATION.fullmatch(line.strip()) for line in lines))
        return [Parameter(each["name"], each["type"] or "None", each["value"], each["help"] or "") for each in found]


def _assignment(name: str, value: object) -> str:
    if _NAME.fullmatch(name) and name not in _RESERVED:
        return f"let {name} = {_literal(value)};"
    return f"globalThis[{json.dumps(name)}] = {_literal(value)};"


def _literal(value: object) -> str:
    """The source of a value as YAML or JSON has it; anything else is its text."""
    match value:
        case None | bool():
            return json.dumps(value)
        case int():
            return str(value) if abs(value) <= _LARGEST_EXACT else f"{value}n"
        case float():
            if math.isnan(value):
                return "NaN"
            return repr(value) if math.isfinite(value) else f"{'-' if value < 0 else ''}Infinity"
        case Mapping():
            return f"{{{', '.join(_members(value))}}}"
        case str():
            return json.dumps(value)
        case Sequence():
            return f"[{', '.join(map(_literal, value))}]"
    return json.dumps(str(value))


def _members(value: Mapping[Any, object]) -> Iterator[str]:
    for name, member in value.items():
        key = json.dumps(str(name))
        yield f"[{key}]: {_literal(member)}" if name == "__proto__" else f"{key}: {_literal(member)}"


for _language in ("typescript", "javascript"):
    papermill_translators.register(_language, TypeScriptTranslator)

Engine = NBClientEngine
