"""What is said of limits that were reached."""

from __future__ import annotations

import pytest

from engine.kernels.limiting import Breach, hint_of
from engine.settings import LIMIT_NAMES, Limits

LIMITS = Limits(memory=100_000_000, processes=64, open_files=128, file_size=1_000_000, disk=5_000_000)


@pytest.mark.parametrize(
    ("breach", "text"),
    [
        (Breach("memory", 512_000_000, 530_000_000), "out of memory at its limit of 512 MB"),
        (Breach("processes", 64, 65), "killed at its limit of 64 processes and threads (peak 65)"),
        (Breach("disk", 50_000_000, 61_400_000), "killed at its limit of 50 MB of files (peak 61 MB)"),
        (Breach("file_size", 10_000_000), "killed at its limit of 10 MB for a file"),
    ],
    ids=str,
)
def test_a_breach_names_the_limit_its_value_and_the_peak(breach: Breach, text: str):
    assert breach.describe() == text


def test_every_limit_can_be_described():
    assert all("limit of" in Breach(name, 1, 2).describe() for name in LIMIT_NAMES)


def test_only_memory_tells_a_peak_of_memory():
    assert Breach("memory", 100, 130).bytes_of(90) == 130
    assert Breach("memory", 100).bytes_of(90) == 90
    assert Breach("disk", 100, 130).bytes_of(90) is None


@pytest.mark.parametrize(
    ("error", "limit"),
    [
        (("OSError", "[Errno 24] Too many open files: 'x'", ""), "open_files"),
        (("Error", "EMFILE: too many open files, open 'x'", ""), "open_files"),
        (("OSError", "[Errno 27] File too large", ""), "file_size"),
        (("Error", "EFBIG: file too large, write", ""), "file_size"),
        (("RuntimeError", "can't start new thread", ""), "processes"),
        (("BlockingIOError", "[Errno 11] Resource temporarily unavailable", ""), "processes"),
        (("Error", "spawn sleep EAGAIN", ""), "processes"),
        (("MemoryError", "", ""), "memory"),
        (("numpy._core._exceptions._ArrayMemoryError", "Unable to allocate 8 GiB", ""), "memory"),
        (("RangeError", "Array buffer allocation failed", ""), "memory"),
        (("OSError", "[Errno 12] Cannot allocate memory", ""), "memory"),
        (("OSError", "[Errno 28] No space left on device", ""), "disk"),
    ],
    ids=str,
)
def test_an_error_that_a_limit_may_have_caused_gets_a_hint(error: tuple[str, str, str], limit: str):
    hint = hint_of(LIMITS, error)
    assert hint is not None
    assert f"`{limit}` of this context is {getattr(LIMITS, limit)}" in hint
    assert hint_of(Limits(), error) is None


@pytest.mark.parametrize(
    "error",
    [
        ("ValueError", "boom", "MemoryError in a traceback is no sign"),
        ("KeyError", "24", ""),
        ("BlockingIOError", "[Errno 115] Operation now in progress", ""),
    ],
    ids=str,
)
def test_other_errors_get_none(error: tuple[str, str, str]):
    assert hint_of(LIMITS, error) is None
