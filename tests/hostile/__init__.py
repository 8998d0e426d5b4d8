"""Thirty checks: what hostile code in a context does, what must happen, and the lowest tier of isolation that stops it."""

from tests.hostile import files, limits, machines, network, processes, rights, scripts
from tests.hostile.check import CHECKS

__all__ = ["CHECKS", "files", "limits", "machines", "network", "processes", "rights", "scripts"]
