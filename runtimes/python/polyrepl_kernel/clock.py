"""The kernel's own clock: cells replace, freeze and mock the functions of the `time` module, which all code of a process shares."""

from functools import partial
from time import CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime

monotonic = partial(clock_gettime, CLOCK_MONOTONIC)
"""As `time.monotonic`."""

now = partial(clock_gettime, CLOCK_REALTIME)
"""As `time.time`."""
