"""The files of contexts: directories that are made, copied, watched and removed, and reached by descriptor alone, in threads."""

from engine.workspaces.changes import Watch, watch
from engine.workspaces.copying import Copied, TooMuchToCopy, copy_workspace, replace_files
from engine.workspaces.files import FILE_TYPES, Files, OpenFile, checked_path, file_error, modified
from engine.workspaces.labels import Labels
from engine.workspaces.local_files import LocalFiles
from engine.workspaces.places import Anchor, Place
from engine.workspaces.refusals import shortage
from engine.workspaces.removal import remove_tree
from engine.workspaces.run_directory import RunDir
from engine.workspaces.slots import Slot, SlotSource, Spare, Uids, as_owner
from engine.workspaces.threads import Daemons, Disk, Lane, Stuck
from engine.workspaces.usage import FileLimits
from engine.workspaces.workspace import Workspace

__all__ = [
    "FILE_TYPES",
    "Anchor",
    "Copied",
    "Daemons",
    "Disk",
    "FileLimits",
    "Files",
    "Labels",
    "Lane",
    "LocalFiles",
    "OpenFile",
    "Place",
    "RunDir",
    "Slot",
    "SlotSource",
    "Spare",
    "Stuck",
    "TooMuchToCopy",
    "Uids",
    "Watch",
    "Workspace",
    "as_owner",
    "checked_path",
    "copy_workspace",
    "file_error",
    "modified",
    "remove_tree",
    "replace_files",
    "shortage",
    "watch",
]
