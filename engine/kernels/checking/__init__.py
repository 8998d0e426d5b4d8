"""Type checking of TypeScript cells: one process beside the server, what it may read of a context, and what its findings say."""

from engine.kernels.checking.checks import NOT_ASKED, Checked, Checks
from engine.kernels.checking.explanation import explain

__all__ = ["NOT_ASKED", "Checked", "Checks", "explain"]
