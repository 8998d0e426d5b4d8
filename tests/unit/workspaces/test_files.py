"""The files of contexts: paths that lead nowhere else, writes that are whole or nothing, and quotas."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import (
    ContextEnded,
    FileConflict,
    FileMissing,
    InvalidRequest,
)
from engine.workspaces.directories import split
from engine.workspaces.files import modified
from engine.workspaces.local_files import LocalFiles
from engine.workspaces.places import Place
from engine.workspaces.removal import remove_tree
from engine.workspaces.workspace import Workspace
from tests.harness.waiting import until_elsewhere
from tests.unit.workspaces.conftest import LIMITS

pytestmark = pytest.mark.anyio


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


class TestCancelling:
    @pytest.mark.parametrize("action", ["read", "write"])
    async def test_what_is_opened_for_a_caller_that_has_gone_is_closed(
        self, workspace: Workspace, action: str, monkeypatch: pytest.MonkeyPatch
    ):
        await LocalFiles("c", workspace, LIMITS).write("file", parts(b"text"))
        is_asked, may_go_on = threading.Event(), threading.Event()
        real = Place.opened

        def slowly(place: Place, **options: bool) -> Any:
            is_asked.set()
            may_go_on.wait(10)
            return real(place, **options)

        monkeypatch.setattr(Place, "opened", slowly)
        files = LocalFiles("c", workspace, LIMITS)
        gc.collect()  # what other tests have left is closed now
        before = os.listdir("/proc/self/fd")
        working = asyncio.create_task(files.read("file") if action == "read" else files.write("file", parts(b"new")))
        await asyncio.to_thread(is_asked.wait, 10)
        working.cancel()
        await asyncio.wait({working})
        may_go_on.set()
        await until_elsewhere(lambda: (os.listdir("/proc/self/fd"), left_over(workspace)) == (before, []))
        assert working.cancelled()


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
        workspace.close()
        remove_tree(workspace.root, seconds=10)
        for call in (files.list(), files.write("a", parts(b"x")), files.read("a"), files.delete("a")):
            with pytest.raises(ContextEnded):
                await call
        assert not workspace.root.exists()

    async def test_a_context_that_ends_during_an_upload_is_not_made_anew(self, files: LocalFiles, workspace: Workspace):
        async def ending() -> AsyncIterator[bytes]:
            yield b"x"
            workspace.close()
            remove_tree(workspace.root, seconds=10)

        with pytest.raises(ContextEnded):
            await files.write("a", ending())
        assert not workspace.root.exists()


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
    @pytest.mark.parametrize("limit", [1, 3, 100])
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

    @pytest.mark.parametrize(("seconds", "year"), [(1e12, "9999"), (1e19, "9999"), (-1e11, "0001"), (0, "1970")])
    def test_a_time_that_no_date_can_express_is_the_nearest(self, seconds: float, year: str):
        assert modified(seconds).startswith(year)

    async def test_a_directory_with_too_many_names_is_refused(
        self, files: LocalFiles, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("engine.workspaces.directories.MAX_SCANNED", 3)
        for path in ("a/1", "a/2", "b"):
            (workspace.cwd / path).parent.mkdir(exist_ok=True)
            (workspace.cwd / path).touch()
        assert await paths(files, "a") == ["a/1", "a/2"]
        with pytest.raises(FileConflict, match="more than 3 entries"):
            await files.list(recursive=True)

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
