"""Compiled code in the cache of a context: written into its own directories, and nothing in its way keeps a kernel from its start."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpec

from engine.errors import KernelStartFailed
from engine.kernels.compiled import Code, CompiledCode, _read, cache_of
from engine.kernels.kernel import Kernel
from engine.languages import Language
from engine.workspaces import RunDir, Workspace

pytestmark = pytest.mark.anyio

SPEC = KernelSpec(display_name="test", resource_dir="here")
LANGUAGE: Language = None  # type: ignore[assignment]  # named in logs alone
CODE = {"one": b"1", "below/two": b"2"}


class Nobody:
    """Starts no kernel."""

    async def start_program(self, spec: KernelSpec, language: Language, workspace: Workspace) -> Kernel:
        raise KernelStartFailed("test", "no kernel")


@pytest.fixture
def workspace(run_dir: RunDir) -> Workspace:
    made = run_dir.new_workspace("c")
    made.prepare()
    return made


async def prepare(run_dir: RunDir, workspace: Workspace) -> None:
    """Have the code written, which was made before."""

    async def make() -> Code:
        return CODE

    compiled = CompiledCode(Nobody(), run_dir)
    compiled._making[SPEC.resource_dir] = asyncio.create_task(make())
    await compiled.prepare(SPEC, LANGUAGE, workspace, patient=True)


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def test_the_code_is_in_the_cache_before_a_kernel_starts(run_dir: RunDir, workspace: Workspace):
    await prepare(run_dir, workspace)
    assert files(cache_of(workspace)) == CODE


async def test_what_a_context_has_in_its_cache_stays(run_dir: RunDir, workspace: Workspace):
    cache_of(workspace).mkdir()
    (cache_of(workspace) / "one").write_bytes(b"own")
    await prepare(run_dir, workspace)
    assert files(cache_of(workspace)) == {"one": b"own"}


@pytest.mark.parametrize("kind", ["link", "pipe", "nothing"])
async def test_something_else_in_the_place_of_its_directory_is_left_alone(
    run_dir: RunDir, workspace: Workspace, tmp_path: Path, kind: str
):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    workspace.state.rmdir()
    if kind == "link":
        os.symlink(elsewhere, workspace.state)
    elif kind == "pipe":
        os.mkfifo(workspace.state)
    await prepare(run_dir, workspace)
    assert files(elsewhere) == {}
    assert not cache_of(workspace).exists()


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), ValueError("broken")])
async def test_after_a_failure_a_later_start_tries_again(
    run_dir: RunDir, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    compiled = CompiledCode(Nobody(), run_dir)
    language = Language("test", "test")

    def refuse(_: str) -> Workspace:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(run_dir, "new_workspace", refuse)
        await compiled.prepare(SPEC, language, workspace, patient=True)
    assert not cache_of(workspace).exists()

    async def compile_(*_: object) -> Code:
        return CODE

    monkeypatch.setattr(compiled, "_compile", compile_)
    await compiled.prepare(SPEC, language, workspace, patient=True)
    assert files(cache_of(workspace)) == CODE


def test_small_files_are_not_kept(tmp_path: Path):
    (tmp_path / "version").mkdir()
    (tmp_path / "version" / "large").write_bytes(b"l" * 50_000)
    (tmp_path / "version" / "small").write_bytes(b"s" * 5_000)
    assert _read(tmp_path) == {"version/large": b"l" * 50_000}
