"""A check: what the code does, what must happen, and the lowest tier that stops it.

Where nothing stops an attack, it must still leave the machine as it was, also as root: it asks whether it could, with a signal of
0 or an argument that cannot be right, or it undoes what it did."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.hostile.stage import Stage

TIERS = ("none", "process", "landlock", "namespaces")
STOPPED, OPEN, ABSENT, EITHER = "stopped", "open", "absent", "either"
NEVER = "never"


@dataclass(frozen=True)
class Outcome:
    """How an attack ended: `stopped`, `open`, or `absent` if the machine has not what it needs."""

    status: str
    detail: str

    @classmethod
    def of(cls, got: object) -> Outcome:
        return cls(OPEN, str(got)[:600]) if got else cls(STOPPED, "")


@dataclass(frozen=True)
class Check:
    """One of the checks with a number of the list."""

    number: int
    name: str
    does: str
    """What the code does."""
    must: str
    """What must happen."""
    since: str
    """The lowest tier that stops it, if an ordinary user runs the server."""
    since_as_root: str
    run: Callable[[Stage, str], Outcome]
    """What carries it out in a context of a language."""
    languages: tuple[str, ...] = ("python", "typescript")
    depends: bool = False
    """Whether the machine itself may refuse it below that tier."""

    def expected(self, tier: str, *, as_root: bool) -> str:
        """What must be seen at a tier: `stopped`, `open`, or `either`."""
        since = self.since_as_root if as_root else self.since
        if since != NEVER and TIERS.index(tier) >= TIERS.index(since):
            return STOPPED
        return EITHER if self.depends else OPEN


CHECKS: list[Check] = []


def check(
    number: int,
    must: str,
    *,
    since: str,
    as_root: str = "",
    depends: bool = False,
    languages: str = "python typescript",
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Add an attack that runs inside of a context. It is sent as text; what it returns is what it has reached.

    A TypeScript context runs it in a child process, so that the system's side of the wall is the same code.
    """

    def add(attack: Callable[[], Any]) -> Callable[[], Any]:
        def run(stage: Stage, language: str) -> Outcome:
            return stage.attack(source_of(attack), language)

        _add(attack, number, must, since, as_root, depends, languages, run)
        return attack

    return add


def typescript(
    number: int, name: str, does: str, must: str, source: str, *, since: str, as_root: str = "", depends: bool = False
) -> None:
    """Add an attack in TypeScript: the body of an async function that returns what it has reached, with `facts` and `reached`."""

    def run(stage: Stage, language: str) -> Outcome:
        return stage.typescript_attack(source)

    CHECKS.append(Check(number, name, does, must, since, as_root or since, run, ("typescript",), depends))


def scene(
    number: int,
    must: str,
    *,
    since: str,
    as_root: str = "",
    depends: bool = False,
    languages: str = "python typescript",
) -> Callable[[Callable[[Stage, str], Any]], Callable[[Stage, str], Any]]:
    """Add an attack that needs a client of the server too. What it returns is what has been reached."""

    def add(attack: Callable[[Stage, str], Any]) -> Callable[[Stage, str], Any]:
        def run(stage: Stage, language: str) -> Outcome:
            got = attack(stage, language)
            return got if isinstance(got, Outcome) else Outcome.of(got)

        _add(attack, number, must, since, as_root, depends, languages, run)
        return attack

    return add


def _add(
    attack: Callable[..., Any],
    number: int,
    must: str,
    since: str,
    as_root: str,
    depends: bool,
    languages: str,
    run: Any,
) -> None:
    assert attack.__doc__, attack
    does = " ".join(attack.__doc__.split())
    CHECKS.append(
        Check(number, attack.__name__, does, must, since, as_root or since, run, tuple(languages.split()), depends)
    )


@cache
def prelude() -> str:
    return Path(__file__).with_name("prelude.py").read_text()


def source_of(attack: Callable[[], Any]) -> str:
    """The text of an attack without its decorators, after the prelude."""
    lines = textwrap.dedent(inspect.getsource(attack)).splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if line.startswith("def "))
    return "".join(
        [
            prelude(),
            "\n\nFACTS.update(__facts__)\nPARENT = FACTS.get('parent', PARENT)\n\n",
            *lines[first:],
            f"\nreport({attack.__name__})\n",
        ]
    )


def with_facts(source: str, facts: dict[str, Any]) -> str:
    """Put the facts in their place."""
    return source.replace("__facts__", f"json.loads({json.dumps(facts)!r})")
