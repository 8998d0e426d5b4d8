"""Requests that the guard refuses: counted, and told in the log once a minute and not one by one; origins of pages once each."""

from __future__ import annotations

import time

from engine.errors import Forbidden, InvalidRequest, PolyreplError, RequestTooLarge, Unauthorized
from engine.log import get_logger
from engine.metrics import Metrics

_INTERVAL = 60.0  # seconds
_MAX_ORIGINS = 100  # that the log names
_MAX_CHARS = 200  # of one
_REASONS: dict[type[PolyreplError], str] = {
    InvalidRequest: "malformed",
    Unauthorized: "unauthorized",
    Forbidden: "forbidden",
    RequestTooLarge: "too_large",
}


class Refusals:
    """Anybody can make a request that is refused, so that a line for each would fill the log."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._untold = 0
        self._told_at = -_INTERVAL
        self._origins: set[str] = set()

    def note(self, error: PolyreplError) -> None:
        reason = _REASONS.get(type(error), "not_found")
        self._metrics.requests_refused.labels(reason).inc()
        self._untold += 1
        now = time.monotonic()
        if now - self._told_at >= _INTERVAL:
            get_logger().warning("requests_refused", count=self._untold, last=reason)
            self._untold, self._told_at = 0, now

    def note_origin(self, origin: str) -> None:
        """Name the origin of a page that may not call the API, so that whoever wrote the page finds the setting."""
        if len(origin) <= _MAX_CHARS and len(self._origins) < _MAX_ORIGINS and origin not in self._origins:
            self._origins.add(origin)
            get_logger().warning("origin_refused", origin=origin, setting="allowed_origins")
