"""Errors of kernels, and of a notebook that cannot be served."""

from __future__ import annotations

from engine.errors.base import PolyreplError


class KernelError(PolyreplError):
    """Base of what goes wrong with a kernel process."""

    remedy = "Try again, or restart the context. `polyrepl doctor` shows the operator what kernels need."


class KernelStartFailed(KernelError):
    """The kernel did not come up. `detail`: the end of what the process printed, for the log only."""

    def __init__(self, kernel_name: str, reason: str, *, detail: str = "") -> None:
        super().__init__(f"Kernel {kernel_name!r} could not be started: {reason}")
        self.detail = detail


class KernelDied(KernelError):
    """The kernel process ended while it was needed. `reason` tells the signal or exit code."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The kernel died: {reason}")
        self.reason = reason


class LimitExceeded(KernelDied):
    """The kernel was ended at a limit of its context. `reason` names the limit, its value and the peak."""

    remedy = "Take less, or make a new context with other `limits`. GET /contexts/{id} shows those of this one."


class KernelTimeout(KernelError):
    """The kernel lives and did not answer a request in time. Seconds."""

    def __init__(self, msg_type: str, timeout: float) -> None:
        super().__init__(f"The kernel did not answer a {msg_type} within {timeout:g} s")
        self.msg_type = msg_type


class BadNotebook(PolyreplError):
    """A notebook that cannot be served as an API. `problem` names the cell, where it is one."""

    remedy = "The operator has to correct the notebook, or the settings."

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"The notebook {name!r} cannot be served: {problem}")
        self.problem = problem


class MessageError(PolyreplError):
    """Bytes from a kernel that are not a valid, correctly signed Jupyter message."""

    remedy = "Restart the context. Its kernel no longer speaks the protocol."
