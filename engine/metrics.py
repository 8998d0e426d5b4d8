"""Metrics (layer 0): what `GET /metrics` shows, in Prometheus' text format. One registry per engine, so that tests do not share counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_DURATIONS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """The engine's counters, by name."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.executions = Counter(
            "polyrepl_executions", "Finished executions.", ["language", "status"], registry=self.registry
        )
        self.execution_seconds = Histogram(
            "polyrepl_execution_seconds", "Time a cell ran.", ["language"], buckets=_DURATIONS, registry=self.registry
        )
        self.kernel_start_seconds = Histogram(
            "polyrepl_kernel_start_seconds",
            "Time from the request of a kernel to its first answer.",
            ["language"],
            buckets=_DURATIONS,
            registry=self.registry,
        )
        self.kernel_deaths = Counter(
            "polyrepl_kernel_deaths", "Kernels that ended by themselves.", ["language"], registry=self.registry
        )
        self.contexts = Gauge("polyrepl_contexts", "Contexts alive.", ["language"], registry=self.registry)
        self.contexts_ended = Counter(
            "polyrepl_contexts_ended", "Contexts ended.", ["language"], registry=self.registry
        )
        self.output_truncated = Counter(
            "polyrepl_output_truncated", "Executions whose output was cut at a limit.", registry=self.registry
        )
        self.bad_messages = Counter(
            "polyrepl_bad_messages", "Messages from kernels that were not valid.", registry=self.registry
        )

    def render(self) -> bytes:
        return generate_latest(self.registry)
