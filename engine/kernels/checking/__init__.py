"""Type checking of TypeScript cells: one process beside the server, what it may read of a context, and what its findings say."""

from engine.kernels.checking.checks import Checked, Checks
from engine.kernels.checking.explanation import hint_from

__all__ = ["Checked", "Checks", "hint_from"]
