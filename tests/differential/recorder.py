"""Runs cells on a kernel as an ordinary Jupyter client does and records everything that it sends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq

from tests.differential.corpus import Cell, Group, Options
from tests.real.kernels.kernel_under_test import DEADLINE, ROOT, KernelUnderTest

STOCK = [sys.executable, "-m", "ipykernel_launcher"]
LEAN = [sys.executable, str(ROOT / "runtimes/python/launch.py")]
_WITHOUT_REPLY = "comm_msg"

# A new namespace, history and directory, and the settings that cells of other groups may have changed.
_RESET = """
get_ipython().reset(new_session=True)
import os as _os, sys as _sys
_os.makedirs({directory!r}, exist_ok=True)
_os.chdir({directory!r})
if "pandas" in _sys.modules:
    _sys.modules["pandas"].reset_option("all")
if "matplotlib.pyplot" in _sys.modules:
    _sys.modules["matplotlib.pyplot"].close("all")
del _os, _sys
"""


@dataclass
class Record:
    """What one request led to: iopub and stdin messages in the order they came, and the reply's content."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    late: list[dict[str, Any]] = field(default_factory=list)  # what came after the reply and idle
    reply: dict[str, Any] = field(default_factory=dict)
    ended: bool = False

    def stdout(self) -> str:
        streams = (m for m in (*self.messages, *self.late) if m["msg_type"] == "stream")
        return "".join(m["content"]["text"] for m in streams if m["content"]["name"] == "stdout")


class Recorder:
    """A kernel, its private directories, and the comms that it opened."""

    def __init__(self, name: str, command: list[str], directory: Path) -> None:
        self.name = name
        self.home = directory
        self.home.mkdir()
        self._widgets: dict[str, str] = {}
        isolated = {"IPYTHONDIR": str(self.home / "ipython"), "PYTHONHASHSEED": "0", "COLUMNS": "80", "LINES": "24"}
        before = dict(os.environ)
        os.environ.update(isolated)
        for variable in ("MPLBACKEND", "PYTHONWARNINGS", "FORCE_COLOR", "NO_COLOR"):
            os.environ.pop(variable, None)
        try:
            self.kernel = KernelUnderTest(self.home, launcher=command, cwd=self.home)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def run(self, group: Group) -> list[Record]:
        """Run the cells of a group in a new namespace and directory."""
        code = _RESET.format(directory=str(self.home / group.name))
        reset = self._execute(Cell("reset", code, Options(silent=True)))
        assert reset.reply["status"] == "ok", reset.reply
        return [self._execute(cell) for cell in group.cells]

    def _execute(self, cell: Cell) -> Record:
        return self._finish(self._begin(cell), cell)

    def _begin(self, cell: Cell) -> str:
        """Send the cell's request; returns its msg_id."""
        options = cell.options
        if options.widget:
            content = {"comm_id": self._widgets[options.widget], "data": options.content}
            return self._send(_WITHOUT_REPLY, content)
        if options.request == "execute_request":
            content = {
                "code": cell.code,
                "silent": options.silent,
                "store_history": options.store_history,
                "user_expressions": options.user_expressions,
                "allow_stdin": options.inputs is not None,
                "stop_on_error": options.stop_on_error,
            }
        else:
            content = {"code": cell.code, "cursor_pos": len(cell.code)} if cell.code else {}
        return self._send(options.request, {**content, **options.content})

    def _send(self, msg_type: str, content: dict[str, Any]) -> str:
        message = self.kernel.session.msg(msg_type, content)
        self.kernel.session.send(self.kernel.sockets["shell"], message)
        return str(message["header"]["msg_id"])

    def _finish(self, request: str, cell: Cell) -> Record:
        """Receive up to the reply and idle, or to the kernel's end where the cell asks for it."""
        record, idle = Record(), False
        answers = iter(cell.options.inputs or ())
        poller = zmq.Poller()
        for name in ("shell", "iopub", "stdin"):
            poller.register(self.kernel.sockets[name], zmq.POLLIN)
        end = time.monotonic() + DEADLINE
        while not (idle and (record.reply or cell.options.widget)):
            ready = dict(poller.poll(max(0.0, end - time.monotonic()) * 1000))
            assert ready, (
                f"{self.name}: no reply or no idle in {cell.title!r} after {[m['msg_type'] for m in record.messages]}"
            )
            for name in ("iopub", "stdin", "shell"):
                if self.kernel.sockets[name] not in ready:
                    continue
                message = self.kernel.receive(name)
                if message["parent_header"].get("msg_id") != request:
                    continue  # late output of an earlier cell
                if name == "shell":
                    record.reply = message["content"]
                elif message["content"].get("execution_state") == "idle":
                    idle = True
                elif message["msg_type"] != "status":
                    self._note(record, message, lambda: next(answers))
        self._receive_late(record, request, cell)
        if self.name in cell.options.ends:
            self.kernel.process.wait(DEADLINE)
            record.ended = True
        return record

    def _note(self, record: Record, message: dict[str, Any], answer: Callable[[], str]) -> None:
        record.messages.append(message)
        content = message["content"]
        if message["msg_type"] == "input_request":
            self.kernel.session.send(self.kernel.sockets["stdin"], "input_reply", {"value": answer()}, parent=message)
        elif message["msg_type"] == "comm_open":
            model = content["data"].get("state", {}).get("_model_name")
            self._widgets[model] = content["comm_id"]

    def _receive_late(self, record: Record, request: str, cell: Cell) -> None:
        """Stock ipykernel reads file descriptors in a thread, so their text may come after idle."""
        while cell.options.until not in record.stdout():
            message = self.kernel.receive("iopub")
            if message["parent_header"].get("msg_id") == request and message["msg_type"] == "stream":
                record.late.append(message)

    def close(self) -> None:
        self.kernel.close()
