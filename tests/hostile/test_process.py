"""The suite at the tier `process`."""

from tests.hostile.suite import *  # noqa: F403 - its tests and fixtures

TIER = "process"
