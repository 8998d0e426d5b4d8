"""The control channel: what is answered while a cell runs. The rest of its requests wait for their turn."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from .cells import Cell
from .protocol import Request
from .requests import HANDLERS, kernel_info, unsupported

if TYPE_CHECKING:
    from .kernel import Kernel


def answer(kernel: Kernel, request: Request) -> bool:
    """Answer a request, in any thread; returns False for one that only the loop's thread can answer."""
    try:
        request.check()
    except ValueError as error:
        kernel.refuse(request, error)
        return True
    cell = Cell(request)
    match request.msg_type:
        case "interrupt_request":
            kernel.outbox.status(cell, "busy")
            os.kill(os.getpid(), signal.SIGINT)
            kernel.outbox.reply(cell, request.msg_type, {"status": "ok"})
        case "kernel_info_request":
            kernel.outbox.status(cell, "busy")
            kernel.outbox.reply(cell, request.msg_type, kernel_info(kernel, request))
        case "shutdown_request":
            kernel.outbox.status(cell, "busy")
            kernel.shut_down(cell, request)
        case "execute_request":
            return False
        case msg_type if msg_type in HANDLERS or not msg_type.endswith("_request"):
            return False
        case _:
            kernel.outbox.status(cell, "busy")
            kernel.outbox.reply(cell, request.msg_type, unsupported(request))
    kernel.outbox.status(cell, "idle", hold=False)
    return True
