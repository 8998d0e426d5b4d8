"""Raw jupyter_client, without a server: the floor that every peer on ipykernel stands on."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from pathlib import Path
from typing import Any

from .client import LateError
from .peer import Answer, Context, Load, Peer
from .procs import PeerError, Server

_ROOT = Path(__file__).resolve().parent.parent


class _Worker(Server):
    """The worker process with its two pipes."""

    def __init__(self, argv: list[str], *, cwd: Path, env: dict[str, str]) -> None:
        cwd.mkdir(parents=True, exist_ok=True)
        self.log = cwd / "server.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=cwd,
                env={**env, "PYTHONPATH": str(_ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def call(self, timeout: float, *command: Any) -> Any:
        """Send one command and return its value; raise PeerError at its error, LateError if it is late."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(command).encode() + b"\n")
        stdin.flush()
        deadline = time.monotonic() + timeout
        line = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    self._process.kill()
                    msg = f"worker gave no answer to {command[0]} in {timeout:.0f} s and was ended"
                    raise LateError(msg)
                data = os.read(stdout.fileno(), 1 << 20)
                if not data:
                    msg = f"worker ended: {self._last_line()}"
                    raise PeerError(msg)
                line += data
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer["value"]


class RawContext(Context):
    """A context that lives in the worker."""

    def __init__(self, worker: _Worker, number: int) -> None:
        self._worker, self.number = worker, number

    def execute(self, code: str, *, limit: float | None = None, patience: float = 60.0) -> Answer:
        answer = Answer(**self._worker.call(patience + 20, "execute", self.number, code, limit, patience))
        if answer.status == "late":
            written = f", {len(answer.stdout):,} characters of output by then" if answer.out else ""
            msg = f"no answer before the client's deadline{written}"
            raise LateError(msg)
        return answer

    def stream(self, code: str, marker: str) -> Answer:
        answer = self.execute(code)
        if marker not in answer.stdout:
            answer.first = None
        return answer

    def interrupt(self, code: str, delay: float) -> Answer:
        return self.execute(code, limit=delay, patience=delay + 10.0)

    def close(self) -> None:
        self._worker.call(30, "close", self.number)


class Raw(Peer):
    """BlockingKernelClient with stock ipykernel, in a helper process that runs on the peers' interpreter."""

    name = "raw"
    about = "raw jupyter_client (BlockingKernelClient) + stock ipykernel, no server"
    package = "ipykernel"
    kernel_name = "python3"
    #: What the worker is told besides the name.
    worker_options: tuple[str, ...] = ()
    has_server = False

    def __init__(self, python: Path) -> None:
        self.python = python

    def start(self, directory: Path, env: dict[str, str]) -> None:
        argv = [str(self.python), "-m", "benchmarks.raw_worker", self.kernel_name, *self.worker_options]
        self.server: _Worker = _Worker(argv, cwd=directory, env=env)

    def open(self, code: str = "1+1") -> tuple[Context, Answer]:
        opened = self.server.call(90, "open", code)
        return RawContext(self.server, opened["id"]), Answer(**opened["answer"])

    def open_many(self, count: int) -> list[Context]:
        return [RawContext(self.server, number) for number in self.server.call(180, "open_many", count)]

    def close_many(self, contexts: list[Context]) -> None:
        for context in contexts:
            context.close()

    def load(self, contexts: list[Context], seconds: float, minimum: int = 1) -> Load:
        numbers = [context.number for context in contexts if isinstance(context, RawContext)]
        return Load(**self.server.call(seconds + 120, "load", numbers, seconds, minimum))


class Xeus(Raw):
    """The same client with xeus-python's kernel."""

    name = "xeus-python"
    about = "raw jupyter_client + xeus-python, no server"
    package = "xeus-python"
    most_contexts = 8
    kernel_name = "xpython"
