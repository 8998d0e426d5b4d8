"""The suite at the tier `landlock`."""

from tests.hostile.suite import *  # noqa: F403 - its tests and fixtures

TIER = "landlock"
