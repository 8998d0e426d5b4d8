"""The one tree of errors. `api/http/errors.py` turns it into HTTP; nothing else does.

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
│   ├── OtherLimits
│   ├── CannotBranch          `obstacles` names what cannot be copied
│   ├── StateLost             there is nothing to copy
│   ├── CheckpointLost
│   ├── ContextBusy           try again later (`retry_after`, seconds)
│   ├── VariablesUnavailable
│   ├── InputNotExpected
│   ├── FileConflict          something else is at that path
│   ├── FilesUnavailable      their file system does not answer
│   ├── TooManyFiles          to compare them around a cell
│   └── IdempotencyConflict
├── ResultGone                the code has run, and its result is no longer kept
├── RequestTooLarge
│   └── FileTooLarge
├── RangeNotSatisfiable       the part of a file that was asked for is not there
├── StorageFull               a context's files, or the disk
├── NotSupported              the kernel of this language cannot do it
├── Overloaded                try again later (`retry_after`, seconds)
│   ├── QueueFull
│   ├── TooManyBytes
│   ├── TooManyContexts
│   ├── TooManyRequests
│   ├── KernelsBusy
│   ├── TooManyCheckpoints
│   ├── TooManyInstallations
│   ├── MemoryShort
│   └── TooManyOpenFiles
├── ShuttingDown
├── KernelError
│   ├── KernelStartFailed
│   ├── KernelDied
│   │   └── LimitExceeded
│   └── KernelTimeout
├── BadNotebook               it cannot be served as an API
└── MessageError              a kernel sent what is not a Jupyter message
"""

from engine.errors.base import FieldError, PolyreplError, shorten
from engine.errors.kernels import (
    BadNotebook,
    KernelDied,
    KernelError,
    KernelStartFailed,
    KernelTimeout,
    LimitExceeded,
    MessageError,
)
from engine.errors.limits import (
    KernelsBusy,
    MemoryShort,
    Overloaded,
    QueueFull,
    ShuttingDown,
    TooManyBytes,
    TooManyCheckpoints,
    TooManyContexts,
    TooManyInstallations,
    TooManyOpenFiles,
    TooManyRequests,
)
from engine.errors.requests import (
    MAX_ERRORS,
    FileTooLarge,
    Forbidden,
    InvalidRequest,
    NotSupported,
    RangeNotSatisfiable,
    RequestTooLarge,
    Unauthorized,
    UnknownLanguage,
)
from engine.errors.resources import (
    CannotBranch,
    CheckpointLost,
    CheckpointNotFound,
    Conflict,
    ContextBusy,
    ContextEnded,
    ContextExists,
    ContextNotFound,
    ExecutionNotFound,
    FileConflict,
    FileMissing,
    FilesUnavailable,
    IdempotencyConflict,
    InputNotExpected,
    NotFound,
    OtherLimits,
    ResultGone,
    StateLost,
    StorageFull,
    TooManyFiles,
    VariablesUnavailable,
)

__all__ = [
    "MAX_ERRORS",
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
    "FieldError",
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
    "PolyreplError",
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
    "shorten",
]
