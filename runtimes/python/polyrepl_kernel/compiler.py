"""Names of the files that cells seem to come from: those of ipykernel, which tools know and users see in warnings and errors."""

from __future__ import annotations

import os
import zlib

from IPython.core.compilerop import CachingCompiler


class CellCompiler(CachingCompiler):
    """Compiles cells under `<temporary directory>/ipykernel_<pid>/<number>.py`, one number for each text.

    No such file exists; for names like it IPython takes the source as it is, which is also the faster of its two ways."""

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        """The file name of a cell. `number` is its execution count."""
        digest = zlib.crc32(raw_code.encode("utf-8", "surrogatepass"))
        # Not `tempfile.gettempdir()`, which tries the directory by writing into it.
        return f"{os.environ.get('TMPDIR') or '/tmp'}/ipykernel_{os.getpid()}/{digest}.py"
