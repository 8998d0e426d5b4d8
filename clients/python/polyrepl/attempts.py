"""When a request is sent again, and when it is given up: pure."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from polyrepl.errors import ApiError, ClientError, ConnectionFailed, DeadlineExceeded, UnexpectedAnswer

_FIRST_PAUSE = 0.2  # seconds, doubled with every failure in a row
_LONGEST_PAUSE = 8.0


class Attempts:
    """The attempts of one call, within one deadline (seconds from now on). Failures in a row are counted, `retries` are borne."""

    def __init__(
        self,
        deadline: float,
        *,
        retries: int,
        is_repeatable: bool,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._total = deadline
        self._end = clock() + deadline
        self._retries = retries
        self._is_repeatable = is_repeatable
        self._failures = 0

    def remaining(self) -> float:
        """Seconds that are left. Raises DeadlineExceeded."""
        left = self._end - self._clock()
        if left <= 0:
            raise self.too_late()
        return left

    def too_late(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"No answer within {self._total:g} s")

    def note_progress(self) -> None:
        """Something came: what fails next is a new failure."""
        self._failures = 0

    def pause(self, error: ClientError, *, was_sent: bool = True) -> float:
        """Seconds to wait before the next attempt. Raises the error where there is none, or no time is left for it."""
        left = self._end - self._clock()
        if isinstance(error, ConnectionFailed) and left < _FIRST_PAUSE / 2:  # an answer that was waited for until now
            raise self.too_late() from error
        if self._failures >= self._retries or not self._may_repeat(error, was_sent):
            raise error
        longest: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self._failures)
        self._failures += 1
        # A part of it by chance: clients that were refused together do not come back together.
        seconds = longest * (0.5 + self._chance() / 2)
        if isinstance(error, ApiError) and error.retry_after is not None:
            seconds += error.retry_after
        if seconds >= left:
            raise error
        return seconds

    def _may_repeat(self, error: ClientError, was_sent: bool) -> bool:
        """A server that refuses (429), or that says itself that it goes down, has done nothing of it."""
        if isinstance(error, ConnectionFailed):
            return self._is_repeatable or not was_sent
        if isinstance(error, ApiError):
            return error.status == 429 or error.code == "ShuttingDown" or (error.status == 503 and self._is_repeatable)
        # Of a proxy: nobody knows what has become of the request.
        is_proxys = isinstance(error, UnexpectedAnswer) and error.status in (502, 503, 504)
        return is_proxys and self._is_repeatable
