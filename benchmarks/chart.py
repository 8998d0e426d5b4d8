"""The chart: one small panel of horizontal bars per headline metric, every panel with its own scale from zero."""

from __future__ import annotations

from xml.sax.saxutils import escape

from .report import number
from .results import METRICS, Results

PANELS = (
    "warm",
    "new-context",
    "new-data",
    "first-plot",
    "throughput-32",
    "throughput-8",
    "cpu-8",
    "memory-private",
    "memory-data-private",
    "many-prints",
    "displays",
    "interrupt",
)
_COLUMNS = 2
_WIDTH, _LABELS, _BAR, _ROW, _HEAD, _GAP = 540, 176, 240, 22, 34, 18
_US, _OTHERS, _LOST = "#2463eb", "#a3adba", "#d9a441"


def _panel(results: Results, metric: str, peers: list[str], left: int, top: int) -> list[str]:
    info = METRICS[metric]
    better = "more is better" if info.unit == "req/s" else "less is better"
    out = [f'<text x="{left}" y="{top + 16}" class="title">{escape(info.title.replace("`", ""))}</text>']
    out.append(f'<text x="{left + _WIDTH - 20}" y="{top + 16}" class="unit">{info.unit}, {better}</text>')
    cells = results.peers(metric)
    largest = max((cell.median or 0.0) for cell in cells.values()) or 1.0
    shown = [peer for peer in peers if peer in cells]
    for row, peer in enumerate(shown):
        cell = cells[peer]
        y = top + _HEAD + row * _ROW
        out.append(f'<text x="{left + _LABELS - 8}" y="{y + 12}" class="peer">{escape(peer)}</text>')
        if cell.median is None:
            out.append(f'<text x="{left + _LABELS}" y="{y + 12}" class="value">failed</text>')
            continue
        width = max(1.0, cell.median / largest * _BAR)
        colour = _LOST if cell.lost else _US if peer.startswith("polyrepl") else _OTHERS
        out.append(f'<rect x="{left + _LABELS}" y="{y}" width="{width:.1f}" height="16" fill="{colour}"/>')
        label = number(cell.median) + (" incomplete" if cell.lost else "")
        out.append(f'<text x="{left + _LABELS + width + 6:.1f}" y="{y + 12}" class="value">{label}</text>')
    return out


def svg(results: Results, peers: list[str], facts: dict[str, str]) -> str:
    """Return the chart of the medians as an SVG document."""
    panels = [metric for metric in PANELS if any(c.median is not None for c in results.peers(metric).values())]
    if "throughput-32" in panels and "throughput-8" in panels:
        panels.remove("throughput-8")
    height = _HEAD + max((len(results.peers(metric)) for metric in panels), default=0) * _ROW + _GAP
    body: list[str] = []
    for place, metric in enumerate(panels):
        left, top = 16 + place % _COLUMNS * _WIDTH, 44 + place // _COLUMNS * height
        body += _panel(results, metric, peers, left, top)
    rows = (len(panels) + _COLUMNS - 1) // _COLUMNS
    total_width, total_height = 16 + _COLUMNS * _WIDTH, 52 + rows * height
    style = (
        "text{font:13px system-ui,sans-serif;fill:#1f2933}.title{font-weight:600}"
        ".unit{fill:#616e7c;text-anchor:end;font-size:11px}.peer{text-anchor:end}.value{font-size:12px}"
    )
    caption = f"Medians, {facts['date']}, {facts['machine'].split(';')[0]}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total_width} {total_height}" '
            f'width="{total_width}" height="{total_height}" role="img" aria-label="Benchmark medians">',
            f"<style>{style}</style>",
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            f'<text x="16" y="24" class="value">{escape(caption)}</text>',
            *body,
            "</svg>",
            "",
        ]
    )
