"""The suite at the tier `none`."""

from tests.hostile.suite import *  # noqa: F403 - its tests and fixtures

TIER = "none"
