"""What a caller can do about each error of `engine.errors`: pure. Answers carry it beside the message, clients show it."""

from __future__ import annotations

from engine import errors
from engine.errors import PolyreplError

# An error without a line of its own has that of its nearest base.
_REMEDIES: dict[type[PolyreplError], str] = {
    errors.InvalidRequest: "Correct what `errors` names, and send the request again.",
    errors.UnknownLanguage: "Use a language that the message lists; GET /languages tells why others are not available.",
    errors.Unauthorized: "Send the server's token: `Authorization: Bearer <token>`.",
    errors.Forbidden: "The server's settings refuse this; its operator can change them.",
    errors.NotFound: "Check the path and the id in it.",
    errors.ContextNotFound: "Running code with this context_id makes it anew; what it held is gone.",
    errors.CheckpointNotFound: "List the context's checkpoints; they end with it.",
    errors.FileMissing: "List the context's files; paths are relative to its working directory.",
    errors.ExecutionNotFound: "Results are kept for a while only; run the code again.",
    errors.Conflict: "Look at the present state of what was asked for, and try again.",
    errors.ContextEnded: "Send the request again; it begins on a fresh kernel.",
    errors.ContextExists: "Choose another id, or delete that context first.",
    errors.CannotBranch: "End what `obstacles` names, or send `force` to go on without it.",
    errors.CheckpointLost: "Use another checkpoint, and delete this one.",
    errors.ContextBusy: "Wait for the running cell or interrupt it, and try again.",
    errors.VariablesUnavailable: "Try again; restart the context if that does not help.",
    errors.InputNotExpected: "Answer each input_request event once, while the code waits.",
    errors.FileConflict: "Choose another path, or delete what is there.",
    errors.TooManyFiles: "Leave that wish out, or delete files of the context.",
    errors.IdempotencyConflict: "Use a new Idempotency-Key for another request.",
    errors.RequestTooLarge: "Send less at once, or ask the operator for a higher limit.",
    errors.RangeNotSatisfiable: "Ask for a range within the file, or for all of it.",
    errors.StorageFull: "Delete files that are no longer needed.",
    errors.NotSupported: "Use a language whose kernel can do it; the message names the reason.",
    errors.Overloaded: "Wait for the seconds of Retry-After, and try again.",
    errors.TooManyContexts: "Delete contexts that are no longer needed, or try again later.",
    errors.TooManyCheckpoints: "Delete checkpoints that are no longer needed.",
    errors.ShuttingDown: "Try again: the server is about to be replaced.",
    errors.KernelError: "Try again, or restart the context; `polyrepl doctor` tells the operator what kernels lack.",
    errors.BadNotebook: "The operator has to correct the notebook, or the settings it is served with.",
    errors.MessageError: "Restart the context: its kernel does not speak the protocol any more.",
}


def code_of(error: PolyreplError) -> str:
    """The name of an error as programs compare it: that of its class."""
    return type(error).__name__


def remedy(error: PolyreplError) -> str:
    """What the caller can do, in a sentence."""
    return next(_REMEDIES[kind] for kind in type(error).__mro__ if kind in _REMEDIES)
