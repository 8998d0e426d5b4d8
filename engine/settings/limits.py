"""Limits of contexts: what one context may take, and the settings that say so. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode

from engine.settings.fields import MIB, read_object

LimitName = Literal["memory", "cpus", "processes", "open_files", "file_size", "disk", "wall_seconds"]
AskedLimits = Mapping[LimitName, float]
# The least that a kernel can live with, and whether the number is a whole one.
_RULES: Mapping[str, tuple[float, bool]] = {
    "memory": (64 * MIB, True),
    "cpus": (0.1, False),
    "processes": (32, True),
    "open_files": (64, True),
    "file_size": (1, True),
    "disk": (MIB, True),
    "wall_seconds": (1, False),
}
_MOST = 1 << 53  # what JSON carries exactly, and more than there is of anything


@dataclass(frozen=True, slots=True)
class Limits:
    """What the processes of one context may take, all together but for `open_files` and `file_size`. None: no limit.

    `memory`: bytes besides what the kernel has when it is ready; `processes`: processes and threads; `open_files`: of each process;
    `file_size`: bytes of each file; `disk`: bytes of all files; `wall_seconds`: from the making of the context to its end."""

    memory: int | None = None
    cpus: float | None = None
    processes: int | None = None
    open_files: int | None = None
    file_size: int | None = None
    disk: int | None = None
    wall_seconds: float | None = None

    def shown(self) -> dict[str, float]:
        """Those that there are, by name."""
        return {name: value for name in LIMIT_NAMES if (value := getattr(self, name)) is not None}

    def with_values(self, values: Mapping[Any, float]) -> Self:
        """These limits, with checked `values` in place of some."""
        checked: dict[str, Any] = {name: _whole(value) for name, value in values.items()}
        return replace(self, **checked)


LIMIT_NAMES = tuple(each.name for each in fields(Limits))


def problems_of(values: Mapping[Any, Any], ceilings: Limits) -> Iterator[tuple[str, str]]:
    """What is wrong with limits that somebody gives: the name and, as the end of a sentence, the value and what is allowed."""
    for name, value in values.items():
        if name not in _RULES:
            yield name, f"is no limit; allowed: {', '.join(LIMIT_NAMES)}"
            continue
        least, is_whole = _RULES[name]
        most = getattr(ceilings, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            yield name, f"must be a number, not {str(value)[:100]!r}"
        elif is_whole and value != int(value):
            yield name, f"must be a whole number, not {value!r}"
        elif not least <= value <= (_MOST if most is None else most):
            upper = "" if most is None else f", at most {most:.16g}"
            yield name, f"is {value:.16g}; allowed: at least {least:.16g}{upper}"


def _whole(value: float) -> float:
    return int(value) if isinstance(value, float) and value.is_integer() else value


GivenLimits = Annotated[dict[str, Any], NoDecode, BeforeValidator(read_object)]


class ContextLimits(BaseModel):
    context_limits: GivenLimits = Field(
        {},
        description='Limits of each context, as a JSON object: {"memory": 1000000000, "cpus": 1}. '
        "Names: memory, cpus, processes, open_files, file_size, disk, wall_seconds. Default: half of the memory, "
        "1024 processes and 10 GiB of disk. docs/limits.md explains them.",
    )
    max_context_limits: GivenLimits = Field(
        {},
        description="Maximum limits that a request may ask for, as a JSON object. Default: those in `context_limits`; "
        "for a limit that is not set there, any value.",
    )

    cgroups: bool = Field(
        True,
        description="Limit contexts by control groups if the server may write to them. Otherwise a watchdog looks at what they take.",
    )

    @field_validator("context_limits", "max_context_limits")
    @classmethod
    def _check_limits(cls, limits: dict[str, Any]) -> dict[str, Any]:
        wrong = [f"{name} {problem}" for name, problem in problems_of(limits, Limits())]
        if wrong:
            raise ValueError("; ".join(wrong))
        return limits
