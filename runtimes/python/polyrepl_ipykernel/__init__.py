"""ipykernel, tuned and extended to the contract in ``runtimes/README.md``; runs inside the user's kernel process."""

from __future__ import annotations

import sys

FIRST_TUNED, FIRST_UNKNOWN = (7, 4), (8,)


def launch() -> None:
    """Run the tuned kernel, or plain ipykernel when its version is not one that the tuning was written for."""
    from ipykernel._version import version_info

    _import_without_debugpy()
    version = tuple(part for part in version_info[:2] if isinstance(part, int))
    if FIRST_TUNED <= version < FIRST_UNKNOWN:
        from .app import KernelApp as App
    else:
        from ipykernel.kernelapp import IPKernelApp as App
    app = App.instance(config=_config())
    app.initialize()
    app.start()


def _import_without_debugpy() -> None:
    """Make ipykernel conclude that there is no debugger: importing debugpy is a third of its start time."""
    if "debugpy" in sys.modules:
        return
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    try:
        import ipykernel.debugger  # noqa: F401
    finally:
        # The user's own `import debugpy` must still work.
        del sys.modules["debugpy"]


def _config() -> object:
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.IPCompleter.use_jedi = False
    return config
