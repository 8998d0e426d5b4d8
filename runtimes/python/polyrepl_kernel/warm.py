"""The first time of everything: cells that a zygote runs once, so that its kernels have that behind them, and their removal."""

from __future__ import annotations

import asyncio
import gc
import json
import linecache
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from .cells import Cell
from .protocol import SHELL, Request

if TYPE_CHECKING:
    from .kernel import Kernel

_IDLE = b'"idle"'
_ERRORS = """\
def outer(value):
    return inner(value)
def inner(value):
    return 1 / value
outer(0)
"""
_CELLS = (
    "import os, sys, math, json, time\nvalue = {'a': [1, 2.5, 'text']}\nvalue",
    "print('text'); print('text', file=sys.stderr)",
    _ERRORS,
    "raise KeyboardInterrupt",
    "this is no python",
    "from IPython.display import HTML, Markdown, display\ndisplay(HTML('<b>bold</b>'), Markdown('*text*'))",
    "import asyncio\nawait asyncio.sleep(0)\nvalue",
    "class Point:\n    def __repr__(self):\n        return 'Point()'\n[Point() for _ in range(3)]",
    "%pwd",
    "value;",
)
_CELLS_WITH = {
    "numpy": ("import numpy as np\nnp.arange(12.0).reshape(3, 4) @ np.ones((4, 2))",),
    "pandas": (
        "import pandas as pd\nframe = pd.DataFrame({'a': [1, 2, 3], 'b': [0.5, None, 2.0], 'c': ['x', 'y', 'x']})\nframe",
        "frame.describe()",
        "frame.groupby('c').sum()",
    ),
    "matplotlib": (
        "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2], label='line'); plt.title('text'); plt.legend(); plt.show()",
        "figure, axes = plt.subplots()\naxes.bar(['a', 'b'], [1, 2])",
    ),
}
_REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("kernel_info_request", {}),
    ("complete_request", {"code": "sys.pa", "cursor_pos": 6}),
    ("complete_request", {"code": "val", "cursor_pos": 3}),
    ("inspect_request", {"code": "json.dumps", "cursor_pos": 10, "detail_level": 0}),
    ("is_complete_request", {"code": "if True:"}),
    ("variables_request", {}),
)


def warm(kernel: Kernel, loaded: Sequence[str]) -> None:
    """Run the cells, and whatever else clients ask for, then make the kernel as new."""
    with _as_before(kernel, loaded):
        client = _Client(kernel)
        for code in (*_CELLS, *(code for name in loaded for code in _CELLS_WITH.get(name, ()))):
            client.ask("execute_request", {"code": code, "silent": False, "store_history": True}, changes=True)
        for msg_type, content in _REQUESTS:
            client.ask(msg_type, content)
        client.close()


class _Client:
    """A client of the kernel in this very thread, which takes no notice of what it is sent."""

    has_partial = False
    interrupts_early = False
    locks = ()

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._count = 0
        kernel.loop = asyncio.new_event_loop()
        kernel.outbox.transport = kernel.inbox.transport = self  # type: ignore[assignment]

    def ask(self, msg_type: str, content: dict[str, Any], *, changes: bool = False) -> None:
        """Send a request and return when the kernel is idle again."""
        self._count += 1
        header = {"msg_id": f"warm_{self._count}", "msg_type": msg_type, "session": "warm", "version": "5.4"}
        limits = {"stream_bytes": 1 << 20, "item_bytes": 1 << 20}
        metadata = {"output_limits": limits, "changes": changes, "colors": True}
        parts = [json.dumps(part).encode() for part in (header, {}, metadata, content)]
        assert self._kernel.loop is not None
        self._kernel.inbox.put(Request(SHELL, parts))
        self._kernel.loop.run_forever()

    def close(self) -> None:
        """Leave the kernel without a client."""
        assert self._kernel.loop is not None
        self._kernel.loop.close()
        self._kernel.loop = self._kernel.outbox.transport = self._kernel.inbox.transport = None
        self._kernel.helper.reset()

    def send(self, channel: int, parts: Sequence[bytes], idents: Sequence[bytes] = (), *, hold: bool = False) -> None:
        """End the wait of `ask` at the status `idle`."""
        if parts[3].startswith(b'{"execution_state"') and _IDLE in parts[3]:
            assert self._kernel.loop is not None
            self._kernel.loop.stop()

    def flush(self) -> None:
        """Nothing waits."""

    def receive(self) -> list[Request]:
        """Nothing comes on its own."""
        return []

    def wait(self, timeout: float) -> None:
        """Not needed: no cell asks for input."""

    def fileno(self) -> int:
        """There is nothing to watch."""
        return -1

    def start(self, kernel: Kernel) -> None:
        """There is nothing to start."""


@contextmanager
def _as_before(kernel: Kernel, loaded: Sequence[str]) -> Iterator[None]:
    """Have everything that a user could notice put back afterwards. Modules that were imported stay: that is the point."""
    directory = os.getcwd()
    matplotlib = sys.modules["matplotlib"] if "matplotlib" in loaded else None
    parameters = dict(matplotlib.rcParams) if matplotlib is not None else {}
    try:
        with warnings.catch_warnings():
            yield
    finally:
        kernel.cells.enter(Cell())
        _reset_shell(kernel.shell)
        if matplotlib is not None:
            _reset_figures(matplotlib, parameters)
        forget_warnings()
        linecache.clearcache()
        for name in ("last_type", "last_value", "last_traceback", "last_exc"):
            sys.__dict__.pop(name, None)
        os.chdir(directory)
        gc.collect()


def _reset_shell(shell: Any) -> None:
    module = {name: value for name, value in shell.user_ns.items() if name.startswith("__")}
    shell.reset(new_session=True)
    shell.user_ns.update({**module, **dict.fromkeys(("_", "__", "___"), "")})
    shell.execution_count = 1
    shell.payload_manager.clear_payload()
    shell.last_error = shell._last_traceback = shell.last_execution_result = None
    shell.last_execution_succeeded = True
    with suppress(AttributeError):  # the names of the cells' sources, which other versions keep elsewhere
        shell.compile._filename_map.clear()


def _reset_figures(matplotlib: Any, parameters: dict[str, Any]) -> None:
    sys.modules["matplotlib.pyplot"].close("all")  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # parameters that are there for old programs only
        for name, value in parameters.items():
            if matplotlib.rcParams[name] != value:
                matplotlib.rcParams[name] = value


def forget_warnings() -> None:
    """What was warned of here is shown again to the first user who causes it."""
    for module in list(sys.modules.values()):
        with suppress(AttributeError, TypeError):
            vars(module).pop("__warningregistry__", None)
