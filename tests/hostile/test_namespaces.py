"""The suite at the tier `namespaces`."""

from tests.hostile.suite import *  # noqa: F403 - its tests and fixtures

TIER = "namespaces"
