"""The values that leave the engine: events, items and results. Absent fields are omitted, never null."""

from engine.models.assistance import Completeness, Completion, Completions, Inspection
from engine.models.bounds import Count, Name, Names
from engine.models.contexts import BranchInfo, CheckpointInfo, ContextInfo, LanguageInfo, Obstacle
from engine.models.diagnostics import Diagnostic
from engine.models.encoding import encode
from engine.models.events import (
    AnyEvent,
    Cleared,
    Done,
    Event,
    Failed,
    Gap,
    InputRequest,
    ItemAdded,
    ItemUpdated,
    Started,
    Stderr,
    Stdout,
)
from engine.models.files import FileChange, FileInfo, FileList, Files
from engine.models.items import Item, stored, to_builtins
from engine.models.packages import (
    InstallationError,
    InstallationResult,
    InstallationStatus,
    Installed,
    Installing,
    PackageInfo,
)
from engine.models.results import TERMINAL, ContextState, ErrorInfo, Logs, Result, Status, Truncation
from engine.models.variables import Variable, VariableChanges, VariableList

__all__ = [
    "TERMINAL",
    "AnyEvent",
    "BranchInfo",
    "CheckpointInfo",
    "Cleared",
    "Completeness",
    "Completion",
    "Completions",
    "ContextInfo",
    "ContextState",
    "Count",
    "Diagnostic",
    "Done",
    "ErrorInfo",
    "Event",
    "Failed",
    "FileChange",
    "FileInfo",
    "FileList",
    "Files",
    "Gap",
    "InputRequest",
    "Inspection",
    "InstallationError",
    "InstallationResult",
    "InstallationStatus",
    "Installed",
    "Installing",
    "Item",
    "ItemAdded",
    "ItemUpdated",
    "LanguageInfo",
    "Logs",
    "Name",
    "Names",
    "Obstacle",
    "PackageInfo",
    "Result",
    "Started",
    "Status",
    "Stderr",
    "Stdout",
    "Truncation",
    "Variable",
    "VariableChanges",
    "VariableList",
    "encode",
    "stored",
    "to_builtins",
]
