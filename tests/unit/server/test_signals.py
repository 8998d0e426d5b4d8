"""Signals that end a server in order, and a log whose terminal has closed."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from engine import log

_SCRIPT = """
import os, signal
import uvicorn
from engine.core import Engine
from engine.server.app import create_app
from engine.server.connections import Connections
from engine.server.server import _Server

def serve(number, hangups):
    signal.signal(signal.SIGHUP, hangups)
    engine = Engine()
    server = _Server(uvicorn.Config("x"), create_app(engine), Connections(engine.metrics, engine.settings, open_files=100))
    with server.capture_signals():
        signal.raise_signal(number)
        print(number, hangups.name, server.should_exit, flush=True)
    print("goes on", flush=True)
    os._exit(0)

for number, hangups in ((1, signal.SIG_DFL), (3, signal.SIG_DFL), (15, signal.SIG_DFL), (1, signal.SIG_IGN)):
    process = os.fork()  # a process of its own for each: the import takes longest
    if not process:
        serve(number, hangups)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


def test_a_signal_asks_for_an_orderly_end_and_ends_the_process_after_it() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=60, env=os.environ)
    seen = ["1 SIG_DFL True", "-1", "3 SIG_DFL True", "-15", "15 SIG_DFL True", "-15"]
    assert done.stdout.splitlines() == [*seen, "1 SIG_IGN False", "goes on", "0"], done.stderr


@pytest.mark.parametrize("problem", [OSError(5, "Input/output error"), BrokenPipeError(), ValueError("closed")])
def test_a_line_that_cannot_be_written_is_lost_and_stops_nothing(
    problem: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed(io.StringIO):
        def write(self, text: str, /) -> int:
            raise problem

    monkeypatch.setattr(sys, "stderr", Closed())
    log._make(0, "json").error("shutting_down")


def test_without_stderr_there_is_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    log._make(0, "console").error("shutting_down")
