"""Errors of what a request names: it does not exist, or is in another state than the call needs."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors.base import PolyreplError, shorten
from engine.models import Obstacle

_MAX_ID = 200  # characters; one that does not exist may be of any length


class NotFound(PolyreplError):
    """Base of what does not exist."""

    remedy = "Check the path and the id in it."


class ContextNotFound(NotFound):
    """No context has this id. `ended` tells how it ended, where it is known."""

    remedy = "Run code with this context_id to make a new context. The earlier state is gone."

    def __init__(self, context_id: str, *, ended: str | None = None) -> None:
        super().__init__(f"Context {context_id!r} not found" + (f": it {ended}" if ended else ""))
        self.context_id = shorten(context_id, _MAX_ID)
        self.ended = ended


class CheckpointNotFound(NotFound):
    """The context has no checkpoint of this id."""

    remedy = "List the context's checkpoints. They end with the context."

    def __init__(self, checkpoint: str, context_id: str) -> None:
        super().__init__(f"Checkpoint {checkpoint!r} of context {context_id!r} not found")


class FileMissing(NotFound):
    """No file is at this path of the context's working directory."""

    remedy = "List the context's files. Paths are relative to its working directory."

    def __init__(self, path: str) -> None:
        super().__init__(f"File {path!r} not found")
        self.path = path


class ExecutionNotFound(NotFound):
    """No execution has this id, or it is no longer kept."""

    remedy = "Results are kept for a limited time. Run the code again."

    def __init__(self, execution_id: str) -> None:
        super().__init__(f"Execution {execution_id!r} not found, or no longer kept")
        self.execution_id = execution_id


class Conflict(PolyreplError):
    """Base of what the resource's present state does not allow."""

    remedy = "Check the current state of the resource and try again."


class ContextEnded(Conflict):
    """The context, or the kernel that it had, was taken away meanwhile. `reason` completes "The context ...".

    `cell_error`: the name of the error that its cells end with."""

    remedy = "Send the request again. It starts on a fresh kernel."

    def __init__(self, context_id: str, reason: str = "was ended or restarted", *, cell_error: str = "") -> None:
        super().__init__(f"Context {context_id!r} {reason}")
        self.context_id = context_id
        self.reason = reason
        self.cell_error = cell_error or "ContextEnded"


class ContextExists(Conflict):
    """A context with this id already exists."""

    remedy = "Choose another id, or delete that context first."

    def __init__(self, context_id: str) -> None:
        super().__init__(f"Context {context_id!r} already exists")
        self.context_id = context_id


class OtherLimits(Conflict):
    """The context is there, with other limits than those that are asked for."""

    remedy = "Leave `limits` out, or choose another id. A context keeps the limits that it was made with."

    def __init__(self, context_id: str, name: str, asked: float, own: float | None) -> None:
        has = "has no such limit" if own is None else f"has {own:.16g}"
        super().__init__(f"limits.{name} is {asked:.16g}, and context {context_id!r} {has}")


class CannotBranch(Conflict):
    """The state holds what cannot be copied into another process; `obstacles` names all of it."""

    remedy = "End what `obstacles` lists, or send `force` to continue without it."

    def __init__(self, context_id: str, obstacles: Sequence[Obstacle]) -> None:
        named = "; ".join(f"{obstacle.kind} {obstacle.name}" for obstacle in obstacles[:10])
        more = f"; and {len(obstacles) - 10} more" if len(obstacles) > 10 else ""
        super().__init__(f"Context {context_id!r} cannot be branched: {named}{more}")
        self.obstacles = list(obstacles)


class StateLost(Conflict):
    """The state that was to be copied is gone, and no answer has told it yet. `loss`: how and when."""

    remedy = "Run code in the context, or restart it. It begins on a fresh kernel, which can be copied then."

    def __init__(self, context_id: str, loss: str) -> None:
        super().__init__(f"The state of context {context_id!r} is lost and cannot be copied: {loss}")
        self.context_id = context_id
        self.loss = loss


class CheckpointLost(Conflict):
    """The process that held the checkpoint is gone."""

    remedy = "Use another checkpoint, and delete this one."

    def __init__(self, checkpoint: str, reason: str) -> None:
        super().__init__(f"Checkpoint {checkpoint!r} is lost: its process {reason}")


class ContextBusy(Conflict):
    """What was asked for is done between cells, and one runs. `retry_after`: seconds, a hint."""

    remedy = "Wait for the running cell or interrupt it, and try again."

    def __init__(self, context_id: str) -> None:
        super().__init__(f"Context {context_id!r} is busy; try again when its cell has ended, or interrupt it")
        self.retry_after = 1


class VariablesUnavailable(Conflict):
    """The kernel lives, and did not tell its variables."""

    remedy = "Try again. Restart the context if that does not help."

    def __init__(self, context_id: str, reason: str) -> None:
        super().__init__(f"The variables of context {context_id!r} could not be read: {reason}")


class InputNotExpected(Conflict):
    """The execution is not waiting for input."""

    remedy = "Answer each input_request event once, while the code waits."

    def __init__(self, execution_id: str, status: str) -> None:
        super().__init__(f"Execution {execution_id!r} is not waiting for input (status: {status})")


class FileConflict(Conflict):
    """What is at a path is not what the call needs. `problem` completes "'path' ..."."""

    remedy = "Choose another path, or delete what is there."

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path!r} {problem}")
        self.path = path


class FilesUnavailable(Conflict):
    """The file system below the context's directory did not answer within `seconds`, or work on it hangs already."""

    remedy = "Unmount what the context has mounted, or delete the context."

    def __init__(self, context_id: str, seconds: float) -> None:
        super().__init__(f"The files of context {context_id!r} cannot be reached: no answer in {seconds:g} s")
        self.context_id = context_id


class TooManyFiles(Conflict):
    """The working directory holds more files than are compared around a cell."""

    remedy = "Leave that option out, or delete files of the context."

    def __init__(self, limit: int) -> None:
        super().__init__(f"The working directory has more than {limit} files, too many to list their changes")


class IdempotencyConflict(Conflict):
    """The Idempotency-Key was used before with a different request."""

    remedy = "Use a new Idempotency-Key for another request."

    def __init__(self) -> None:
        super().__init__("Idempotency-Key was used before with a different request")


class ResultGone(PolyreplError):
    """The request of this Idempotency-Key has been carried out, and its result is no longer kept."""

    remedy = "The code has run once. Look at the state of its context. To run it again, use a new Idempotency-Key."

    def __init__(self, execution_id: str) -> None:
        super().__init__(
            f"This Idempotency-Key was used before: execution {execution_id!r}, whose result is no longer kept"
        )
        self.execution_id = execution_id


class StorageFull(PolyreplError):
    """There is no room for a file, or for the directory of a context: `what`. `reason` says why."""

    remedy = "Delete files that are no longer needed."

    def __init__(self, reason: str, *, what: str = "this file") -> None:
        super().__init__(f"No room for {what}: {reason}")
