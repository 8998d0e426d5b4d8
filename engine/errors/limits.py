"""Errors of a server that has no room now. The same request works later."""

from __future__ import annotations

from engine.errors.base import PolyreplError


class Overloaded(PolyreplError):
    """Base of what works again later. `retry_after`: seconds, a hint."""

    remedy = "Wait for the seconds in Retry-After and try again."

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFull(Overloaded):
    """The queue of the context is full."""

    def __init__(self, context_id: str, limit: int) -> None:
        super().__init__(f"Context {context_id!r} has {limit} waiting executions, the maximum", retry_after=1)


class TooManyBytes(Overloaded):
    """A request has no room beside those that wait already. `what`: who holds them, as the beginning of a sentence."""

    remedy = "Wait for the seconds in Retry-After and try again, or send less."

    def __init__(self, what: str, size: int, held: int, limit: int) -> None:
        super().__init__(f"{what} {held} bytes, at most {limit}; this request has {size} more", retry_after=2)


class TooManyContexts(Overloaded):
    """The server has as many contexts as it may have."""

    remedy = "Delete contexts that are no longer needed, or try again later."

    def __init__(self, limit: int) -> None:
        super().__init__(f"All {limit} contexts are in use; delete one, or try again", retry_after=5)


class TooManyRequests(Overloaded):
    """Of one client that asks on without waiting for answers."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"This client has {limit} waiting requests, the maximum", retry_after=1)


class KernelsBusy(Overloaded):
    """Of those that serve a notebook. `problem` completes "All its kernels are busy, and ..."."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"All kernels of the notebook are busy, and {problem}", retry_after=1)


class TooManyCheckpoints(Overloaded):
    """The context has as many checkpoints as it may have."""

    remedy = "Delete checkpoints that are no longer needed."

    def __init__(self, context_id: str, limit: int) -> None:
        super().__init__(f"Context {context_id!r} has {limit} checkpoints, the maximum; delete one", retry_after=5)


class TooManyInstallations(Overloaded):
    """`context_id`: the context that installs something already; None where the server installs as much as it may."""

    def __init__(self, limit: int, context_id: str | None = None) -> None:
        where = "The server" if context_id is None else f"Context {context_id!r}"
        super().__init__(f"{where} already runs {limit} installation{'s'[: limit - 1]}, the maximum", retry_after=5)


class MemoryShort(Overloaded):
    """Bytes: `available` is left, `reserve` is kept for what runs already."""

    def __init__(self, available: int, reserve: int) -> None:
        super().__init__(
            f"Not enough memory: {available // 1_000_000} MB available, {reserve // 1_000_000} MB reserved",
            retry_after=10,
        )


class TooManyOpenFiles(Overloaded):
    """The server, or its machine, has no file descriptor left."""

    remedy = "Wait for the seconds in Retry-After and try again. The operator can raise the limit of open files."

    def __init__(self) -> None:
        super().__init__("The server has no file descriptors left", retry_after=5)


class ShuttingDown(PolyreplError):
    """The server is shutting down."""

    remedy = "Try again. The server is about to be replaced."

    def __init__(self) -> None:
        super().__init__("The server is shutting down")
