"""A process that is confined without a box: its files, its network, its signals."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.isolation import boxes
from tests.real.isolation.boxes import UID, Parent, User

_PYTHON = "/usr/bin/python3"  # every user can read it


@pytest.fixture(scope="module", params=["root", "ordinary"])
def parent(request: pytest.FixtureRequest) -> Iterator[Parent]:
    user: User = getattr(boxes, request.param)()
    if shutil.which(_PYTHON) is None:
        pytest.skip(f"there is no {_PYTHON}")
    made = Parent(user._replace(python=_PYTHON), world=None)
    yield made
    made.close()


@pytest.fixture(scope="module")
def landlock_abi(parent: Parent) -> int:
    code = f"import sys; sys.path.insert(0, {str(boxes.PYTHON)!r}); from polyrepl_confine import landlock; print(landlock.abi())"
    ran = parent.python(None, code, confinement={})
    if ran.notice["status"]:
        pytest.skip("this Linux has no Landlock")
    return int(ran.output)


def confinement(parent: Parent, write: str, *, network: bool) -> dict[str, Any]:
    uid = {"uid": UID} if parent.user.is_root else {}
    files = {
        "read": ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/nowhere"],
        "write": [write],
        "network": network,
    }
    return {**uid, "no_new_privs": True, "seccomp": True, "landlock": files}


def attempts(parent: Parent, *, network: bool) -> Any:
    """What happens to code that tries to reach others."""
    slot, other = parent.directory(), parent.directory(0o777)
    (other / "secret").write_text("x")
    (slot / "own").write_text("x")
    parent.place.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0polyrepl-{os.getpid()}")
        abstract.listen()
        code = f"""
            import errno, json, os, socket
            def attempt(function, *arguments):
                try: function(*arguments)
                except OSError as error: return errno.errorcode[error.errno]
                return "done"
            print(json.dumps({{
                "own": attempt(lambda: open({str(slot / "new")!r}, "w").close()),
                "secret": attempt(open, {str(other / "secret")!r}),
                "into another": attempt(lambda: open({str(other / "new")!r}, "w")),
                "move": attempt(os.rename, {str(slot / "new")!r}, {str(other / "new")!r}),
                "list": attempt(os.listdir, {str(other)!r}),
                "system": attempt(lambda: open("/usr/new", "w")),
                "null": attempt(lambda: open("/dev/null", "w").close()),
                "connect": attempt(lambda: socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), 5)),
                "bind": attempt(lambda: socket.create_server(("127.0.0.1", 0))),
                "datagram": attempt(socket.socket, socket.AF_INET, socket.SOCK_DGRAM),
                "abstract": attempt(lambda: socket.socket(socket.AF_UNIX).connect("\\0polyrepl-{os.getpid()}")),
                "signal": attempt(os.kill, {os.getpid()}, 0),
                "parent": attempt(os.kill, os.getppid(), 0),
            }}))
        """
        return parent.python(
            None, code, confinement=confinement(parent, str(slot), network=network), cwd=str(slot)
        ).json()


def test_files_outside_are_out_of_reach(parent: Parent, landlock_abi: int):
    found = attempts(parent, network=True)
    assert (found["own"], found["null"]) == ("done", "done")
    reached = ("secret", "into another", "list", "system")
    assert {found[name] for name in reached} == {"EACCES"}
    assert found["move"] in ("EACCES", "EXDEV")


def test_no_link_leads_to_what_may_be_written(parent: Parent, landlock_abi: int):
    slot, other = parent.directory(0o755), parent.directory()
    (slot / "link").symlink_to(other)
    ran = parent.run(None, ["/bin/true"], confinement=confinement(parent, str(slot / "link"), network=True))
    assert ran.notice["status"]
    assert f"landlock {slot / 'link'}: Too many levels of symbolic links" in ran.output


def test_a_directory_that_the_user_may_not_enter_is_no_working_directory(parent: Parent):
    if not parent.user.is_root:
        pytest.skip("an ordinary user's processes are that user")
    slot = parent.directory(0o755)
    (slot / "closed" / "open").mkdir(parents=True)
    (slot / "closed").chmod(0o700)
    (slot / "link").symlink_to("closed/open")
    ran = parent.run(None, ["/bin/pwd"], cwd=str(slot / "link"), confinement={"uid": UID, "no_new_privs": True})
    assert ran.notice["status"]
    assert "Permission denied" in ran.output


def test_the_network_is_refused_or_open(parent: Parent, landlock_abi: int):
    if landlock_abi < 4:
        pytest.skip("this Landlock knows no network")
    names = ("connect", "bind", "datagram")
    found = attempts(parent, network=False)
    assert [found[name] for name in names] == ["EACCES", "EACCES", "EPERM"]
    found = attempts(parent, network=True)
    assert [found[name] for name in names] == ["done", "done", "done"]


def test_signals_and_abstract_sockets_stay_inside(parent: Parent, landlock_abi: int):
    if landlock_abi < 6:
        pytest.skip("this Landlock knows no scopes")
    found = attempts(parent, network=True)
    assert {found[name] for name in ("signal", "parent", "abstract")} == {"EPERM"}


def test_limits_and_priorities_of_others_stay_as_they_are(parent: Parent, landlock_abi: int):
    code = f"""
        import os, resource
        other = {parent.process.pid}
        def attempt(function, *arguments):
            try: function(*arguments)
            except PermissionError: return
            print("done:", function.__name__)
        attempt(resource.prlimit, other, resource.RLIMIT_CORE, (0, 0))
        attempt(os.setpriority, os.PRIO_PROCESS, other, 1)
        attempt(os.setpriority, os.PRIO_USER, os.getuid(), 1)
        attempt(os.sched_setscheduler, other, os.SCHED_IDLE, os.sched_param(0))
        os.nice(1)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    """
    slot = parent.directory()
    ran = parent.python(None, code, cwd=str(slot), confinement=confinement(parent, str(slot), network=True))
    assert (ran.output, ran.notice["status"]) == ("", 0)


def test_a_part_that_fails_is_named_and_nothing_runs(parent: Parent):
    ran = parent.run(None, ["/bin/echo", "ran"], confinement={"cpus": [5000], "no_new_privs": True})
    assert ran.notice["status"] != 0
    assert "cpus: " in ran.output
    assert "ran" not in ran.output.splitlines()
