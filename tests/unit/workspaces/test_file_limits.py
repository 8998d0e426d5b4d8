"""Quotas of contexts' files, and directories that are taken away or do not answer while files are reached."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import FilesUnavailable, FileTooLarge, StorageFull
from engine.workspaces.directories import walk
from engine.workspaces.local_files import LocalFiles
from engine.workspaces.places import Place
from engine.workspaces.run_directory import RunDir
from engine.workspaces.workspace import Workspace
from tests.harness.waiting import until
from tests.unit.workspaces.conftest import LIMITS
from tests.unit.workspaces.test_files import left_over, parts, paths

pytestmark = pytest.mark.anyio


class TestQuotas:
    async def test_a_file_beyond_its_limit_is_refused(self, files: LocalFiles, workspace: Workspace):
        await files.write("a", parts(b"x" * 1000))
        with pytest.raises(FileTooLarge):
            await files.write("b", parts(b"x" * 600, b"x" * 401))
        assert await paths(files) == ["a"]
        assert left_over(workspace) == []

    async def test_files_together_have_a_limit_that_a_replacement_does_not_count_twice(self, files: LocalFiles):
        await files.write("a", parts(b"x" * 1000))
        await files.write("b", parts(b"x" * 900))
        with pytest.raises(StorageFull):
            await files.write("c", parts(b"x" * 101))
        await files.write("a", parts(b"y" * 1000))
        await files.write("c", parts(b"x" * 100))

    async def test_files_of_code_count_too(self, files: LocalFiles, workspace: Workspace):
        workspace.prepare()
        (workspace.cwd / "own").write_bytes(b"x" * 1950)
        with pytest.raises(StorageFull):
            await files.write("a", parts(b"x" * 51))

    async def test_uploads_that_come_together_do_not_pass_the_quota_together(self, files: LocalFiles):
        started: list[bytes] = []

        async def together(content: bytes) -> AsyncIterator[bytes]:
            started.append(content)
            await until(lambda: len(started) == 10)
            yield content

        uploads = (files.write(str(number), together(b"x" * 500)) for number in range(10))
        outcomes = [type(each) for each in await asyncio.gather(*uploads, return_exceptions=True)]
        assert (outcomes.count(tuple), outcomes.count(StorageFull)) == (4, 6)
        assert len(await paths(files)) == 4
        for path in await paths(files):
            await files.delete(path)
        await files.write("later", parts(b"x" * 1000))  # what they had reserved is free again

    async def test_a_large_directory_is_not_counted_for_each_upload(
        self, files: LocalFiles, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
    ):
        counts = []

        def slow_walk(directory: int) -> Any:
            counts.append(directory)
            return walk(directory)

        monkeypatch.setattr("engine.workspaces.usage.walk", slow_walk)
        monkeypatch.setattr("engine.workspaces.usage._CHEAP", 0)
        monkeypatch.setattr("engine.workspaces.usage._SHARE", 1e12)
        for number in range(3):
            await files.write(str(number), parts(b"x" * 600))
        assert len(counts) == 1
        with pytest.raises(StorageFull):
            await files.write("more", parts(b"x" * 600))
        assert len(counts) == 2
        (workspace.cwd / "0").unlink()  # by code, of which nothing is said
        await files.write("more", parts(b"x" * 600))
        assert len(counts) == 3

    async def test_the_number_of_files_is_limited(self, files: LocalFiles, workspace: Workspace):
        for number in range(10):
            await files.write(str(number), parts(b""))
        with pytest.raises(StorageFull, match="10 files"):
            await files.write("one-more", parts(b""))

    async def test_in_a_directory_of_the_users_only_single_files_are_bounded(self, tmp_path: Path, run_dir: RunDir):
        (tmp_path / "theirs").mkdir()
        (tmp_path / "theirs/data").write_bytes(b"x" * 5000)
        (tmp_path / "link").symlink_to(tmp_path / "theirs")
        workspace = run_dir.new_workspace("c", await run_dir.named(str(tmp_path / "link"), [tmp_path]))
        files = LocalFiles("c", workspace, LIMITS)
        await files.write("new/a", parts(b"x"))
        assert await paths(files, recursive=True) == ["data", "new", "new/a"]
        with pytest.raises(FileTooLarge):
            await files.write("b", parts(b"x" * 1001))
        assert await paths(files) == ["data", "new"]


class TestDirectoriesThatAreTakenAway:
    async def test_a_working_directory_that_was_removed_is_made_again(self, files: LocalFiles, workspace: Workspace):
        workspace.cwd.rmdir()
        await files.write("a", parts(b"x"))
        assert (workspace.cwd / "a").exists()

    async def test_a_context_whose_directories_were_all_removed_goes_on(
        self, files: LocalFiles, workspace: Workspace, run_dir: RunDir
    ):
        shutil.rmtree(run_dir.contexts)
        await files.write("a", parts(b"x"))
        workspace.prepare()
        assert (workspace.cwd / "a").exists()
        assert workspace.tmp.is_dir()

    async def test_another_directory_in_the_place_of_the_contexts_own_is_not_used(
        self, files: LocalFiles, workspace: Workspace, tmp_path: Path
    ):
        (tmp_path / "outside/work").mkdir(parents=True)
        workspace.root.rename(tmp_path / "moved")
        workspace.root.symlink_to(tmp_path / "outside")
        await files.write("a", parts(b"x"))
        assert os.listdir(tmp_path / "outside/work") == []
        assert (tmp_path / "moved/work/a").exists()

    async def test_files_whose_file_system_hangs_are_refused(
        self, files: LocalFiles, workspace: Workspace, run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("engine.workspaces.local_files.STEP_SECONDS", 0.05)
        gate = threading.Event()
        real = Place.opened

        def hang(place: Place, **options: bool) -> Any:
            if place.anchor is workspace.anchor:
                gate.wait(60)
            return real(place, **options)

        monkeypatch.setattr(Place, "opened", hang)
        for call in (files.list(), files.read("a"), files.write("a", parts(b"x")), files.delete("a")):
            with pytest.raises(FilesUnavailable):
                await call
        other = run_dir.new_workspace("other")
        monkeypatch.setattr("engine.workspaces.local_files.STEP_SECONDS", 60.0)
        await LocalFiles("other", other, LIMITS).write("a", parts(b"x"))
        gate.set()
        await until(lambda: run_dir.disk.stuck == 0)
