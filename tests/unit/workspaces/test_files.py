"""The files of contexts: paths that lead nowhere else, writes that are whole or nothing, and quotas."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.errors import (
    ContextEnded,
    FileConflict,
    FileMissing,
    FileTooLarge,
    Forbidden,
    InvalidRequest,
    StorageFull,
)
from engine.workspaces.directories import split
from engine.workspaces.files import FileLimits, LocalFiles
from engine.workspaces.run_directory import RunDir
from engine.workspaces.workspace import Workspace

pytestmark = pytest.mark.anyio
LIMITS = FileLimits(file_bytes=1000, files=10, bytes=2000)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return RunDir(tmp_path / "run").new_workspace("c")


@pytest.fixture
def files(workspace: Workspace) -> LocalFiles:
    return LocalFiles("c", workspace, LIMITS)


async def parts(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def content(files: LocalFiles, path: str, start: int = 0, end: int | None = None) -> bytes:
    file = await files.read(path)
    try:
        return b"".join([chunk async for chunk in file.chunks(start, end)])
    finally:
        await file.aclose()


async def paths(files: LocalFiles, path: str = "", **options) -> list[str]:
    return [each.path for each in (await files.list(path, **options)).items]


def left_over(workspace: Workspace) -> list[str]:
    return [path.name for path in workspace.root.rglob("*.part")]


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "names"),
        [
            ("a", ("a",)),
            ("a/b.txt", ("a", "b.txt")),
            ("./a//b/.", ("a", "b")),
            ("", ()),
            (".", ()),
            ("é/日本", ("é", "日本")),
            ("..a/b..", ("..a", "b..")),
            (" ", (" ",)),
        ],
    )
    def test_a_path_is_its_names(self, path: str, names: tuple[str, ...]):
        assert split(path) == names

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/etc/passwd",
            "..",
            "a/../b",
            "a/..",
            "../a",
            "a\0b",
            "x" * 256,
            "a/" * 65 + "b",
            "/".join(["x" * 200] * 30),
            "\udc80",
        ],
    )
    async def test_a_path_that_leads_out_or_is_none_is_refused_by_every_call(self, files: LocalFiles, path: str):
        for call in (files.list(path), files.read(path), files.write(path, parts(b"x")), files.delete(path)):
            with pytest.raises(InvalidRequest) as raised:
                await call
            assert raised.value.errors[0].field == "path"

    @pytest.mark.parametrize("path", ["", ".", "a/", "./"])
    async def test_where_a_file_is_meant_the_directory_itself_is_refused(self, files: LocalFiles, path: str):
        for call in (files.read(path), files.write(path, parts(b"x")), files.delete(path, recursive=True)):
            with pytest.raises(InvalidRequest):
                await call


class TestReadingAndWriting:
    async def test_what_is_written_is_read_and_its_directories_are_made(self, files: LocalFiles, workspace: Workspace):
        info, is_new = await files.write("a/b/c.bin", parts(b"\0\xff", b"", b"end"))
        assert (info.path, info.type, info.size, is_new) == ("a/b/c.bin", "file", 5, True)
        assert await content(files, "a/b/c.bin") == b"\0\xffend"
        assert (workspace.cwd / "a/b/c.bin").read_bytes() == b"\0\xffend"
        assert left_over(workspace) == []

    async def test_a_part_of_a_file_is_read(self, files: LocalFiles):
        await files.write("a", parts(b"0123456789"))
        assert await content(files, "a", 2, 5) == b"234"
        assert await content(files, "a", 8, 500) == b"89"
        assert await content(files, "a", 10) == b""

    async def test_an_empty_file_is_a_file(self, files: LocalFiles):
        await files.write("empty", parts())
        assert await content(files, "empty") == b""

    async def test_a_file_is_replaced_while_a_reader_keeps_the_one_it_opened(self, files: LocalFiles):
        await files.write("a", parts(b"old"))
        reader = await files.read("a")
        info, is_new = await files.write("a", parts(b"newer"))
        assert (info.size, is_new) == (5, False)
        assert b"".join([chunk async for chunk in reader.chunks()]) == b"old"
        await reader.aclose()
        assert await content(files, "a") == b"newer"

    async def test_an_etag_changes_with_the_content(self, files: LocalFiles):
        tags = set()
        for text in (b"one", b"two", b"one"):
            await files.write("a", parts(text))
            file = await files.read("a")
            tags.add(file.etag)
            await file.aclose()
        assert len(tags) == 3

    async def test_a_file_that_becomes_shorter_while_it_is_read_ends_early(
        self, files: LocalFiles, workspace: Workspace
    ):
        await files.write("a", parts(b"0123456789"))
        file = await files.read("a")
        os.truncate(workspace.cwd / "a", 4)
        assert b"".join([chunk async for chunk in file.chunks()]) == b"0123"
        await file.aclose()
        await file.aclose()

    async def test_what_is_not_there_is_missing(self, files: LocalFiles):
        for call in (files.read("a"), files.read("a/b"), files.delete("a"), files.list("a")):
            with pytest.raises(FileMissing):
                await call

    async def test_a_file_is_no_directory_and_a_directory_no_file(self, files: LocalFiles):
        await files.write("d/a", parts(b"x"))
        calls = (
            files.read("d"),
            files.write("d", parts(b"x")),
            files.read("d/a/b"),
            files.write("d/a/b", parts(b"x")),
            files.list("d/a"),
        )
        for call in calls:
            with pytest.raises(FileConflict):
                await call

    async def test_an_upload_that_breaks_off_leaves_what_was_there(self, files: LocalFiles, workspace: Workspace):
        async def broken() -> AsyncIterator[bytes]:
            yield b"half"
            raise ConnectionError

        await files.write("a", parts(b"old"))
        with pytest.raises(ConnectionError):
            await files.write("a", broken())
        assert await content(files, "a") == b"old"
        with pytest.raises(ConnectionError):
            await files.write("new/b", broken())
        assert await paths(files) == ["a"]
        assert left_over(workspace) == []

    async def test_an_upload_whose_caller_is_cancelled_leaves_nothing(self, files: LocalFiles, workspace: Workspace):
        reached = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield b"half"
            reached.set()
            await asyncio.Event().wait()

        upload = asyncio.create_task(files.write("a", endless()))
        await reached.wait()
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
        assert left_over(workspace) == []
        assert await paths(files) == []

    async def test_two_uploads_to_one_path_leave_one_of_them_whole(self, files: LocalFiles):
        await asyncio.gather(*(files.write("a", parts(*[letter] * 90)) for letter in (b"x", b"y")))
        assert await content(files, "a") in (b"x" * 90, b"y" * 90)

    async def test_no_descriptor_is_left_open(self, files: LocalFiles):
        await files.write("d/a", parts(b"x"))
        before = len(os.listdir("/proc/self/fd"))
        await files.write("d/b", parts(b"x"))
        await files.list(recursive=True)
        await content(files, "d/a")
        for call in (files.read("no"), files.read("d"), files.write("d", parts(b"")), files.delete("d")):
            with pytest.raises((FileMissing, FileConflict)):
                await call
        await files.delete("d", recursive=True)
        assert len(os.listdir("/proc/self/fd")) == before

    async def test_a_context_that_has_ended_has_no_files(self, files: LocalFiles, workspace: Workspace):
        workspace.root.rmdir()
        for call in (files.list(), files.write("a", parts(b"x")), files.read("a"), files.delete("a")):
            with pytest.raises(ContextEnded):
                await call
        assert not workspace.root.exists()

    async def test_a_context_that_ends_during_an_upload_is_not_made_anew(self, files: LocalFiles, workspace: Workspace):
        async def ending() -> AsyncIterator[bytes]:
            yield b"x"
            RunDir.remove(None, workspace.root)  # type: ignore[arg-type]

        with pytest.raises(ContextEnded):
            await files.write("a", ending())
        assert not workspace.root.exists()


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

    async def test_a_link_that_comes_and_goes_leads_nowhere(
        self, files: LocalFiles, workspace: Workspace, outside: Path
    ):
        """Code of the context swaps a directory and a link while files are read, written and deleted through that name."""
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


class TestListing:
    async def test_a_listing_is_sorted_and_tells_what_is_there(self, files: LocalFiles):
        for path in ("b", "a.txt", "a/z", "a/b/c", "A"):
            await files.write(path, parts(b"xy"))
        assert await paths(files) == ["A", "a", "a.txt", "b"]
        assert await paths(files, "a") == ["a/b", "a/z"]
        assert await paths(files, recursive=True) == ["A", "a", "a/b", "a/b/c", "a/z", "a.txt", "b"]
        first = (await files.list()).items[0]
        assert (first.type, first.size) == ("file", 2)
        assert first.modified.endswith("+00:00")

    @pytest.mark.parametrize("directory", ["", "a"])
    @pytest.mark.parametrize("recursive", [True, False])
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
    async def test_pages_add_up_to_the_whole(
        self, files: LocalFiles, workspace: Workspace, directory: str, recursive: bool, limit: int
    ):
        for path in ("b", "a.txt", "a/z", "a/b/c", "a/b/d", "a/a", "a0", "c/d/e/f"):
            (workspace.cwd / path).parent.mkdir(parents=True, exist_ok=True)
            (workspace.cwd / path).touch()
        whole = await paths(files, directory, recursive=recursive)
        found: list[str] = []
        while True:
            page = await files.list(directory, recursive=recursive, limit=limit, after=found[-1] if found else "")
            assert len(page.items) <= limit
            found += [each.path for each in page.items]
            if not page.truncated:
                break
        assert found == whole

    async def test_a_page_goes_on_where_the_last_path_was_deleted(self, files: LocalFiles):
        for path in ("a", "b/x", "c"):
            await files.write(path, parts(b""))
        await files.delete("b", recursive=True)
        assert await paths(files, recursive=True, after="b/x") == ["c"]
        assert await paths(files, recursive=True, after="b/x/y") == ["c"]

    async def test_names_that_are_no_text_are_left_out(self, files: LocalFiles, workspace: Workspace):
        workspace.prepare()
        (Path(os.fsdecode(os.fsencode(workspace.cwd) + b"/\xff"))).touch()
        await files.write("a", parts(b""))
        assert await paths(files, recursive=True) == ["a"]


class TestDeleting:
    async def test_a_directory_goes_with_all_in_it_only_where_that_is_asked_for(self, files: LocalFiles):
        await files.write("d/e/a", parts(b"x"))
        with pytest.raises(FileConflict, match="not empty"):
            await files.delete("d")
        await files.delete("d/e/a")
        await files.delete("d/e")  # is empty
        await files.write("d/e/a", parts(b"x"))
        await files.delete("d", recursive=True)
        assert await paths(files) == []


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

    async def test_the_number_of_files_is_limited(self, files: LocalFiles, workspace: Workspace):
        for number in range(10):
            await files.write(str(number), parts(b""))
        with pytest.raises(StorageFull, match="10 files"):
            await files.write("one-more", parts(b""))

    async def test_in_a_directory_of_the_users_only_single_files_are_bounded(self, tmp_path: Path):
        (tmp_path / "theirs").mkdir()
        (tmp_path / "theirs/data").write_bytes(b"x" * 5000)
        (tmp_path / "link").symlink_to(tmp_path / "theirs")
        workspace = RunDir(tmp_path / "run").new_workspace("c", tmp_path / "link")
        files = LocalFiles("c", workspace, LIMITS)
        await files.write("new/a", parts(b"x"))
        assert await paths(files, recursive=True) == ["data", "new", "new/a"]
        with pytest.raises(FileTooLarge):
            await files.write("b", parts(b"x" * 1001))
        assert await paths(files) == ["data", "new"]
