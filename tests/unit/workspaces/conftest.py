"""A directory of a context, and its files."""

from __future__ import annotations

import pytest

from engine.workspaces.local_files import LocalFiles
from engine.workspaces.run_directory import RunDir
from engine.workspaces.usage import FileLimits
from engine.workspaces.workspace import Workspace

LIMITS = FileLimits(file_bytes=1000, files=10, bytes=2000)


@pytest.fixture
def workspace(run_dir: RunDir) -> Workspace:
    made = run_dir.new_workspace("c")
    made.prepare()
    return made


@pytest.fixture
def files(workspace: Workspace) -> LocalFiles:
    return LocalFiles("c", workspace, LIMITS)
