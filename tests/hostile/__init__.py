"""Thirty checks: what hostile code in a context does, what must happen, and the lowest tier of isolation that stops it."""

from tests.hostile import files, network, processes, rights
from tests.hostile.check import CHECKS

__all__ = ["CHECKS", "files", "network", "processes", "rights"]
