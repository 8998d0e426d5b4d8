"""The figures: one cell per metric and peer, with medians, 95th percentiles and ratios."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from .peer import Answer, Load


@dataclass(frozen=True, slots=True)
class Metric:
    """What a row of the report shows. `base` names the peer that ratios are taken to."""

    title: str
    unit: str = "ms"
    base: str | None = "raw"


METRICS: dict[str, Metric] = {
    "warm": Metric("warm `1+1`, sequential"),
    "new-context": Metric("new context to the first result of `1+1`"),
    "new-context-burst": Metric("the same, 20 back to back", base=None),
    "new-data": Metric("new context to the first result after importing pandas and matplotlib"),
    "first-plot": Metric("new context to the first plot (imports, plot, PNG)", base="jupyter_server"),
    "branch": Metric("branch of a context that holds 500 MB, to an answered cell", base=None),
    "throughput-1": Metric("throughput, 1 context", "req/s"),
    "throughput-8": Metric("throughput, 8 contexts", "req/s"),
    "throughput-32": Metric("throughput, 32 contexts", "req/s"),
    "cpu-1": Metric("CPU per request, server + kernel, 1 context"),
    "cpu-8": Metric("CPU per request, server + kernels, 8 contexts"),
    "cpu-32": Metric("CPU per request, server + kernels, 32 contexts"),
    "big-print": Metric("10 MB in one print"),
    "many-prints": Metric("100,000 prints of 100 B"),
    "displays": Metric("1000 displays"),
    "gateway-warm": Metric("websocket, warm `1+1`", base="jupyter_server"),
    "gateway-v1-warm": Metric("websocket v1, warm `1+1`", base="jupyter_server, v1"),
    "gateway-displays": Metric("websocket, 100 displays", base="jupyter_server"),
    "gateway-v1-displays": Metric("websocket v1, 100 displays", base="jupyter_server, v1"),
    "gateway-new": Metric("websocket, new kernel to the first result of `1+1`", base="jupyter_server"),
    "memory-pss": Metric("memory per idle context, PSS", "MB"),
    "memory-private": Metric("memory per idle context, private", "MB"),
    "memory-data-pss": Metric("memory per context that imported pandas and matplotlib, PSS", "MB"),
    "memory-data-private": Metric("memory per context that imported pandas and matplotlib, private", "MB"),
    "huge-growth": Metric("100 MB in one print, largest growth of the server's memory", "MB", base=None),
    "huge-print": Metric("100 MB in one print, to the answer", base=None),
    "server-rss": Metric("server RSS, idle", "MB", base=None),
    "server-cpu": Metric("server CPU per warm request", base=None),
    "first-byte": Metric("first streamed output"),
    "typescript-warm": Metric("typescript, warm `1+1`", base="polyrepl"),
    "typescript-new": Metric("typescript, new context to the first result", base="deno"),
    "typescript-pss": Metric("typescript, memory per idle context, PSS", "MB", base="deno"),
    "typescript-private": Metric("typescript, memory per idle context, private", "MB", base="deno"),
    "typescript-prints": Metric("typescript, 100,000 console.log of 100 B", base="deno"),
    "interrupt": Metric("interrupt of `while True: pass`, from its request to the cell's answer"),
    "timeout": Metric("`while True: pass` with a limit of 1 s, to the answer"),
    "timeout-next": Metric("the next call after that timeout", base=None),
    "kill": Metric("`kill -9` of a busy kernel, to the answer"),
    "isolation-new": Metric("isolation: new context to the first result of `1+1`", base=None),
    "isolation-new-more": Metric("the same: more than without isolation", base=None),
    "isolation-warm": Metric("isolation: warm `1+1`", base="polyrepl, not isolated"),
    "isolation-warm-more": Metric("the same: more than without isolation", base=None),
    "isolation-memory": Metric("isolation: memory that a context adds, PSS", "MB", base=None),
    "isolation-memory-more": Metric("the same: more than without isolation", "MB", base=None),
    "scale-create": Metric("many live contexts: creation to the first result", base=None),
    "scale-memory": Metric("many live contexts: memory of everything, PSS", "GB", base=None),
    "scale-warm-before": Metric("many live contexts: warm `1+1` before", base=None),
    "scale-warm": Metric("many live contexts: warm `1+1` beside them", base=None),
    "scale-busy": Metric("many live contexts: cells of 20 ms in many of them at once", base=None),
}


def quantile(values: Sequence[float], at: float) -> float:
    """Return the smallest sample that at least the share `at` of the samples does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(len(ordered) * at) - 1))]


@dataclass(slots=True)
class Cell:
    """The samples of one metric for one peer, block by block.

    `extra` holds the latencies behind a throughput, `parts` the (server, kernels) shares behind a CPU time,
    `grown` by how many MB the server's RSS grew at most in one execution.
    """

    blocks: list[list[float]] = field(default_factory=list)
    count: int = 0
    extra: list[float] = field(default_factory=list)
    parts: list[tuple[float, float]] = field(default_factory=list)
    grown: float = 0.0
    lost: str = ""
    wrong: int = 0
    notes: list[str] = field(default_factory=list)
    failed: str = ""

    @property
    def samples(self) -> list[float]:
        return [value for block in self.blocks for value in block]

    @property
    def median(self) -> float | None:
        return statistics.median(self.samples) if self.samples else None

    @property
    def p95(self) -> float | None:
        """Return the 95th percentile; None below 5 samples, where it would only repeat the maximum."""
        return quantile(self.samples, 0.95) if len(self.samples) >= 5 else None

    def check(self, load: Load) -> None:
        """Count the wrong answers of a load that was added to this cell."""
        self._count_wrong(load.wrong, load.example)

    def check_two(self, answer: Answer) -> None:
        """Count an answer to `1+1` that was added to this cell and is not 2."""
        self._count_wrong(int(not answer.is_two), answer.gist())

    def _count_wrong(self, wrong: int, example: str) -> None:
        self.wrong += wrong
        if wrong:
            self.lost = f"{self.wrong} of {self.count} answers wrong ({example})"

    def note(self, text: str) -> None:
        if text and text not in self.notes:
            self.notes.append(text)


class Results:
    """All cells of a run."""

    def __init__(self) -> None:
        self._cells: dict[str, dict[str, Cell]] = {}

    def cell(self, metric: str, peer: str) -> Cell:
        return self._cells.setdefault(metric, {}).setdefault(peer, Cell())

    def add(self, metric: str, peer: str, values: list[float], *, count: int | None = None) -> Cell:
        """Append one block of samples; `count` is the number of executions if it is not the number of samples."""
        cell = self.cell(metric, peer)
        cell.blocks.append(values)
        cell.count += len(values) if count is None else count
        return cell

    def metrics(self) -> list[str]:
        return [metric for metric in METRICS if metric in self._cells]

    def peers(self, metric: str) -> dict[str, Cell]:
        return self._cells.get(metric, {})

    def median(self, metric: str, peer: str) -> float | None:
        cell = self.peers(metric).get(peer)
        return cell.median if cell else None

    def ratio(self, metric: str, peer: str, base: str) -> float | None:
        """Return the median over the rounds of (median of the peer's block / median of the base's block)."""
        ours, theirs = self.peers(metric).get(peer), self.peers(metric).get(base)
        if ours is None or theirs is None:
            return None
        pairs = [(a, b) for a, b in zip(ours.blocks, theirs.blocks, strict=False) if a and b]
        ratios = [statistics.median(a) / statistics.median(b) for a, b in pairs if statistics.median(b) > 0]
        return statistics.median(ratios) if ratios else None
