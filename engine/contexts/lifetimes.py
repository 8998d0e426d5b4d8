"""Lifetimes: contexts that end by themselves, at the limit `wall_seconds`."""

from __future__ import annotations

import asyncio
from typing import Protocol

from engine.contexts.context import Context
from engine.errors import ContextEnded, PolyreplError


class Owner(Protocol):
    """Who has the contexts, and ends them."""

    def end(self, context: Context, reason: str, *, error: PolyreplError | None) -> object: ...


class Lifetimes:
    """One timer for each context with such a limit."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._timers: dict[Context, asyncio.TimerHandle] = {}

    def begin(self, context: Context) -> None:
        """It was made just now."""
        limits = context.language.backend.limits_of(context.workspace)
        if limits is not None and (seconds := limits.wall_seconds) is not None:
            loop = asyncio.get_running_loop()
            self._timers[context] = loop.call_later(seconds, self._end, context, seconds)

    def end(self, context: Context) -> None:
        """It has ended, for whatever reason."""
        timer = self._timers.pop(context, None)
        if timer is not None:
            timer.cancel()

    def _end(self, context: Context, seconds: float) -> None:
        if not context.is_kept:
            reason = f"was ended at its limit of {seconds:g} s (wall_seconds)"
            self._owner.end(context, reason, error=ContextEnded(context.id, reason, cell_error="LimitExceeded"))
