"""What the system refuses at the start of a kernel, as an error for whoever asked for it."""

from __future__ import annotations

import errno

from engine.errors import KernelStartFailed, PolyreplError, TooManyOpenFiles


def start_refused(kernel_name: str, error: OSError) -> PolyreplError:
    """What ends soon is TooManyOpenFiles, anything else KernelStartFailed."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return TooManyOpenFiles()
    return KernelStartFailed(kernel_name, error.strerror or str(error))
