"""Links and special files in a context's directory: no path leads out of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
from pathlib import Path

import pytest

from engine.errors import (
    FileConflict,
    FileMissing,
    Forbidden,
)
from engine.workspaces.local_files import LocalFiles
from engine.workspaces.usage import FileLimits
from engine.workspaces.workspace import Workspace
from tests.unit.workspaces.test_files import content, parts, paths

pytestmark = pytest.mark.anyio


class TestLinksAndSpecialFiles:
    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside/secret").write_text("secret")
        return tmp_path / "outside"

    async def test_no_link_is_followed_to_read_or_to_list(self, files: LocalFiles, workspace: Workspace, outside: Path):
        workspace.prepare()
        (workspace.cwd / "real").mkdir()
        for name, target in (
            ("dir", outside),
            ("file", outside / "secret"),
            ("up", ".."),
            ("in", "real"),
            ("gone", "no"),
        ):
            (workspace.cwd / name).symlink_to(target)
            for call in (files.read(name), files.read(f"{name}/secret"), files.list(name)):
                with pytest.raises(FileConflict):
                    await call
        assert await paths(files, recursive=True) == ["dir", "file", "gone", "in", "real", "up"]
        assert {each.type for each in (await files.list()).items if each.path != "real"} == {"symlink"}

    async def test_nothing_is_written_or_deleted_through_a_link(
        self, files: LocalFiles, workspace: Workspace, outside: Path
    ):
        workspace.prepare()
        (workspace.cwd / "dir").symlink_to(outside)
        (workspace.cwd / "file").symlink_to(outside / "secret")
        for call in (
            files.write("dir/new", parts(b"x")),
            files.delete("dir/secret"),
            files.write("dir/s/n", parts(b"x")),
        ):
            with pytest.raises(FileConflict):
                await call
        await files.write("file", parts(b"mine"))  # in the place of the link
        assert not (workspace.cwd / "file").is_symlink()
        await files.delete("dir", recursive=True)  # the link, not what it leads to
        assert [path.name for path in outside.iterdir()] == ["secret"]
        assert (outside / "secret").read_text() == "secret"

    async def test_a_directory_with_links_in_it_is_deleted_without_following_them(
        self, files: LocalFiles, workspace: Workspace, outside: Path
    ):
        await files.write("d/a", parts(b"x"))
        (workspace.cwd / "d/link").symlink_to(outside)
        await files.delete("d", recursive=True)
        assert (outside / "secret").exists()

    async def test_a_link_in_the_place_of_the_working_directory_is_not_followed(
        self, files: LocalFiles, workspace: Workspace, outside: Path
    ):
        workspace.prepare()
        workspace.cwd.rmdir()
        workspace.cwd.symlink_to(outside)
        for call in (files.list(), files.read("secret"), files.write("x", parts(b"x")), files.delete("secret")):
            with pytest.raises(FileConflict):
                await call

    async def test_a_link_that_comes_and_goes_leads_nowhere(self, workspace: Workspace, outside: Path):
        """Code of the context swaps a directory and a link while files are read, written and deleted through that name."""
        # What the code removes counts until the next look at the directory, which comes late on a busy machine.
        files = LocalFiles("c", workspace, FileLimits(file_bytes=1000, files=1000, bytes=100_000))
        workspace.prepare()
        (workspace.cwd / "swap").mkdir()
        stop = threading.Event()

        def swap() -> None:
            place = workspace.cwd / "swap"
            while not stop.is_set():
                with contextlib.suppress(OSError):  # a write makes the directory when it is not there
                    shutil.rmtree(place)
                    place.symlink_to(outside)
                with contextlib.suppress(OSError):
                    place.unlink()
                    place.mkdir()

        swapper = threading.Thread(target=swap)
        swapper.start()
        try:
            for number in range(150):
                for call in (
                    content(files, "swap/secret"),
                    files.write("swap/mine", parts(b"x")),
                    files.delete("swap/secret"),
                    paths(files, "swap"),
                ):
                    try:
                        got = await call
                    except (FileMissing, FileConflict):
                        continue
                    assert got != b"secret", number
                    assert got != ["swap/secret"], number
        finally:
            stop.set()
            swapper.join()
        assert [path.name for path in outside.iterdir()] == ["secret"]

    async def test_pipes_and_sockets_are_refused_without_waiting(self, files: LocalFiles, workspace: Workspace):
        workspace.prepare()
        os.mkfifo(workspace.cwd / "pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            here = os.open(workspace.cwd, os.O_RDONLY)
            listener.bind(f"/proc/self/fd/{here}/socket")
            os.close(here)
        assert [each.type for each in (await files.list()).items] == ["other", "other"]
        for name in ("pipe", "socket"):
            for call in (files.read(name), files.write(name, parts(b"x"))):
                with pytest.raises(FileConflict):
                    await call
            await files.delete(name)
        assert await paths(files) == []

    @pytest.mark.skipif(os.getuid() != 0, reason="only root makes devices")
    async def test_devices_are_refused(self, files: LocalFiles, workspace: Workspace):
        workspace.prepare()
        try:
            os.mknod(workspace.cwd / "zero", 0o20666, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("not in this container")
        with pytest.raises(FileConflict):
            await files.read("zero")

    @pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
    async def test_what_may_not_be_read_is_forbidden(self, files: LocalFiles, workspace: Workspace):
        await files.write("a", parts(b"x"))
        (workspace.cwd / "a").chmod(0)
        with pytest.raises(Forbidden):
            await files.read("a")
