"""What the system refuses at the start of a kernel, as an error for whoever asked for it."""

from __future__ import annotations

import errno

from engine.errors import KernelStartFailed, PolyreplError, StorageFull, TooManyOpenFiles


def start_refused(kernel_name: str, error: OSError) -> PolyreplError:
    """StorageFull for a full disk, TooManyOpenFiles for what ends soon, anything else KernelStartFailed."""
    reason = error.strerror or str(error)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return TooManyOpenFiles()
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(reason, what=f"kernel {kernel_name!r}")
    return KernelStartFailed(kernel_name, reason)
