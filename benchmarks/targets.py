"""The targets of each milestone, as data, and whether a run met them."""

from __future__ import annotations

from dataclasses import dataclass

from .results import Results, quantile

US = "polyrepl"
UNPOOLED = "polyrepl, no pool"
BARE = "polyrepl, no preload"
OPEN = "polyrepl, not isolated"
WEBSOCKET = "polyrepl, websocket"
WEBSOCKET_V1 = "polyrepl, websocket v1"
TYPESCRIPT = "polyrepl typescript"
TYPESCRIPT_UNPOOLED = "polyrepl typescript, no pool"


@dataclass(frozen=True, slots=True)
class Target:
    """`metric` of `peer` must be at most (or, with `at_least`, at least) `limit`.

    With `base` it is a ratio to that peer, of the same rounds, and to the best of them where several are named; with
    `base_metric` too, a ratio to the median of another metric. `quantile` names another one than the median.
    """

    text: str
    metric: str
    limit: float
    base: str | tuple[str, ...] | None = None
    peer: str = US
    at_least: bool = False
    base_metric: str | None = None
    quantile: float | None = None

    @property
    def is_ratio(self) -> bool:
        return self.base is not None

    @property
    def bases(self) -> tuple[str, ...]:
        return (self.base,) if isinstance(self.base, str) else self.base or ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target with the figure reached; `reached` is None where nothing was measured, or not a whole right answer."""

    target: Target
    reached: float | None
    fault: str = ""

    @property
    def word(self) -> str:
        if self.fault:
            return f"missed: {self.fault}"
        if self.reached is None:
            return "not measured"
        good = self.reached >= self.target.limit if self.target.at_least else self.reached <= self.target.limit
        return "met" if good else "missed"


_SHIPPED = ("jupyter_server", "kernel_gateway")
_SHIPPED_V1 = ("jupyter_server, v1", "kernel_gateway, v1")
#: As shipped means the faster of the two; their stall ends when calls are further apart, so there are targets without it.
_WEBSOCKET = [
    Target("websocket, warm `1+1` <= 1/4 of Jupyter's servers as shipped", "gateway-warm", 1 / 4, _SHIPPED, WEBSOCKET),
    Target(
        "websocket, warm `1+1` <= 1/4 of jupyter_server without its stall",
        "gateway-warm",
        1 / 4,
        "jupyter_server, quickack",
        WEBSOCKET,
    ),
    Target("websocket, 100 displays <= 1/4 of them", "gateway-displays", 1 / 4, _SHIPPED, WEBSOCKET),
    Target("websocket, new kernel to its first result <= 1/4 of them", "gateway-new", 1 / 4, _SHIPPED, WEBSOCKET),
    Target(
        "websocket v1, warm `1+1` <= 1/4 of Jupyter's servers as shipped",
        "gateway-v1-warm",
        1 / 4,
        _SHIPPED_V1,
        WEBSOCKET_V1,
    ),
    Target(
        "websocket v1, warm `1+1` <= 1/4 of jupyter_server without its stall",
        "gateway-v1-warm",
        1 / 4,
        "jupyter_server, v1 quickack",
        WEBSOCKET_V1,
    ),
    Target("websocket v1, 100 displays <= 1/4 of them", "gateway-v1-displays", 1 / 4, _SHIPPED_V1, WEBSOCKET_V1),
]

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
        Target("warm typescript no slower than python", "typescript-warm", 1.0, US, TYPESCRIPT),
        Target("new typescript context, no pool <= 0.9x deno", "typescript-new", 0.9, "deno", TYPESCRIPT_UNPOOLED),
        Target("new typescript context, no pool <= 0.2x tslab", "typescript-new", 0.2, "tslab", TYPESCRIPT_UNPOOLED),
        Target("new typescript context from the pool <= 10 ms", "typescript-new", 10.0, peer=TYPESCRIPT),
        Target("PSS per idle typescript context <= 0.4x deno", "typescript-pss", 0.4, "deno", TYPESCRIPT),
        Target("new context, no pool, nothing preloaded <= 0.025x raw", "new-context", 0.025, "raw", BARE),
        Target(
            "new context with pandas and matplotlib, no pool <= 0.035x raw's bare one",
            "new-data",
            0.035,
            "raw",
            UNPOOLED,
            base_metric="new-context",
        ),
        Target("new context from the pool <= 0.01x raw", "new-context", 0.01, "raw"),
        Target("first plot, no pool <= 1/8 of jupyter_server", "first-plot", 1 / 8, "jupyter_server", UNPOOLED),
        Target("first plot <= 1/8 of jupyter_server", "first-plot", 1 / 8, "jupyter_server"),
        Target("server CPU per warm request <= 0.9 ms", "server-cpu", 0.9),
        Target("CPU of server + kernels at 8 contexts <= 0.25x raw", "cpu-8", 0.25, "raw"),
        Target("throughput at 32 contexts >= 4x raw", "throughput-32", 4.0, "raw", at_least=True),
        Target("throughput at 32 contexts >= 7x jupyter_server", "throughput-32", 7.0, "jupyter_server", at_least=True),
        Target("private memory per idle context, nothing preloaded <= 6 MB", "memory-private", 6.0, peer=BARE),
        Target("PSS per idle context, nothing preloaded <= 7 MB", "memory-pss", 7.0, peer=BARE),
        Target("the same with pandas and matplotlib, private <= 8 MB", "memory-data-private", 8.0),
        Target("the same with pandas and matplotlib, PSS <= 13 MB", "memory-data-pss", 13.0),
        Target("10 MB print <= 1.2x raw", "big-print", 1.2, "raw"),
        Target("100 MB print: server grows by <= 50 MB", "huge-growth", 50.0),
        Target("100,000 prints <= 0.5x raw", "many-prints", 0.5, "raw"),
        Target("1000 displays <= 0.25x raw", "displays", 0.25, "raw"),
        *_WEBSOCKET,
        Target("branch of a context that holds 500 MB <= 30 ms", "branch", 30.0),
        Target("isolation: new context, no pool <= 10 ms more", "isolation-new-more", 10.0, peer=UNPOOLED),
        Target("isolation: new context from the pool <= 1 ms more", "isolation-new-more", 1.0),
        Target("isolation: warm `1+1` <= 1.03x", "isolation-warm", 1.03, OPEN),
        Target("isolation: memory per context <= 1 MB more", "isolation-memory-more", 1.0, peer=UNPOOLED),
        Target("many live contexts (500 in a full run): creation p99 <= 80 ms", "scale-create", 80.0, quantile=0.99),
        Target("many live contexts (500 in a full run): <= 4 GB", "scale-memory", 4.0),
        Target(
            "many live contexts (500 in a full run): warm calls unchanged (<= 1.1x before)",
            "scale-warm",
            1.1,
            US,
            base_metric="scale-warm-before",
        ),
        Target("first streamed output <= 2x warm `1+1`", "first-byte", 2.0, US, base_metric="warm"),
        Target("1 s limit answered within 1100 ms", "timeout", 1100.0),
        Target("killed kernel named within 100 ms", "kill", 100.0),
        Target("interrupt answered within 50 ms", "interrupt", 50.0),
        Target("server RSS, idle <= 60 MB", "server-rss", 60.0),
    ],
}


def check(results: Results, milestone: str) -> list[Verdict]:
    """Compare a run with the targets. An incomplete or failed answer is a miss, whatever its time."""
    verdicts = []
    for target in MILESTONES[milestone]:
        cell = results.peers(target.metric).get(target.peer)
        if cell is None:
            verdicts.append(Verdict(target, None))
        elif fault := cell.failed or cell.lost:
            verdicts.append(Verdict(target, None, fault))
        else:
            verdicts.append(Verdict(target, _reached(results, target)))
    return verdicts


def _reached(results: Results, target: Target) -> float | None:
    if target.is_ratio:
        ratios = [ratio for base in target.bases if (ratio := _ratio(results, target, base)) is not None]
        return (min if target.at_least else max)(ratios, default=None)
    samples = results.cell(target.metric, target.peer).samples
    if target.quantile is not None:
        return quantile(samples, target.quantile) if samples else None
    return results.median(target.metric, target.peer)


def _ratio(results: Results, target: Target, base: str) -> float | None:
    if target.base_metric is None:
        return results.ratio(target.metric, target.peer, base)
    ours, theirs = results.median(target.metric, target.peer), results.median(target.base_metric, base)
    return ours / theirs if ours is not None and theirs else None
