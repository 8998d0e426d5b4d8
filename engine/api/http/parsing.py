"""Parsing what comes in: bounded in values, and beside the loop where it is large."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from engine.errors import FieldError, InvalidRequest

MAX_VALUES = 100_000
"""Values of one JSON document. Each becomes an object, however small it is written."""

_LARGE = 64 * 1024  # bytes from which a thread takes less of the loop's time than parsing does
_VALUES = re.compile(rb'"[^"]*"?|[,\[{]')
_threads = ThreadPoolExecutor(2, thread_name_prefix="polyrepl-parse")
Parsed = TypeVar("Parsed")


async def parse_json(raw: bytes, parse: Callable[[bytes], Parsed]) -> Parsed:
    """What `parse` makes of a JSON document. Raises InvalidRequest for one of more than MAX_VALUES values, and what `parse` does."""
    if len(raw) <= _LARGE:
        return parse(raw)

    def parse_bounded() -> Parsed:
        check_values(raw)
        return parse(raw)

    return await beside_loop(parse_bounded)


async def beside_loop(work: Callable[[], Parsed]) -> Parsed:
    """What `work` returns or raises, in a thread of those that parse."""
    return await asyncio.get_running_loop().run_in_executor(_threads, work)


def check_values(raw: bytes) -> None:
    """Raises InvalidRequest for a JSON document of more than MAX_VALUES values."""
    if has_many_values(raw):
        raise InvalidRequest(FieldError("body", f"has more than {MAX_VALUES} values"))


def has_many_values(raw: bytes) -> bool:
    """Whether a JSON document has more than MAX_VALUES values."""
    if sum(map(raw.count, (b",", b"[", b"{"))) <= MAX_VALUES:
        return False
    # Some of them may be in strings, in which no quote is left that does not end them.
    plain = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    found = 0
    for each in _VALUES.finditer(plain):
        found += not each[0].startswith(b'"')
        if found > MAX_VALUES:
            return True
    return False
