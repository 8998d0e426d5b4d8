"""Breaches: which limit a context has reached, its value and the peak, in words. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine.settings import Limits

_MB = 1_000_000


def _megabytes(value: float) -> str:
    return f"{value / _MB:.0f} MB"


_TEXTS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "memory": ("out of memory at its limit of {}", _megabytes),
    "processes": ("killed at its limit of {} processes and threads", str),
    "file_size": ("killed at its limit of {} for a file", _megabytes),
    "disk": ("killed at its limit of {} of files", _megabytes),
    "cpus": ("killed at its limit of {} processors", str),
    "open_files": ("killed at its limit of {} open files", str),
    "wall_seconds": ("ended at its limit of {} s", lambda value: f"{value:g}"),
}
# How code learns of a limit, in the languages that we know: the end of a traceback, or the message of an error.
_SIGNS: Mapping[str, re.Pattern[str]] = {
    "open_files": re.compile(r"\[Errno 24\]|\bEMFILE\b|Too many open files"),
    "file_size": re.compile(r"\[Errno 27\]|\bEFBIG\b|File too large"),
    "processes": re.compile(
        r"can't start new thread|\[Errno 11\] Resource temporarily unavailable|\bspawn\S* \S+ EAGAIN\b|ERR_WORKER_INIT_FAILED"
        r"|fork: retry|Cannot fork"
    ),
    "memory": re.compile(
        r"MemoryError|\[Errno 12\]|\bENOMEM\b|Cannot allocate memory|Array buffer allocation failed|std::bad_alloc"
        r"|ERR_WORKER_OUT_OF_MEMORY"
    ),
    "disk": re.compile(r"\[Errno 28\]|\bENOSPC\b|No space left on device"),
}
_MOST_READ = 4096  # characters of a message


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that was reached, and the largest value seen; None where nobody could tell."""

    limit: str
    value: float
    peak: float | None = None

    def describe(self) -> str:
        """As a participle: "killed at ..."."""
        text, unit = _TEXTS[self.limit]
        peak = f" (peak {unit(self.peak)})" if self.peak is not None and self.limit != "memory" else ""
        return f"{text.format(unit(self.value))}{peak}"

    def bytes_of(self, process_peak: int | None) -> int | None:
        """The peak of memory to be told: that of all processes, or else that of the kernel's; None if it was another limit."""
        if self.limit != "memory":
            return None
        return process_peak if self.peak is None else round(self.peak)


def advice(limit: str, value: float) -> str:
    """One sentence on a limit that was reached, for the caller."""
    return f"The limit `{limit}` of this context is {value}. A new context can ask for another one with `limits`."


def hint_of(limits: Limits, error: tuple[str, str, str]) -> str | None:
    """What to say of an error (name, value, traceback) that looks as if a limit were its cause; None if none does."""
    name, value, _ = error
    text = f"{name}: {value[:_MOST_READ]}"
    for limit, sign in _SIGNS.items():
        most = getattr(limits, limit)
        if most is not None and sign.search(text):
            return advice(limit, most)
    return None
