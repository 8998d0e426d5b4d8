"""polyrepl's command with marks in its hot path: `python -m benchmarks.profiled_server serve ...`.

SIGUSR1 makes it write the marks to the file that BENCH_MARKS names.
"""

from __future__ import annotations

import os
import signal
import sys

from . import marks

#: (module, function, name of the mark)
POINTS = (
    ("uvicorn.protocols.http.httptools_impl", "HttpToolsProtocol.data_received", "http"),
    ("uvicorn.protocols.http.httptools_impl", "RequestResponseCycle.run_asgi", "asgi"),
    ("uvicorn.protocols.http.httptools_impl", "RequestResponseCycle.send", "http-send"),
    ("engine.api.native.execute", "read_body", "body"),
    ("engine.core", "Engine.execute", "submit"),
    ("engine.kernels.kernel", "Kernel.execute", "request"),
    ("engine.kernels.channels.stream", "StreamChannels.send", "message"),
    ("engine.kernels.channels.stream", "StreamChannels._write", "write"),
    ("engine.kernels.channels.stream", "StreamChannels._receive_bytes", "read"),
    ("engine.kernels.channels.stream", "StreamChannels.deliver", "deliver"),
    ("engine.contexts.executions", "Execution.receive", "normalize"),
    ("engine.contexts.executions", "Execution.end", "end"),
    ("engine.api.http.results", "_encode_short", "encode"),
)


def main() -> int:
    """Wrap, then run the command line."""
    marks.wrap_all(POINTS)
    signal.signal(signal.SIGUSR1, lambda *_: marks.dump(os.environ["BENCH_MARKS"]))
    from engine.cli.main import main as polyrepl

    return int(polyrepl() or 0)


if __name__ == "__main__":
    sys.exit(main())
