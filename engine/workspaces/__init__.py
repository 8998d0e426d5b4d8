"""The directories of contexts: made, copied, walked by descriptor, and watched for changes."""

from engine.workspaces.changes import Watch, watch
from engine.workspaces.copying import Copied, TooMuchToCopy, copy_directory, replace_contents
from engine.workspaces.files import FILE_TYPES, FileLimits, Files, LocalFiles, OpenFile, checked_path, file_error
from engine.workspaces.labels import Labels
from engine.workspaces.run_directory import RunDir
from engine.workspaces.workspace import Workspace

__all__ = [
    "FILE_TYPES",
    "Copied",
    "FileLimits",
    "Files",
    "Labels",
    "LocalFiles",
    "OpenFile",
    "RunDir",
    "TooMuchToCopy",
    "Watch",
    "Workspace",
    "checked_path",
    "copy_directory",
    "file_error",
    "replace_contents",
    "watch",
]
