"""Signals that end a server in order, and a log whose terminal has closed."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from engine import log

_SCRIPT = """
import signal, sys
import uvicorn
from engine.core import Engine
from engine.server.app import create_app
from engine.server.connections import Connections
from engine.server.server import _Server

signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[2] == "ignored" else signal.SIG_DFL)
engine = Engine()
server = _Server(uvicorn.Config("x"), create_app(engine), Connections(engine.metrics, engine.settings, open_files=100))
with server.capture_signals():
    signal.raise_signal(int(sys.argv[1]))
    print(server.should_exit, flush=True)
print("goes on", flush=True)
"""


@pytest.mark.parametrize(
    ("number", "hangups", "said", "status"),
    [
        (1, "seen", "True\n", -1),
        (3, "seen", "True\n", -15),
        (15, "seen", "True\n", -15),
        (1, "ignored", "False\ngoes on\n", 0),
    ],
)
def test_a_signal_asks_for_an_orderly_end_and_ends_the_process_after_it(
    number: int, hangups: str, said: str, status: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(number), hangups],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ,
    )
    assert (done.stdout, done.returncode) == (said, status), done.stderr


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
