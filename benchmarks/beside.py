"""Two versions of polyrepl beside each other in one run, and how the later one compares, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .peer import Peer
from .report import number
from .results import METRICS, Results

BEFORE = " (before)"
"""What the names of the earlier version's peers end with."""

_MORE_IS_BETTER = ("throughput",)


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one peer in both versions. `ratio`: the later version's cost over the earlier one's."""

    metric: str
    peer: str
    before: float | None
    after: float | None
    ratio: float | None
    fault: str


def earlier(peers: Sequence[Peer]) -> list[Peer]:
    """Name the peers of the earlier version; they keep their roles."""
    for peer in peers:
        peer.name += BEFORE
        peer.about += ", the version before"
    return list(peers)


def compare(results: Results) -> list[Row]:
    """Return a row for every metric that both versions have. The ratio is the median over the rounds."""
    rows = []
    for metric in results.metrics():
        for name, cell in results.peers(metric).items():
            other = results.peers(metric).get(name + BEFORE)
            if other is None:
                continue
            ratio = results.ratio(metric, name, name + BEFORE)
            if ratio and metric.startswith(_MORE_IS_BETTER):
                ratio = 1 / ratio
            rows.append(Row(metric, name, other.median, cell.median, ratio, cell.failed or cell.lost))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a markdown table."""
    lines = ["| measured | peer | before | after | after / before, cost | |", "|---|---|---|---|---|---|"]
    for row in rows:
        title = f"{METRICS[row.metric].title}, {METRICS[row.metric].unit}"
        ratio = "–" if row.ratio is None else f"{row.ratio:.3f}x"
        lines.append(f"| {title} | {row.peer} | {number(row.before)} | {number(row.after)} | {ratio} | {row.fault} |")
    return "\n".join(lines)
