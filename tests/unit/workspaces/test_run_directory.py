"""The run directory: private, ours alone, short enough for sockets, and gone when its server is."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.workspaces.claims import sweep
from engine.workspaces.run_directory import RunDir


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_in_it_is_private(tmp_path: Path):
    run_dir = RunDir(tmp_path / "base")
    root = run_dir.new_slot().path
    kernel = run_dir.new_kernel_dir()
    for path in (
        tmp_path / "base",
        run_dir.path,
        run_dir.contexts,
        run_dir.kernels,
        root,
        kernel,
    ):
        assert mode(path) == 0o700, path
    run_dir.close()


def test_closing_removes_it_and_may_be_repeated(tmp_path: Path):
    run_dir = RunDir(tmp_path / "base")
    (run_dir.new_slot().path / "file").write_text("x")
    kernels = run_dir.kernels
    run_dir.close()
    run_dir.close()
    assert not kernels.exists()
    assert [path.name for path in (tmp_path / "base").iterdir()] == []


def test_a_base_that_others_may_enter_is_refused(tmp_path: Path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base").chmod(0o755)
    with pytest.raises(PermissionError, match="0700"):
        RunDir(tmp_path / "base")


def test_a_link_in_the_place_of_the_base_is_refused(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "base").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        RunDir(tmp_path / "base")


def test_two_servers_do_not_share_or_remove_each_others_files(tmp_path: Path):
    first, second = RunDir(tmp_path / "base"), RunDir(tmp_path / "base")
    assert first.path != second.path
    assert first.path.is_dir()
    second.close()
    assert first.path.is_dir()
    first.close()


def test_what_a_killed_server_left_is_removed_by_the_next(tmp_path: Path):
    code = "import os, sys; from pathlib import Path; from engine.workspaces.run_directory import RunDir; RunDir(Path(sys.argv[1])); os._exit(9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "base")], timeout=60, check=False)
    (stale,) = (tmp_path / "base").glob("s-*")
    run_dir = RunDir(tmp_path / "base")
    assert not stale.exists()
    run_dir.close()


def test_a_killed_servers_sockets_elsewhere_are_removed_by_the_next(tmp_path: Path):
    base = tmp_path / ("long" * 30)
    code = (
        "import os, sys; from pathlib import Path; from engine.workspaces.run_directory import RunDir\n"
        "r = RunDir(Path(sys.argv[1])); print(r.kernels, flush=True); os._exit(9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(base)], timeout=60, check=False, capture_output=True, text=True
    )
    kernels = Path(done.stdout.strip())
    assert not kernels.is_relative_to(base)
    run_dir = RunDir(base)
    left = kernels.exists()
    run_dir.close()
    if left:
        kernels.rmdir()
    assert not left


class TestServersThatStartTogether:
    """Each has a directory of its own with its own lock, whatever the other one does between its steps."""

    @staticmethod
    def check(run_dir: RunDir) -> None:
        """It is there, whole, and its lock is held: another server leaves it alone."""
        RunDir(run_dir.path.parent).close()
        assert run_dir.contexts.is_dir()
        assert run_dir.new_kernel_dir().is_dir()
        with (run_dir.path / "lock").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @pytest.mark.parametrize("step", ["mkdtemp", "open", "flock"])
    def test_another_server_may_start_and_sweep_after_any_step(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ):
        base = tmp_path / "base"
        others: list[RunDir] = []
        module, name = {"mkdtemp": (tempfile, "mkdtemp"), "open": (os, "open"), "flock": (fcntl, "flock")}[step]
        real = getattr(module, name)

        def then_another_starts(*args: Any, **options: Any) -> Any:
            done = real(*args, **options)
            if not others:
                others.append(None)  # type: ignore[arg-type]  # for the time of its own steps
                others[0] = RunDir(base)
            return done

        monkeypatch.setattr(module, name, then_another_starts)
        run_dir = RunDir(base)
        monkeypatch.undo()
        self.check(run_dir)
        self.check(others[0])
        run_dir.close()
        others[0].close()
        assert [path.name for path in base.iterdir()] == []

    def test_another_server_may_hold_the_new_lock_for_a_moment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """It takes the lock of what seems to be left behind, and removes that only later."""
        held: list[tuple[Path, int]] = []
        real = fcntl.flock

        def flock(fd: int, operation: int) -> None:
            if not held:
                path = Path(os.readlink(f"/proc/self/fd/{fd}"))
                other = os.open(path, os.O_RDWR)
                real(other, operation)
                held.append((path.parent, other))
            real(fd, operation)

        monkeypatch.setattr(fcntl, "flock", flock)
        run_dir = RunDir(tmp_path / "base")
        monkeypatch.undo()
        path, other = held[0]
        assert run_dir.path != path
        shutil.rmtree(path)
        os.close(other)
        self.check(run_dir)
        run_dir.close()

    def test_many_real_ones_all_start_with_their_locks(self, tmp_path: Path):
        code = (
            "import fcntl, sys; from pathlib import Path; from engine.workspaces.run_directory import RunDir\n"
            "sys.stdin.readline()\n"
            "for _ in range(40):\n"
            "    run_dir = RunDir(Path(sys.argv[1])); assert run_dir._claim is not None; assert run_dir.contexts.is_dir()\n"
            "    try: fcntl.flock(open(run_dir.path / 'lock'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
            "    except BlockingIOError: run_dir.close()\n"
            "    else: sys.exit('not locked')\n"
        )
        servers = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(tmp_path / "base")], stdin=subprocess.PIPE, stderr=subprocess.PIPE
            )
            for _ in range(6)
        ]
        for server in servers:  # all at once, when each is ready
            assert server.stdin
            server.stdin.write(b"go\n")
        errors = [server.communicate(timeout=60)[1].decode() for server in servers]
        assert errors == [""] * len(servers)
        assert [path.name for path in (tmp_path / "base").iterdir()] == []


@pytest.mark.parametrize("refused", ["contexts", "symlink"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str):
    base = tmp_path / ("long" * 30)
    RunDir(base).close()
    before = set(os.listdir("/proc/self/fd"))
    made: list[Path] = []
    real_mkdtemp = tempfile.mkdtemp

    def mkdtemp(**options: Any) -> str:
        made.append(Path(real_mkdtemp(**options)))
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    method = "symlink" if refused == "symlink" else "mkdir"
    real = getattr(os, method)

    def full(path: str | Path, *args: Any, **options: Any) -> None:
        if refused in ("symlink", Path(path).name):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, *args, **options)

    monkeypatch.setattr(os, method, full)
    with pytest.raises(OSError, match="No space left"):
        RunDir(base)
    monkeypatch.undo()
    assert len(made) == 2
    assert not [path for path in made if path.exists()]
    assert set(os.listdir("/proc/self/fd")) == before


def test_no_directory_is_used_for_two_contexts(tmp_path: Path):
    run_dir = RunDir(tmp_path / "base")
    assert run_dir.new_slot().path != run_dir.new_slot().path
    run_dir.close()


@pytest.mark.parametrize("context_id", ["..", ".", "a:b~c", "x" * 128, "../../etc"])
def test_a_context_id_never_leads_out_of_the_run_directory(tmp_path: Path, context_id: str):
    run_dir = RunDir(tmp_path / "base")
    root = run_dir.new_slot().path
    assert root.parent == run_dir.contexts
    assert root.resolve() == root
    run_dir.close()


@pytest.mark.parametrize("length", [10, 200])
def test_a_sockets_path_is_never_too_long(tmp_path: Path, length: int):
    run_dir = RunDir(tmp_path / ("d" * length))
    assert len(str(run_dir.new_kernel_dir() / "k-5")) < 108
    run_dir.close()


def test_by_default_it_lies_in_the_users_runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    run_dir = RunDir()
    assert run_dir.path.parent == tmp_path / "polyrepl"
    run_dir.close()


def test_without_a_runtime_directory_it_lies_in_tmp_under_the_users_id(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    run_dir = RunDir()
    assert run_dir.path.parent == Path(f"/tmp/polyrepl-{os.getuid()}")
    run_dir.close()


class TestStaleDirectories:
    """What code of a server that was killed has left: it stops no start, and leads to nothing else."""

    @pytest.fixture
    def base(self, tmp_path: Path) -> Path:
        (tmp_path / "base/s-stale/contexts/c/work").mkdir(parents=True)
        (tmp_path / "base").chmod(0o700)
        return tmp_path / "base"

    @staticmethod
    def start(base: Path) -> list[str]:
        """Start a server and end it. Returns what is left in the base."""
        RunDir(base).close()
        return sorted(os.listdir(base))

    def test_one_without_rights_is_removed(self, base: Path):
        (base / "s-stale/contexts").chmod(0)
        (base / "s-stale").chmod(0)
        assert self.start(base) == []

    @pytest.mark.parametrize("kind", ["pipe", "directory", "link"])
    def test_something_else_in_the_place_of_its_lock_is_no_lock(self, base: Path, tmp_path: Path, kind: str):
        lock = base / "s-stale/lock"
        match kind:
            case "pipe":
                os.mkfifo(lock)
            case "directory":
                lock.mkdir()
            case _:
                lock.symlink_to(tmp_path / "made")
        assert self.start(base) == []
        assert not (tmp_path / "made").exists()

    def test_no_link_in_it_or_in_its_place_is_followed(self, base: Path, tmp_path: Path):
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious/file").touch()
        (base / "s-stale/k-elsewhere").symlink_to(tmp_path / "precious")
        (base / "s-link").symlink_to(tmp_path / "precious")
        assert self.start(base) == []
        assert os.listdir(tmp_path / "precious") == ["file"]

    def test_the_sockets_of_a_living_server_are_not_taken_for_those_of_a_dead_one(self, base: Path, tmp_path: Path):
        living = RunDir(tmp_path / ("long" * 30))
        (base / "s-stale/k-elsewhere").symlink_to(living.kernels)
        assert self.start(base) == []
        assert living.kernels.is_dir()
        living.close()

    def test_the_directory_of_a_living_server_stays_whatever_its_code_does_to_it(self, base: Path):
        living = RunDir(base)
        (living.path / "lock").unlink()
        (living.path / "lock").mkdir()
        living.path.chmod(0)
        assert self.start(base) == [living.path.name]
        living.path.chmod(0o700)
        living.close()

    def test_one_that_cannot_be_opened_may_be_a_living_servers_and_stays(
        self, base: Path, monkeypatch: pytest.MonkeyPatch
    ):
        living = RunDir(base)

        def refuse(parent: int, name: str) -> int:
            raise OSError(errno.EMFILE, "Too many open files")

        with monkeypatch.context() as patched:
            patched.setattr("engine.workspaces.claims.open_owned", refuse)
            sweep(base)
        assert living.contexts.is_dir()
        living.close()

    def test_a_file_of_such_a_name_is_removed(self, base: Path):
        (base / "s-file").touch()
        assert self.start(base) == []

    def test_one_that_cannot_be_removed_stops_no_start(self, base: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("engine.workspaces.claims.remove_at", lambda *_, **__: "Read-only file system")
        assert self.start(base) == ["s-stale"]


def test_directories_that_were_removed_are_made_again_for_the_next_one(run_dir: RunDir):
    shutil.rmtree(run_dir.path)
    workspace = run_dir.new_workspace("c")
    workspace.prepare()
    assert workspace.cwd.is_dir()
    assert run_dir.new_kernel_dir().is_dir()
    assert mode(run_dir.path) == mode(run_dir.contexts) == 0o700


@pytest.mark.anyio
async def test_what_cannot_be_removed_is_said_and_tried_again(run_dir: RunDir, monkeypatch: pytest.MonkeyPatch):
    root = run_dir.new_slot().path
    with monkeypatch.context() as patched:
        tries: list[str] = []
        patched.setattr("engine.workspaces.run_directory._PAUSE_SECONDS", 0.0)
        patched.setattr(
            "engine.workspaces.run_directory.remove_at", lambda *_, **__: tries.append("x") or "Read-only file system"
        )
        assert await run_dir.remove(root) is False
        assert len(tries) < 10  # and not as often as there is time
    assert list(run_dir.left) == [root]
    await run_dir.retry()
    assert not root.exists()
    assert not run_dir.left


@pytest.mark.anyio
async def test_what_no_thread_could_remove_is_tried_again(run_dir: RunDir, monkeypatch: pytest.MonkeyPatch):
    root = run_dir.new_slot().path

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert await run_dir.remove(root) is False
    await run_dir.retry()
    assert not root.exists()
