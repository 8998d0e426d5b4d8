"""Comms (messaging protocol, "Custom messages"), by which ipywidgets and others talk with their front end."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import comm
from comm.base_comm import BaseComm, CommManager

from .imports import after_import
from .protocol import Request

if TYPE_CHECKING:
    from .kernel import Kernel
    from .outbox import Outbox


def install(outbox: Outbox) -> CommManager:
    """Make every library's comms go through this outbox; returns their manager."""
    manager = CommManager()

    class KernelComm(BaseComm):
        """A comm whose messages are sent on iopub on behalf of the calling cell."""

        def publish_msg(
            self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
        ) -> None:
            content = {"data": {} if data is None else data, "comm_id": self.comm_id, **keys}
            outbox.flush_streams()
            outbox.publish(msg_type, content, metadata=metadata or {}, buffers=[bytes(each) for each in buffers or ()])

    def take(*_: ModuleType) -> None:
        comm.create_comm = KernelComm
        comm.get_comm_manager = lambda: manager

    def lend(module: ModuleType) -> None:
        module.BaseComm.publish_msg = KernelComm.publish_msg

    take()
    # A cell may import ipykernel, which makes itself the sender of all comms and would send none.
    after_import("ipykernel.ipkernel", take)
    after_import("ipykernel.comm.comm", lend)
    return manager


def handle(manager: CommManager, request: Request) -> None:
    """Hand a comm_open, comm_msg or comm_close to its comm; what it runs is user code."""
    getattr(manager, request.msg_type)(None, None, request.as_dict())


def answer(kernel: Kernel, request: Request) -> None:
    """Hand a message to its comm, and report what its callbacks raise that the manager does not."""
    kernel.interrupts.begin_cell(kernel.shell.user_global_ns, forget_earlier=True)
    try:
        handle(kernel.comm_manager, request)
    except BaseException as error:
        if kernel.is_forked_child or isinstance(error, MemoryError):
            raise
        kernel.shell.showtraceback()
    finally:
        kernel.interrupts.end_cell()


def comm_info(manager: CommManager, content: dict[str, Any]) -> dict[str, Any]:
    """The comm_info_reply: every open comm, or those of one target."""
    target = content.get("target_name")
    comms = {
        comm_id: {"target_name": each.target_name}
        for comm_id, each in manager.comms.items()
        if target is None or each.target_name == target
    }
    return {"status": "ok", "comms": comms}
