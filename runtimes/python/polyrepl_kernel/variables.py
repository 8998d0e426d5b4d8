"""The user's variables: what the context holds (`variables_request`), and what a cell did to it (`metadata.changes`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from . import clock
from .deadlines import Deadlines
from .fingerprints import Token, fingerprint, token
from .previews import Describer

_DEFAULT_LIMIT = 200
_MAX_LIMIT = 1000
_MAX_NAME = 200  # characters; longer ones are nobody's
_MAX_CHANGES = 1000
_EACH = 0.05  # seconds for what one value is asked
_TOTAL = 0.5
_COMPARING = 0.1  # seconds for all fingerprints, before a cell and after it


def user_variables(shell: Any) -> dict[str, Any]:
    """The variables of an IPython shell that are the user's: not private, and not what IPython put there."""
    hidden = shell.user_ns_hidden
    nothing = object()
    return {
        name: value
        for name, value in dict(shell.user_ns).items()
        if type(name) is str
        and not name.startswith("_")
        and len(name) <= _MAX_NAME
        and name.isidentifier()
        and hidden.get(name, nothing) is not value
    }


def listing(shell: Any, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a variables_reply. Never raises for what the variables are."""
    variables = user_variables(shell)
    match = _string(content.get("match"))
    names = sorted(name for name in variables if match in name)
    total = len(names)
    after = _string(content.get("after"))
    limit = _limit(content.get("limit"))
    names = [name for name in names if name > after] if after else names
    with _nothing_shown(shell), Deadlines(each=_EACH, total=_TOTAL) as deadlines:
        describer = Describer(deadlines)
        items = [{"name": name, **describer.describe(variables[name])} for name in names[:limit]]
    return {"status": "ok", "items": items, "total": total, "truncated": len(names) > limit}


@contextmanager
def _nothing_shown(shell: Any) -> Iterator[None]:
    """Drop what this thread displays."""

    def drop(message: object) -> None:
        return None

    shell.display_pub.register_hook(drop)
    try:
        yield
    finally:
        shell.display_pub.unregister_hook(drop)


def _string(value: object) -> str:
    return value if type(value) is str else ""


def _limit(value: object) -> int:
    return max(1, min(value, _MAX_LIMIT)) if type(value) is int else _DEFAULT_LIMIT


class Snapshot:
    """The variables of a shell at one moment. It keeps none of them alive, and looks at no more of them than is cheap."""

    def __init__(self, shell: Any) -> None:
        self._seen = _look(shell)

    def changes(self, shell: Any) -> dict[str, Any]:
        """Names that were created, changed and removed since, sorted; `omitted` counts those that are too many to name.

        Changed: bound to another object (an equal number or text is no other), or seen to differ inside."""
        now = _look(shell)
        before = self._seen
        created = [name for name in now if name not in before]
        removed = [name for name in before if name not in now]
        changed = [name for name in now if name in before and _differs(before[name], now[name])]
        return _bounded({"created": sorted(created), "changed": sorted(changed), "removed": sorted(removed)})


def _look(shell: Any) -> dict[str, tuple[Token, Token | None]]:
    end = clock.monotonic() + _COMPARING
    seen = {}
    with Deadlines(each=_EACH, total=_COMPARING) as deadlines:
        for name, value in user_variables(shell).items():
            inside = fingerprint(value, deadlines) if clock.monotonic() < end else None
            seen[name] = token(value), inside
    return seen


def _differs(before: tuple[Token, Token | None], now: tuple[Token, Token | None]) -> bool:
    if before[0] != now[0]:
        return True
    return before[1] is not None and now[1] is not None and before[1] != now[1]


def _bounded(changes: dict[str, list[str]]) -> dict[str, Any]:
    room = _MAX_CHANGES
    kept: dict[str, Any] = {}
    for kind, names in changes.items():
        kept[kind] = names[:room]
        room -= len(kept[kind])
    omitted = sum(map(len, changes.values())) - (_MAX_CHANGES - room)
    return {**kept, "omitted": omitted} if omitted else kept
