"""What a system says that has run out of something, as an error for whoever asked for it."""

from __future__ import annotations

import errno

from engine.errors import PolyreplError, StorageFull, TooManyOpenFiles


def shortage(error: OSError, what: str = "this file") -> PolyreplError | None:
    """TooManyOpenFiles, which ends soon, or StorageFull for `what`; None for anything else."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return TooManyOpenFiles()
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(error.strerror or "the disk is full", what=what)
    return None
