"""The program: a kernel for a connection file, or the zygote that kernels are forked from."""

from __future__ import annotations

import builtins
import getpass
import json
import os
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

from traitlets.config import Config

from . import pictures, prctl, progress, values
from .cell_loops import run_loops_of_cells
from .glyphs import tell_missing_glyphs_once
from .kernel import Kernel
from .lifetime import die_with_parent, outlive_parent
from .pipes import Capture
from .shell import ZMQInteractiveShell, watch
from .stream import StreamTransport
from .workers import fork_by_default

_BACKEND = "module://matplotlib_inline.backend_inline"
USAGE = "usage: launch.py -f CONNECTION_FILE | launch.py --zygote FD [--preload MODULE,...]"


def build() -> Kernel:
    """Make the kernel and its shell; no socket, descriptor or thread yet, so that it can be forked.

    To be called before matplotlib.pyplot is imported, which would otherwise choose another backend."""
    os.environ.setdefault("MPLBACKEND", _BACKEND)
    sys.argv[:] = [""]
    _add_working_directory()
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.Completer.use_jedi = False  # its first use takes over a second
    config.IPKernelApp.name = "polyrepl"  # libraries look for this section to know that they are in a kernel
    kernel = Kernel()
    shell = ZMQInteractiveShell.instance(config=config, kernel=kernel)
    shell.displayhook.kernel = shell.display_pub.kernel = kernel
    shell.extension_manager.load_extension("storemagic")
    _use_interruptible_debugger()
    fork_by_default()
    run_loops_of_cells(kernel)
    tell_missing_glyphs_once(shell)
    watch(kernel.interrupts)
    for libraries in (pictures, progress, values):
        libraries.watch(shell)
    kernel.prepare(shell)
    builtins.input = kernel.input.raw_input
    getpass.getpass = kernel.input.getpass
    return kernel


def _add_working_directory() -> None:
    """Let cells import modules of the working directory; the standard library comes before it, as IPython has it."""
    if "" in sys.path or sys.flags.safe_path:
        return
    names = [os.path.basename(path) for path in sys.path]
    sys.path.insert(next((n for n, name in enumerate(names) if name in ("site-packages", "dist-packages")), 0), "")


def _use_interruptible_debugger() -> None:
    """Let pdb be IPython's, which an interrupt can leave."""
    import pdb

    from IPython.core import debugger

    debugger.Pdb = debugger.InterruptiblePdb  # type: ignore[misc]
    pdb.Pdb = debugger.Pdb  # type: ignore[misc]
    pdb.set_trace = debugger.set_trace


def main(arguments: Sequence[str]) -> NoReturn:
    """Run what the command line says."""
    match list(arguments):
        case ["-f", path]:
            _serve_connection(path)
        case ["--zygote", fd, *rest] if fd.isdigit():
            from . import zygote

            preload = rest[1].split(",") if len(rest) == 2 and rest[0] == "--preload" else []
            zygote.main(int(fd), [name for name in preload if name])
        case _:
            sys.exit(USAGE)
    sys.exit(0)


def _serve_connection(path: str) -> NoReturn:
    with open(path) as file:
        connection = json.load(file)
    if "POLYREPL_HIDDEN" in os.environ:
        prctl.hide()
    crash_report = os.dup(2)
    kernel = build()
    stdout, stderr = Capture.of(1), Capture.of(2)
    if connection.get("transport") == "stream":
        transport = StreamTransport(socket.socket(fileno=connection["fd"]))
        outlive_parent()
        kernel.serve(transport, stdout, stderr, crash_report=crash_report)
    from .zmqport import ZmqTransport

    die_with_parent(int(os.environ.get("JPY_PARENT_PID") or 0))
    kernel.shell.colors = "neutral"  # frontends that speak zmq show colours
    kernel.serve(ZmqTransport(connection, path), stdout, stderr, crash_report=crash_report)
