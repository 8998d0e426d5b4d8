"""Workspaces: what is known of a context's directories, and goes with copies of them."""

from __future__ import annotations

import os
from pathlib import Path

from engine.workspaces import Workspace, copy_workspace, replace_files


def mark(workspace: Workspace) -> None:
    workspace.packages.mkdir()
    (workspace.packages / "replaces").touch()


def copied(source: Workspace, name: str) -> Workspace:
    target = source.within("copies", name)
    copy_workspace(source, target, max_bytes=1000, timeout=30)
    return target


def test_that_packages_replace_those_of_the_interpreter_goes_with_a_copy_and_comes_back(workspace: Workspace):
    without = copied(workspace, "before")
    mark(workspace)
    having = copied(workspace, "after")
    assert [each.replaces_packages for each in (without, having, workspace)] == [False, True, True]
    replace_files(workspace, copied(without, "first"))
    assert not workspace.replaces_packages
    replace_files(workspace, copied(having, "second"))
    assert workspace.replaces_packages


def test_a_link_in_the_place_of_the_packages_is_not_followed(workspace: Workspace, tmp_path: Path):
    (tmp_path / "replaces").touch()
    os.symlink(tmp_path, workspace.packages)
    assert not workspace.replaces_packages


def test_after_the_end_nothing_is_known_of_packages(workspace: Workspace):
    mark(workspace)
    workspace.close()
    assert not workspace.replaces_packages
