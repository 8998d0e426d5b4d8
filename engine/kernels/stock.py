"""The stock of one language in the pool: how many kernels are ready, and how many there should be. Decides, does no I/O."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

from engine.kernels.kernel import Kernel
from engine.languages import Language
from engine.log import get_logger
from engine.workspaces import Workspace

_PATIENCE = 3.0  # seconds that busy cores keep a member from being started
_WINDOW = 10.0  # seconds over which takes are averaged
_UNUSED = 300.0  # seconds without a take, after which a language that is not kept ready loses its members
_SURPLUS_KEPT = 60.0  # seconds without a take, after which more members than are wanted are ended
_LONGEST_PAUSE = 300.0  # seconds between two starts of what cannot be started
_FAILURE_FORGOTTEN = 600.0

Why = Literal["died", "stale", "surplus", "memory"]


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A kernel that waits for a context, and the directories it was started in."""

    kernel: Kernel
    workspace: Workspace


class Rate:
    """Moving average of how many events there are in a second; old ones fade."""

    def __init__(self) -> None:
        self._value = 0.0
        self._at = 0.0

    def note(self, now: float) -> None:
        self._value, self._at = self.at(now) + 1 / _WINDOW, now

    def at(self, now: float) -> float:
        return self._value * math.exp((self._at - now) / _WINDOW)


class Stock:
    """The members of one language: how many there are, and how many there should be. `is_kept`: also while nobody takes any."""

    def __init__(self, language: Language, *, least: int, most: int, is_kept: bool) -> None:
        self.language = language
        self.ready: deque[Member] = deque()
        self.is_starting = False
        self.problem: str | None = None
        self._least = least
        self._most = most
        self._is_kept = is_kept
        self._takes = Rate()
        self._last_take = -math.inf
        self._start_seconds = 0.0
        self._short_since: float | None = None
        self._failures = 0
        self._failed_at = -math.inf

    def __repr__(self) -> str:
        starting = ", 1 starting" if self.is_starting else ""
        problem = f", {self.problem}" if self.problem else ""
        return f"<Stock {self.language.name}, {len(self.ready)} ready{starting}{problem}>"

    def wanted(self, now: float) -> int:
        """As many as are taken while one starts, between floor and ceiling; none of a language that is not used."""
        if not self._is_kept and now - self._last_take > _UNUSED:
            return 0
        expected = math.ceil(self._takes.at(now) * self._start_seconds)
        return min(self._most, max(self._least, expected))

    def lacks_one(self, now: float) -> bool:
        return len(self.ready) + self.is_starting < self.wanted(now)

    def may_start(self, now: float) -> bool:
        return not self.is_starting and self.lacks_one(now) and now >= self._failed_at + self.pause

    def has_waited(self, now: float) -> bool:
        """Whether busy cores have kept it short for long enough."""
        return self._short_since is not None and now - self._short_since >= _PATIENCE

    @property
    def pause(self) -> float:
        """Seconds after the last failure before the next start: none after the first, then twice as long each time."""
        return 0.0 if self._failures < 2 else min(2.0 ** (self._failures - 2), _LONGEST_PAUSE)

    def take(self, now: float) -> Member | None:
        """The oldest member that works, so that none grows old. Those that do not are left to `sort_out`."""
        self._takes.note(now)
        self._last_take = now
        for member in self.ready:
            if member.kernel.is_alive and self.language.backend.is_current(member.kernel):
                self.ready.remove(member)
                self._failures = 0
                return member
        return None

    def sort_out(self, now: float) -> list[tuple[Member, Why]]:
        """Take out the members that are of no use."""
        out: list[tuple[Member, Why]] = []
        for member in list(self.ready):
            if not member.kernel.is_alive:
                out.append((member, "died"))
                self.note_failure(now, f"died in the pool: {_exit_of(member.kernel)}")
            elif not self.language.backend.is_current(member.kernel):
                out.append((member, "stale"))
        for member, _ in out:
            self.ready.remove(member)
        while now - self._last_take > _SURPLUS_KEPT and len(self.ready) > self.wanted(now):
            out.append((self.ready.popleft(), "surplus"))
        return out

    def drain(self) -> list[Member]:
        """Take out all members."""
        out = list(self.ready)
        self.ready.clear()
        return out

    def note_shortage(self, now: float) -> None:
        """Begin or end the time that `has_waited` counts."""
        if not self.may_start(now):
            self._short_since = None
        elif self._short_since is None:
            self._short_since = now

    def begin_start(self) -> None:
        self.is_starting = True
        self._short_since = None

    def note_started(self, member: Member, seconds: float) -> None:
        self.is_starting = False
        self.problem = None
        self._start_seconds = seconds if not self._start_seconds else (self._start_seconds + seconds) / 2
        self.ready.append(member)

    def note_failure(self, now: float, reason: str) -> None:
        """A start failed, or a member died. `reason` is kept until a start succeeds."""
        if now - self._failed_at > _FAILURE_FORGOTTEN:
            self._failures = 0
        self._failures += 1
        self._failed_at = now
        if reason != self.problem:
            get_logger().warning("pool_problem", language=self.language.name, reason=reason, pause=self.pause)
        self.problem = reason


def _exit_of(kernel: Kernel) -> str:
    return kernel.exited.result().describe() if kernel.exited.done() else "gone"
