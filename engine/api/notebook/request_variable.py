"""The variable REQUEST: a request as a JSON text, assigned in the language of a kernel. Pure.

Requests come from anybody, so that nothing in them may be read as code: no quote ends the literal, and nothing is interpolated in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# What languages interpolate in a literal with double quotes: Ruby, Perl, Julia, PHP, Kotlin, Groovy and shells; Perl and CSound; Go.
_INTERPOLATED = "$#@`"
_JAVASCRIPT = ("javascript", "typescript")


def assignment(language: str, bundle: Mapping[str, Any]) -> str:
    """The statement that makes REQUEST, in a language as its kernelspec names it."""
    text = json.dumps(bundle)
    name = language.lower()
    if name == "python":
        return f"REQUEST = {json.dumps(text)}"
    if name in _JAVASCRIPT:  # cells are modules, or strict: a plain assignment makes no variable there
        return f"globalThis.REQUEST = {json.dumps(text)};"
    if name in ("bash", "sh", "zsh"):
        return f"REQUEST='{_escaped(text, chr(39))}'"
    literal = json.dumps(_escaped(text, _INTERPOLATED))
    return f"my $REQUEST = {literal}" if name == "perl" else f"REQUEST = {literal}"


def _escaped(text: str, characters: str) -> str:
    """JSON text without these characters, which outside of its strings it never has."""
    for character in characters:
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
