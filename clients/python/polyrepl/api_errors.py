# Generated from engine/errors by clients/python/generate.py: change that, and run this.
"""The errors that a server answers with, under its own names."""

from polyrepl.errors import ApiError

__all__ = [
    "BadNotebook",
    "CannotBranch",
    "CheckpointLost",
    "CheckpointNotFound",
    "Conflict",
    "ContextBusy",
    "ContextEnded",
    "ContextExists",
    "ContextNotFound",
    "ExecutionNotFound",
    "FileConflict",
    "FileMissing",
    "FileTooLarge",
    "FilesUnavailable",
    "Forbidden",
    "IdempotencyConflict",
    "InputNotExpected",
    "InvalidRequest",
    "KernelDied",
    "KernelError",
    "KernelStartFailed",
    "KernelTimeout",
    "KernelsBusy",
    "LimitExceeded",
    "MemoryShort",
    "MessageError",
    "NotFound",
    "NotSupported",
    "OtherLimits",
    "Overloaded",
    "QueueFull",
    "RangeNotSatisfiable",
    "RequestTooLarge",
    "ResultGone",
    "ShuttingDown",
    "StateLost",
    "StorageFull",
    "TooManyBytes",
    "TooManyCheckpoints",
    "TooManyContexts",
    "TooManyFiles",
    "TooManyInstallations",
    "TooManyOpenFiles",
    "TooManyRequests",
    "Unauthorized",
    "UnknownLanguage",
    "VariablesUnavailable",
]


class KernelError(ApiError):
    """Base of what goes wrong with a kernel process."""


class BadNotebook(ApiError):
    """A notebook that cannot be served as an API."""


class MessageError(ApiError):
    """Bytes from a kernel that are not a valid, correctly signed Jupyter message."""


class Overloaded(ApiError):
    """Base of what works again later."""


class ShuttingDown(ApiError):
    """The server is shutting down."""


class InvalidRequest(ApiError):
    """The request cannot be carried out as sent; `errors` names each field and what is allowed."""


class Unauthorized(ApiError):
    """The token is missing or wrong."""


class Forbidden(ApiError):
    """The request is understood and refused."""


class RequestTooLarge(ApiError):
    """The body of the request is larger than the server's limit."""


class RangeNotSatisfiable(ApiError):
    """The file ends before the range that was asked for."""


class NotSupported(ApiError):
    """The kernel that runs this language has no such ability."""


class NotFound(ApiError):
    """Base of what does not exist."""


class Conflict(ApiError):
    """Base of what the resource's present state does not allow."""


class ResultGone(ApiError):
    """The request of this Idempotency-Key has been carried out, and its result is no longer kept."""


class StorageFull(ApiError):
    """There is no room for a file, or for the directory of a context: `what`."""


class KernelStartFailed(KernelError):
    """The kernel did not come up."""


class KernelDied(KernelError):
    """The kernel process ended while it was needed."""


class KernelTimeout(KernelError):
    """The kernel lives and did not answer a request in time."""


class QueueFull(Overloaded):
    """The queue of the context is full."""


class TooManyBytes(Overloaded):
    """A request has no room beside those that wait already."""


class TooManyContexts(Overloaded):
    """The server has as many contexts as it may have."""


class TooManyRequests(Overloaded):
    """Of one client that asks on without waiting for answers."""


class KernelsBusy(Overloaded):
    """Of those that serve a notebook."""


class TooManyCheckpoints(Overloaded):
    """The context has as many checkpoints as it may have."""


class TooManyInstallations(Overloaded):
    """`context_id`: the context that installs something already; None where the server installs as much as it may."""


class MemoryShort(Overloaded):
    """Bytes: `available` is left, `reserve` is kept for what runs already."""


class TooManyOpenFiles(Overloaded):
    """The server, or its machine, has no file descriptor left."""


class UnknownLanguage(InvalidRequest):
    """The language is not known, or is known and not available on this machine."""


class FileTooLarge(RequestTooLarge):
    """The file is larger than the server's limit."""


class ContextNotFound(NotFound):
    """No context has this id."""


class CheckpointNotFound(NotFound):
    """The context has no checkpoint of this id."""


class FileMissing(NotFound):
    """No file is at this path of the context's working directory."""


class ExecutionNotFound(NotFound):
    """No execution has this id, or it is no longer kept."""


class ContextEnded(Conflict):
    """The context, or the kernel that it had, was taken away meanwhile."""


class ContextExists(Conflict):
    """A context with this id already exists."""


class OtherLimits(Conflict):
    """The context is there, with other limits than those that are asked for."""


class CannotBranch(Conflict):
    """The state holds what cannot be copied into another process; `obstacles` names all of it."""


class StateLost(Conflict):
    """The state that was to be copied is gone, and no answer has told it yet."""


class CheckpointLost(Conflict):
    """The process that held the checkpoint is gone."""


class ContextBusy(Conflict):
    """What was asked for is done between cells, and one runs."""


class VariablesUnavailable(Conflict):
    """The kernel lives, and did not tell its variables."""


class InputNotExpected(Conflict):
    """The execution is not waiting for input."""


class FileConflict(Conflict):
    """What is at a path is not what the call needs."""


class FilesUnavailable(Conflict):
    """The file system below the context's directory did not answer within `seconds`, or work on it hangs already."""


class TooManyFiles(Conflict):
    """The working directory holds more files than are compared around a cell."""


class IdempotencyConflict(Conflict):
    """The Idempotency-Key was used before with a different request."""


class LimitExceeded(KernelDied):
    """The kernel was ended at a limit of its context."""
