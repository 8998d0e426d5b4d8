"""The targets of each milestone, as data, and whether a run met them."""

from __future__ import annotations

from dataclasses import dataclass

from .results import Results

US = "polyrepl"


@dataclass(frozen=True, slots=True)
class Target:
    """`metric` of `peer` must be at most (or, with `at_least`, at least) `limit`; a ratio if `base` names a peer."""

    text: str
    metric: str
    limit: float
    base: str | None = None
    peer: str = US
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target with the figure reached; `reached` is None where nothing was measured."""

    target: Target
    reached: float | None

    @property
    def word(self) -> str:
        if self.reached is None:
            return "not measured"
        good = self.reached >= self.target.limit if self.target.at_least else self.reached <= self.target.limit
        return "met" if good else "missed"


MILESTONES: dict[str, list[Target]] = {
    "first": [
        Target("warm `1+1` <= 0.7x raw", "warm", 0.7, "raw"),
        Target("warm `1+1` <= 1/6 of jupyter_server", "warm", 1 / 6, "jupyter_server"),
        Target("server CPU per warm request <= 1.2 ms", "server-cpu", 1.2),
    ],
    "final": [
        Target("warm `1+1` <= 0.25x raw", "warm", 0.25, "raw"),
        Target("warm `1+1` <= 1/15 of jupyter_server", "warm", 1 / 15, "jupyter_server"),
        Target("warm `1+1` <= 1/4 of jupyter_server without its stall", "warm", 1 / 4, "jupyter_server, quickack"),
        Target("warm typescript no slower than python", "typescript-warm", 1.0, US, "polyrepl typescript"),
        Target("new context <= 0.025x raw", "new-context", 0.025, "raw"),
        Target("server CPU per warm request <= 0.9 ms", "server-cpu", 0.9),
        Target("CPU of server + kernels at 8 contexts <= 0.25x raw", "cpu-8", 0.25, "raw"),
        Target("throughput at 32 contexts >= 4x raw", "throughput-32", 4.0, "raw", at_least=True),
        Target("throughput at 32 contexts >= 7x jupyter_server", "throughput-32", 7.0, "jupyter_server", at_least=True),
        Target("private memory per idle context <= 6 MB", "memory-private", 6.0),
        Target("PSS per idle context <= 7 MB", "memory-pss", 7.0),
        Target("10 MB print <= 1.2x raw", "big-print", 1.2, "raw"),
        Target("100,000 prints <= 0.5x raw", "many-prints", 0.5, "raw"),
        Target("1000 displays <= 0.25x raw", "displays", 0.25, "raw"),
        Target("1 s limit answered within 1100 ms", "timeout", 1100.0),
        Target("killed kernel named within 100 ms", "kill", 100.0),
        Target("server RSS, idle <= 60 MB", "server-rss", 60.0),
    ],
}


def check(results: Results, milestone: str) -> list[Verdict]:
    """Compare a run with the targets. An incomplete or failed answer counts as not measured, never as met."""
    verdicts = []
    for target in MILESTONES[milestone]:
        cell = results.peers(target.metric).get(target.peer)
        reached = None
        if cell is not None and not cell.failed and not cell.lost:
            base = target.base
            reached = cell.median if base is None else results.ratio(target.metric, target.peer, base)
        verdicts.append(Verdict(target, reached))
    return verdicts
