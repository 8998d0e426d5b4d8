"""polyrepl: a multi-language REPL execution engine on Jupyter kernels.

    async with Engine(Settings()) as engine:
        execution = await engine.execute("6 * 7", language="python")
        await execution.wait()
        print(execution.result().items[0].text)

A name of this module is loaded when it is used: the command line does not wait for the engine where it does not need it."""

from __future__ import annotations

TYPE_CHECKING = False  # the one of `typing`, whose import takes longer than all of this
if TYPE_CHECKING:
    from typing import Any

    from engine.contexts import Execution
    from engine.core import Engine
    from engine.errors import (
        BadNotebook,
        CannotBranch,
        CheckpointLost,
        CheckpointNotFound,
        Conflict,
        ContextBusy,
        ContextEnded,
        ContextExists,
        ContextNotFound,
        ExecutionNotFound,
        FieldError,
        FileConflict,
        FileMissing,
        FileTooLarge,
        Forbidden,
        IdempotencyConflict,
        InputNotExpected,
        InvalidRequest,
        KernelDied,
        KernelError,
        KernelsBusy,
        KernelStartFailed,
        KernelTimeout,
        MemoryShort,
        MessageError,
        NotFound,
        NotSupported,
        Overloaded,
        PolyreplError,
        QueueFull,
        RangeNotSatisfiable,
        RequestTooLarge,
        ResultGone,
        ShuttingDown,
        StateLost,
        StorageFull,
        TooManyBytes,
        TooManyCheckpoints,
        TooManyContexts,
        TooManyFiles,
        TooManyInstallations,
        TooManyOpenFiles,
        TooManyRequests,
        Unauthorized,
        UnknownLanguage,
        VariablesUnavailable,
    )
    from engine.models import (
        BranchInfo,
        CheckpointInfo,
        Cleared,
        Completeness,
        Completion,
        Completions,
        ContextInfo,
        Diagnostic,
        Done,
        ErrorInfo,
        Event,
        Failed,
        FileChange,
        FileInfo,
        FileList,
        Gap,
        InputRequest,
        Inspection,
        InstallationError,
        InstallationResult,
        Installed,
        Installing,
        Item,
        ItemAdded,
        ItemUpdated,
        LanguageInfo,
        Logs,
        Obstacle,
        PackageInfo,
        Result,
        Started,
        Stderr,
        Stdout,
        Truncation,
        Variable,
        VariableChanges,
        VariableList,
        to_builtins,
    )
    from engine.settings import Settings

# The one place that states the version: the build, the clients and the documents take it from here.
__version__ = "0.1.0"

__all__ = [
    "BadNotebook",
    "BranchInfo",
    "CannotBranch",
    "CheckpointInfo",
    "CheckpointLost",
    "CheckpointNotFound",
    "Cleared",
    "Completeness",
    "Completion",
    "Completions",
    "Conflict",
    "ContextBusy",
    "ContextEnded",
    "ContextExists",
    "ContextInfo",
    "ContextNotFound",
    "Diagnostic",
    "Done",
    "Engine",
    "ErrorInfo",
    "Event",
    "Execution",
    "ExecutionNotFound",
    "Failed",
    "FieldError",
    "FileChange",
    "FileConflict",
    "FileInfo",
    "FileList",
    "FileMissing",
    "FileTooLarge",
    "Forbidden",
    "Gap",
    "IdempotencyConflict",
    "InputNotExpected",
    "InputRequest",
    "Inspection",
    "InstallationError",
    "InstallationResult",
    "Installed",
    "Installing",
    "InvalidRequest",
    "Item",
    "ItemAdded",
    "ItemUpdated",
    "KernelDied",
    "KernelError",
    "KernelStartFailed",
    "KernelTimeout",
    "KernelsBusy",
    "LanguageInfo",
    "Logs",
    "MemoryShort",
    "MessageError",
    "NotFound",
    "NotSupported",
    "Obstacle",
    "Overloaded",
    "PackageInfo",
    "PolyreplError",
    "QueueFull",
    "RangeNotSatisfiable",
    "RequestTooLarge",
    "Result",
    "ResultGone",
    "Settings",
    "ShuttingDown",
    "Started",
    "StateLost",
    "Stderr",
    "Stdout",
    "StorageFull",
    "TooManyBytes",
    "TooManyCheckpoints",
    "TooManyContexts",
    "TooManyFiles",
    "TooManyInstallations",
    "TooManyOpenFiles",
    "TooManyRequests",
    "Truncation",
    "Unauthorized",
    "UnknownLanguage",
    "Variable",
    "VariableChanges",
    "VariableList",
    "VariablesUnavailable",
    "__version__",
    "to_builtins",
]
_MODULES = {"Engine": "engine.core", "Execution": "engine.contexts.execution", "Settings": "engine.settings"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    import importlib

    module = importlib.import_module(_MODULES.get(name, "engine.errors"))
    value = getattr(module if hasattr(module, name) else importlib.import_module("engine.models"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *globals()})
