"""The magics of kernels (%edit, %less, %man, %connect_info, ...) as ipykernel has them; an IPython extension, loaded by their first use."""

from __future__ import annotations

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Register ipykernel's magics. Raises ImportError where it is not installed."""
    from ipykernel.zmqshell import KernelMagics

    shell.register_magics(KernelMagics)
    shell.magics_manager.register_alias("ed", "edit")
