"""The one tree of errors. `api/errors.py` turns it into HTTP; nothing else does.

PolyreplError
├── InvalidRequest            what the caller sent is wrong; names every field
│   └── UnknownLanguage
├── Unauthorized              no token, or a wrong one
├── Forbidden                 this host, origin or action is not allowed
├── NotFound
│   ├── ContextNotFound
│   ├── CheckpointNotFound
│   ├── FileMissing
│   └── ExecutionNotFound
├── Conflict                  the resource is in another state than the call needs
│   ├── ContextEnded
│   ├── ContextExists
│   ├── CannotBranch          `obstacles` names what cannot be copied
│   ├── CheckpointLost
│   ├── ContextBusy           try again later (`retry_after`, seconds)
│   ├── VariablesUnavailable
│   ├── InputNotExpected
│   ├── FileConflict          something else is at that path
│   ├── TooManyFiles          to compare them around a cell
│   └── IdempotencyConflict
├── RequestTooLarge
│   └── FileTooLarge
├── RangeNotSatisfiable       the part of a file that was asked for is not there
├── StorageFull               a context's files, or the disk
├── NotSupported              the kernel of this language cannot do it
├── Overloaded                try again later (`retry_after`, seconds)
│   ├── QueueFull
│   ├── TooManyContexts
│   ├── TooManyRequests
│   ├── KernelsBusy
│   ├── TooManyCheckpoints
│   ├── TooManyInstallations
│   └── MemoryShort
├── ShuttingDown
├── KernelError
│   ├── KernelStartFailed
│   ├── KernelDied
│   └── KernelTimeout
├── BadNotebook               it cannot be served as an API
└── MessageError              a kernel sent what is not a Jupyter message
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.models import Obstacle


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field of a request."""

    field: str
    error: str


class PolyreplError(Exception):
    """Base of every error that this package raises on purpose. `message` is fit for a client."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def explanation(self) -> str:
        """The whole of it in one line."""
        return self.message


class InvalidRequest(PolyreplError):
    """The request cannot be carried out as sent; `errors` names each field and what is allowed."""

    def __init__(self, *errors: FieldError, message: str = "Invalid request") -> None:
        super().__init__(message)
        self.errors = errors

    @property
    def explanation(self) -> str:
        """Each field with what is wrong with it."""
        return "; ".join(f"{wrong.field}: {wrong.error}" for wrong in self.errors) or self.message


class UnknownLanguage(InvalidRequest):
    """The language is not known, or is known and not available on this machine."""

    def __init__(self, language: str, *, allowed: list[str], reason: str | None = None) -> None:
        what = f"{language!r} is not available: {reason}" if reason else f"{language!r} is not a known language"
        super().__init__(FieldError("language", f"{what}; allowed: {', '.join(allowed)}"))
        self.language = language
        self.allowed = allowed


class Unauthorized(PolyreplError):
    """The token is missing or wrong."""


class Forbidden(PolyreplError):
    """The request is understood and refused."""


class NotFound(PolyreplError):
    """Base of what does not exist."""


class ContextNotFound(NotFound):
    """No context has this id. `ended` tells how it ended, where it is known."""

    def __init__(self, context_id: str, *, ended: str | None = None) -> None:
        super().__init__(f"Context {context_id!r} not found" + (f": it {ended}" if ended else ""))
        self.context_id = context_id
        self.ended = ended


class CheckpointNotFound(NotFound):
    """The context has no checkpoint of this id."""

    def __init__(self, checkpoint: str, context_id: str) -> None:
        super().__init__(f"Checkpoint {checkpoint!r} of context {context_id!r} not found")


class FileMissing(NotFound):
    """No file is at this path of the context's working directory."""

    def __init__(self, path: str) -> None:
        super().__init__(f"File {path!r} not found")
        self.path = path


class ExecutionNotFound(NotFound):
    """No execution has this id, or it is no longer kept."""

    def __init__(self, execution_id: str) -> None:
        super().__init__(f"Execution {execution_id!r} not found, or no longer kept")
        self.execution_id = execution_id


class Conflict(PolyreplError):
    """Base of what the resource's present state does not allow."""


class ContextEnded(Conflict):
    """The context was ended or restarted while its kernel was starting."""

    def __init__(self, context_id: str) -> None:
        super().__init__(f"Context {context_id!r} was ended or restarted while its kernel was starting")


class ContextExists(Conflict):
    """A context of this id exists already."""

    def __init__(self, context_id: str) -> None:
        super().__init__(f"Context {context_id!r} exists already")
        self.context_id = context_id


class CannotBranch(Conflict):
    """The state holds what cannot be copied into another process; `obstacles` names all of it."""

    def __init__(self, context_id: str, obstacles: Sequence[Obstacle]) -> None:
        named = "; ".join(f"{obstacle.kind} {obstacle.name}" for obstacle in obstacles[:10])
        more = f"; and {len(obstacles) - 10} more" if len(obstacles) > 10 else ""
        super().__init__(f"Context {context_id!r} cannot be branched: {named}{more}")
        self.obstacles = list(obstacles)


