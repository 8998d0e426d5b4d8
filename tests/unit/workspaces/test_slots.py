"""Slots: the directories of one family of kernels, their owners, and their end."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from engine.workspaces import RunDir, Uids, as_owner, copy_workspace

pytestmark = pytest.mark.anyio
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
FIRST = 58_000  # of a range that no other test uses


async def test_a_branch_lies_in_the_slot_of_its_source_which_goes_with_the_last(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "base")
    source = run_dir.new_workspace("c")
    branch = run_dir.new_workspace("b", slot=source.slot)
    other = run_dir.new_workspace("other")
    assert source.root.parent == branch.root.parent == source.slot.path != other.root.parent
    source.close()
    assert await run_dir.remove(source.root)
    assert not source.root.exists()
    assert branch.root.exists()
    branch.close()
    assert await run_dir.remove(branch.root)
    assert not source.slot.path.exists()
    assert other.slot.path.exists()
    run_dir.close()


def test_a_user_of_the_system_is_nobodys_and_no_other_servers(tmp_path: Path) -> None:
    ours, theirs = (Uids(FIRST, FIRST + 150, frozenset({FIRST}), tmp_path / "claims") for _ in range(2))
    assert ours.acquire() == FIRST + 1
    assert theirs.acquire() == FIRST + 100  # the next block
    assert [theirs.acquire() for _ in range(50)][-1] == FIRST + 150
    with pytest.raises(OSError, match="context_uids"):
        theirs.acquire()
    ours.close()
    theirs.close()


def test_ranges_that_overlap_in_part_share_no_user(tmp_path: Path) -> None:
    ours = Uids(FIRST, FIRST + 99, frozenset(), tmp_path / "claims")
    theirs = Uids(FIRST + 50, FIRST + 149, frozenset(), tmp_path / "claims")
    assert ours.acquire() == FIRST
    assert theirs.acquire() == FIRST + 100
    ours.close()
    theirs.close()


@pytest.mark.parametrize("what", ["open to others", "link"])
def test_users_are_claimed_in_a_directory_of_the_servers_user_alone(tmp_path: Path, what: str) -> None:
    claims = tmp_path / "claims"
    if what == "link":
        Path(tmp_path, "elsewhere").mkdir(0o700)
        claims.symlink_to("elsewhere")
    else:
        claims.mkdir()
        claims.chmod(0o755)
    with pytest.raises(OSError, match=r"mode 0700|Not a directory"):
        Uids(FIRST, FIRST + 99, frozenset(), claims).acquire()


def test_a_name_in_the_network_of_the_machine_takes_no_users(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as squatter:
        squatter.bind(f"\0polyrepl-uids-{FIRST}")
        uids = Uids(FIRST, FIRST + 99, frozenset(), tmp_path / "claims")
        assert uids.acquire() == FIRST
        uids.close()


def test_a_user_is_had_again_once_it_is_free(tmp_path: Path) -> None:
    uids = Uids(FIRST, FIRST + 1, frozenset(), tmp_path / "claims")
    first, second = uids.acquire(), uids.acquire()
    uids.release(first)
    assert uids.acquire() == first
    assert second != first
    uids.close()


@needs_root
async def test_as_root_all_in_a_slot_is_its_owners(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "base")
    run_dir.open_to(Uids(FIRST, FIRST + 99, frozenset(), tmp_path / "claims"))
    source = run_dir.new_workspace("c")
    source.prepare()
    uid = source.slot.uid
    assert uid is not None
    with source.work.opened() as work, as_owner(uid):  # by descriptor: the way there is not theirs
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=work))
        os.symlink("file", "link", dir_fd=work)
    branch = run_dir.new_workspace("b", slot=source.slot)
    copy_workspace_as_owner = as_owner(uid)(copy_workspace)
    copy_workspace_as_owner(source, branch, max_bytes=1000, timeout=30.0)
    found = [source.slot.path, *source.slot.path.rglob("*")]
    assert {(path.lstat().st_uid, path.lstat().st_gid) for path in found} == {(uid, uid)}
    assert os.geteuid() == 0
    Path(tmp_path, "ours").touch()
    assert Path(tmp_path, "ours").stat().st_uid == 0
    for workspace in (source, branch):
        workspace.close()
        assert await run_dir.remove(workspace.root)
    assert run_dir.uids is not None
    assert uid in [run_dir.uids.acquire() for _ in range(100)]
    run_dir.close()


@needs_root
def test_the_owner_of_a_slot_cannot_read_what_is_ours(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    directory = os.open(tmp_path, os.O_RDONLY)
    with as_owner(FIRST), pytest.raises(PermissionError):
        os.open("secret", os.O_RDONLY, dir_fd=directory)
    os.close(directory)
    assert secret.read_text() == "x"
