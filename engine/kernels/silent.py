"""Silent cells: code that the engine runs in a kernel for itself, without history, count or output."""

from __future__ import annotations

import contextlib

from engine.errors import KernelDied, KernelTimeout, MessageError
from engine.kernels.kernel import Kernel
from engine.log import get_logger

_TIMEOUT = 30.0  # seconds: a machine may be busy, and a kernel that has just started with its own beginnings
_ATTEMPTS = 2  # a late interrupt of the user's cell may hit the first


async def run_silently(kernel: Kernel, code: str) -> bool:
    """Run it; whether it ran without an error. Raises KernelTimeout or KernelDied."""
    for _ in range(_ATTEMPTS):
        reply = await kernel.execute_silently(code, timeout=_TIMEOUT)
        with contextlib.suppress(MessageError):
            if reply.content.get("status") == "ok":
                return True
    return False


async def evaluate_silently(kernel: Kernel, expression: str, *, timeout: float) -> str | None:
    """The text of a Python expression's value; None where it has none. Raises KernelTimeout or KernelDied."""
    for _ in range(_ATTEMPTS):
        reply = await kernel.execute_silently("", timeout=timeout, value=expression)
        with contextlib.suppress(MessageError, KeyError, TypeError, AttributeError):
            text = reply.content["user_expressions"]["value"]["data"]["text/plain"]
            return str(text)
    return None


async def put_back(kernel: Kernel, code: str) -> bool:
    """Run what undoes something. A kernel in which that fails is ended, as it would keep what it must not; False then."""
    try:
        if await run_silently(kernel, code):
            return True
    except KernelTimeout:
        pass
    except KernelDied:
        return False
    get_logger().warning("environment_not_put_back", kernel=kernel.name)
    await kernel.kill()
    return False
