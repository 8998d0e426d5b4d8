"""The report: markdown tables and the same figures as JSON."""

from __future__ import annotations

from typing import Any

from .results import METRICS, Cell, Results, quantile
from .targets import Verdict

_OUTPUTS = ("big-print", "many-prints", "displays", "typescript-prints", "gateway-displays", "gateway-v1-displays")


def number(value: float | None) -> str:
    """Write a figure with three significant digits at most, and none below a hundredth."""
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ratio(results: Results, metric: str, peer: str) -> float | None:
    base = METRICS[metric].base
    return None if base is None else results.ratio(metric, peer, base)


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.3f}x" if ratio < 0.1 else f"{ratio:.2f}x"


def _remarks(metric: str, cell: Cell) -> str:
    remarks = []
    if cell.failed:
        remarks.append(f"**failed**: {cell.failed}")
    if cell.lost:
        remarks.append(f"**lost**: {cell.lost}")
    elif not cell.failed and metric in _OUTPUTS:
        remarks.append("complete")
    if cell.grown >= 1:
        remarks.append(f"server RSS up to +{cell.grown:.0f} MB")
    if cell.extra:
        middle, high = quantile(cell.extra, 0.5), quantile(cell.extra, 0.95)
        remarks.append(f"latency {number(middle)} ms, p95 {number(high)} ms")
    if cell.parts:
        server, kernels = (sum(part[i] for part in cell.parts) / len(cell.parts) for i in (0, 1))
        remarks.append(f"server {number(server)}, kernels {number(kernels)}")
    return "; ".join(remarks + cell.notes).replace("|", "\\|").replace("\n", " ")


def _overview(results: Results, peers: list[str]) -> list[str]:
    lines = ["| median (ratio) | " + " | ".join(peers) + " |", "|---" * (len(peers) + 1) + "|"]
    for metric in results.metrics():
        row = []
        for peer in peers:
            cell = results.peers(metric).get(peer)
            if cell is None:
                row.append("")
            elif cell.median is None:
                row.append("failed" if cell.failed else "none")
            else:
                mark = " †" if cell.lost else " (failed later)" if cell.failed else ""
                ratio = _ratio(results, metric, peer)
                row.append(number(cell.median) + ("" if ratio is None else f" ({_times(ratio)})") + mark)
        if any(row):
            lines.append(f"| {METRICS[metric].title}, {METRICS[metric].unit} | " + " | ".join(row) + " |")
    return lines


def _details(results: Results) -> list[str]:
    lines = ["| measured | peer | median | p95 | ratio | n | answer and remarks |", "|---|---|---|---|---|---|---|"]
    for metric in results.metrics():
        title = f"{METRICS[metric].title}, {METRICS[metric].unit}"
        for peer, cell in results.peers(metric).items():
            figures = [number(cell.median), number(cell.p95), _times(_ratio(results, metric, peer)), str(cell.count)]
            lines.append(f"| {title} | {peer} | {' | '.join(figures)} | {_remarks(metric, cell)} |")
    return lines


def _targets(verdicts: list[Verdict]) -> list[str]:
    lines = ["| target | reached | |", "|---|---|---|"]
    for verdict in verdicts:
        target, reached = verdict.target, verdict.reached
        figure = "–" if reached is None else f"{reached:.3f}x" if target.is_ratio else number(reached)
        lines.append(f"| {target.text} | {figure} | {verdict.word} |")
    return lines


def markdown(
    results: Results,
    *,
    peers: dict[str, str],
    absent: dict[str, str],
    facts: dict[str, str],
    verdicts: list[Verdict],
    milestone: str,
    chart: str | None = None,
) -> str:
    """Return the whole report. `peers` maps names to what they are, `absent` those that did not start to the reason."""
    lines = ["# Benchmarks", ""]
    lines += ["Written by `make bench`; what each row means and how it is kept fair: `benchmarks/README.md`.", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines += [f"- {name}: {about}" for name, about in peers.items()]
    lines += [f"- {name}: **not measured**: {reason}" for name, reason in absent.items()]
    if chart is not None:
        lines += ["", f"![Medians of the peers]({chart})"]
    lines += ["", "## Overview", ""]
    lines += [
        "Trust the ratios within this table more than the absolute figures. † = an answer was not complete or not right."
    ]
    lines += ["", *_overview(results, list(peers))]
    lines += ["", f"## Targets, milestone `{milestone}`", "", *_targets(verdicts)]
    lines += ["", "## Details", "", *_details(results), ""]
    return "\n".join(lines)


def as_json(
    results: Results, *, facts: dict[str, str], absent: dict[str, str], verdicts: list[Verdict], milestone: str
) -> dict[str, Any]:
    """Return the figures with every block of samples."""
    measured: dict[str, Any] = {}
    for metric in results.metrics():
        info = METRICS[metric]
        cells = {}
        for peer, cell in results.peers(metric).items():
            cells[peer] = {
                "median": cell.median,
                "p95": cell.p95,
                "ratio": _ratio(results, metric, peer),
                "count": cell.count,
                "complete": not cell.lost,
                "failed": cell.failed or None,
                "remarks": _remarks(metric, cell),
                "blocks": [[round(value, 4) for value in block] for block in cell.blocks],
            }
        measured[metric] = {"title": info.title, "unit": info.unit, "ratio_to": info.base, "peers": cells}
    targets = [{"target": v.target.text, "reached": v.reached, "result": v.word} for v in verdicts]
    return {"facts": facts, "absent": absent, "milestone": milestone, "targets": targets, "measured": measured}
