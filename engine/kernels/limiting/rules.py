"""The limits that contexts get: the settings' own, and what requests may ask for."""

from __future__ import annotations

import os
import resource
from dataclasses import replace

from engine.errors import FieldError, InvalidRequest
from engine.settings import AskedLimits, Limits, Settings, problems_of

_PROCESSES = 1024
_DISK = 10 << 30
_INFINITE = (-1, resource.RLIM_INFINITY)  # RLIM_INFINITY is -1 before Python 3.15


class LimitRules:
    """`default`: the limits of a context for which no request says others. `most`: what a request may ask for."""

    def __init__(self, settings: Settings, *, memory: int | None) -> None:
        """`memory`: bytes, where `context_limits` does not say."""
        own = Limits(memory=memory, processes=_PROCESSES, disk=_DISK)
        self.default = own.with_values(settings.context_limits)
        most = replace(self.default, wall_seconds=settings.context_limits.get("wall_seconds"))
        if most.cpus is None:
            most = replace(most, cpus=len(os.sched_getaffinity(0)))
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if most.open_files is None and hard not in _INFINITE:
            most = replace(most, open_files=hard)
        self.most = most.with_values(settings.max_context_limits)

    def of(self, asked: AskedLimits | None) -> Limits:
        """The limits of a context whose maker asks for these. Raises InvalidRequest that names each wrong one."""
        wrong = [FieldError(f"limits.{name}", problem) for name, problem in problems_of(asked or {}, self.most)]
        if wrong:
            raise InvalidRequest(*wrong)
        return self.default.with_values(asked or {})
