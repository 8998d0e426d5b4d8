"""Metrics: what `GET /metrics` shows, in Prometheus' text format. One registry per engine, so that tests do not share counts."""

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
        self.kernel_starts = Counter(
            "polyrepl_kernel_starts",
            "Kernels started; way: zygote (forked) or spawn (started afresh).",
            ["language", "way"],
            registry=self.registry,
        )
        self.fork_seconds = Histogram(
            "polyrepl_fork_seconds",
            "Time from a request to the zygote to its answer.",
            buckets=_DURATIONS,
            registry=self.registry,
        )
        self.zygote_generation = Gauge(
            "polyrepl_zygote_generation", "Number of the zygote that kernels are forked from.", registry=self.registry
        )
        self.zygote_failures = Counter(
            "polyrepl_zygote_failures", "Zygotes that did not start, or died.", registry=self.registry
        )
        self.kernel_deaths = Counter(
            "polyrepl_kernel_deaths", "Kernels that ended by themselves.", ["language"], registry=self.registry
        )
        self.pool_ready = Gauge(
            "polyrepl_pool_ready", "Kernels that wait for a context.", ["language"], registry=self.registry
        )
        self.pool_takes = Counter(
            "polyrepl_pool_takes",
            "New contexts that asked the pool for a kernel; outcome: hit or miss.",
            ["language", "outcome"],
            registry=self.registry,
        )
        self.pool_discarded = Counter(
            "polyrepl_pool_discarded",
            "Kernels that were ended without a context; reason: died, stale, surplus or memory.",
            ["language", "reason"],
            registry=self.registry,
        )
        self.pool_start_failures = Counter(
            "polyrepl_pool_start_failures",
            "Kernels that could not be started for the pool.",
            ["language"],
            registry=self.registry,
        )
        self.isolation = Gauge(
            "polyrepl_isolation", "1 for the isolation of contexts.", ["isolation", "network"], registry=self.registry
        )
        self.boxes_ready = Gauge(
            "polyrepl_boxes_ready", "Boxes that are ready for new contexts.", registry=self.registry
        )
        self.contexts = Gauge("polyrepl_contexts", "Contexts alive.", ["language"], registry=self.registry)
        self.contexts_ended = Counter(
            "polyrepl_contexts_ended", "Contexts ended.", ["language"], registry=self.registry
        )
        self.branch_seconds = Histogram(
            "polyrepl_branch_seconds",
            "Time from the request of a branch to its first message, its files included.",
            ["kind"],
            buckets=_DURATIONS,
            registry=self.registry,
        )
        self.branches_refused = Counter(
            "polyrepl_branches_refused", "Branches refused for what could not be copied.", registry=self.registry
        )
        self.checkpoints = Gauge("polyrepl_checkpoints", "Checkpoints that are kept.", registry=self.registry)
        self.files_left = Gauge(
            "polyrepl_files_left",
            "Directories of ended contexts that could not be removed yet.",
            registry=self.registry,
        )
        self.stuck_threads = Gauge(
            "polyrepl_stuck_threads",
            "Threads that wait for a file system that does not answer.",
            registry=self.registry,
        )
        self.output_truncated = Counter(
            "polyrepl_output_truncated", "Executions whose output was cut at a limit.", registry=self.registry
        )
        self.bad_messages = Counter(
            "polyrepl_bad_messages", "Messages from kernels that were not valid.", registry=self.registry
        )
        self.connections_closed = Counter(
            "polyrepl_connections_closed",
            "Connections that the server ended; reason: stalled, full, killed (with its sandbox), or unauthorized or idle (for a new one).",
            ["reason"],
            registry=self.registry,
        )
        self.requests_refused = Counter(
            "polyrepl_requests_refused",
            "Requests refused before a route; reason: unauthorized, forbidden, not_found, too_large or malformed.",
            ["reason"],
            registry=self.registry,
        )

        self.mcp_sessions = Gauge("polyrepl_mcp_sessions", "MCP sessions.", registry=self.registry)
        self.mcp_sessions_evicted = Counter(
            "polyrepl_mcp_sessions_evicted", "MCP sessions ended to make room for others.", registry=self.registry
        )
        self.held_bytes = Gauge(
            "polyrepl_held_bytes",
            "Bytes in memory; purpose: queues (requests that wait or run), incoming (requests that are being received), "
            "websockets (messages that wait for clients) or outputs (of executions).",
            ["purpose"],
            registry=self.registry,
        )
        self.refused = Counter(
            "polyrepl_refused",
            "Requests refused for lack of room; purpose as above.",
            ["purpose"],
            registry=self.registry,
        )

        self._ended: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    def note_ended(self, language: str, status: str, seconds: float) -> None:
        """Count an execution; finding the series of labels takes longer than counting."""
        found = self._ended.get((language, status))
        if found is None:
            found = (self.executions.labels(language, status), self.execution_seconds.labels(language))
            self._ended[language, status] = found
        count, duration = found
        count.inc()
        duration.observe(seconds)

    def render(self) -> bytes:
        return generate_latest(self.registry)
