"""What the system refuses at the start of a kernel, as an error for whoever asked for it."""

from __future__ import annotations

from engine.errors import KernelStartFailed, PolyreplError
from engine.workspaces import shortage


def start_refused(kernel_name: str, error: OSError) -> PolyreplError:
    """StorageFull for a full disk, TooManyOpenFiles for what ends soon, anything else KernelStartFailed."""
    return shortage(error, f"kernel {kernel_name!r}") or KernelStartFailed(kernel_name, error.strerror or str(error))