class CheckpointLost(Conflict):
    """The process that held the checkpoint is gone."""

    def __init__(self, checkpoint: str, reason: str) -> None:
        super().__init__(f"Checkpoint {checkpoint!r} is lost: its process {reason}")


class ContextBusy(Conflict):
    """What was asked for is done between cells, and one runs. `retry_after`: seconds, a hint."""

    def __init__(self, context_id: str) -> None:
        super().__init__(f"Context {context_id!r} is busy; try again when its cell has ended, or interrupt it")
        self.retry_after = 1


class VariablesUnavailable(Conflict):
    """The kernel lives, and did not tell its variables."""

    def __init__(self, context_id: str, reason: str) -> None:
        super().__init__(f"The variables of context {context_id!r} could not be read: {reason}")


class InputNotExpected(Conflict):
    """The execution is not waiting for input."""

    def __init__(self, execution_id: str, status: str) -> None:
        super().__init__(f"Execution {execution_id!r} is not waiting for input (status: {status})")


class FileConflict(Conflict):
    """What is at a path is not what the call needs. `problem` completes "'path' ..."."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path!r} {problem}")
        self.path = path


class TooManyFiles(Conflict):
    """The working directory holds more files than are compared around a cell."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The working directory holds more than {limit} files; `files` cannot be told of it")


class IdempotencyConflict(Conflict):
    """The Idempotency-Key was used before with a different request."""

    def __init__(self) -> None:
        super().__init__("Idempotency-Key was used before with a different request")


class RequestTooLarge(PolyreplError):
    """The body of the request is larger than the server's limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is larger than {limit} bytes")
        self.limit = limit


class FileTooLarge(RequestTooLarge):
    """The file is larger than the server's limit."""

    def __init__(self, path: str, limit: int) -> None:
        PolyreplError.__init__(self, f"The file {path!r} is larger than {limit} bytes")
        self.limit = limit


class RangeNotSatisfiable(PolyreplError):
    """The file ends before the range that was asked for. `size`: its bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"The file has {size} bytes; the range that was asked for begins beyond them")
        self.size = size


class StorageFull(PolyreplError):
    """There is no room for a file. `reason` says of what."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"No room for this file: {reason}")


class NotSupported(PolyreplError):
    """The kernel that runs this language has no such ability. `reason` says what is missing, and where it is there."""

    def __init__(self, feature: str, language: str, reason: str) -> None:
        super().__init__(f"{feature} is not supported for {language!r}: {reason}")
        self.feature = feature
        self.language = language
        self.reason = reason


class Overloaded(PolyreplError):
    """Base of what works again later. `retry_after`: seconds, a hint."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFull(Overloaded):
    """The context has as many executions waiting as it may have."""

    def __init__(self, context_id: str, limit: int) -> None:
        super().__init__(f"Context {context_id!r} has {limit} executions waiting, its limit", retry_after=1)


class TooManyContexts(Overloaded):
    """The server has as many contexts as it may have."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"All {limit} contexts are in use; delete one, or try again", retry_after=5)


class TooManyRequests(Overloaded):
    """Of one client that asks on without waiting for answers."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} requests of this client wait already, its limit", retry_after=1)


class KernelsBusy(Overloaded):
    """Of those that serve a notebook. `problem` completes "All its kernels are busy, and ..."."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"All kernels of the notebook are busy, and {problem}", retry_after=1)


class TooManyCheckpoints(Overloaded):
    """The context has as many checkpoints as it may have."""

    def __init__(self, context_id: str, limit: int) -> None:
        super().__init__(f"Context {context_id!r} has {limit} checkpoints, its limit; delete one", retry_after=5)


class TooManyInstallations(Overloaded):
    """`context_id`: the context that installs something already; None where the server installs as much as it may."""

    def __init__(self, limit: int, context_id: str | None = None) -> None:
        where = "The server" if context_id is None else f"Context {context_id!r}"
        super().__init__(f"{where} runs {limit} installation{'s'[: limit - 1]} already, its limit", retry_after=5)


class MemoryShort(Overloaded):
    """Bytes: `available` is left, `reserve` is kept for what runs already."""

    def __init__(self, available: int, reserve: int) -> None:
        super().__init__(
            f"Memory is short: {available // 1_000_000} MB are left and {reserve // 1_000_000} MB are kept in reserve",
            retry_after=10,
        )


class ShuttingDown(PolyreplError):
    """The server is shutting down."""

    def __init__(self) -> None:
        super().__init__("The server is shutting down")


class KernelError(PolyreplError):
    """Base of what goes wrong with a kernel process."""


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


class KernelTimeout(KernelError):
    """The kernel lives and did not answer a request in time. Seconds."""

    def __init__(self, msg_type: str, timeout: float) -> None:
        super().__init__(f"The kernel did not answer a {msg_type} within {timeout:g} s")
        self.msg_type = msg_type


class BadNotebook(PolyreplError):
    """A notebook that cannot be served as an API. `problem` names the cell, where it is one."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"The notebook {name!r} cannot be served: {problem}")
        self.problem = problem


class MessageError(PolyreplError):
    """Bytes from a kernel that are not a valid, correctly signed Jupyter message."""
