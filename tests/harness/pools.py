"""What an engine's metrics say of its pool."""

from __future__ import annotations

from engine.core import Engine


def ready(engine: Engine, language: str = "python") -> int:
    """How many kernels wait."""
    return int(engine.metrics.registry.get_sample_value("polyrepl_pool_ready", {"language": language}) or 0)


def hits(engine: Engine, language: str = "python") -> int:
    """How many contexts got one of them."""
    labels = {"language": language, "outcome": "hit"}
    return int(engine.metrics.registry.get_sample_value("polyrepl_pool_takes_total", labels) or 0)
