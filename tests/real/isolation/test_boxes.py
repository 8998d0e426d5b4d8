"""A box: how it is made, what is seen in it, what it says, and how it ends."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.harness.waiting import wait_until
from tests.real.isolation.boxes import UID, Box, Parent, User

_LOOK = """
import json, os, socket
def names(path):
    try: return sorted(os.listdir(path))
    except OSError as error: return type(error).__name__
print(json.dumps({
    "processes": sorted(int(each) for each in names("/proc") if each.isdigit()),
    "own": os.getpid(), "parent": os.getppid(), "uid": os.getuid(), "groups": os.getgroups(),
    "init": open("/proc/1/comm").read(), "host": socket.gethostname(),
    "dev": names("/dev"), "tmp": names("/tmp"), "shm": names("/dev/shm"), "root": names("/root"), "run": names("/run"),
    "sys": names("/sys"), "home": names("/home"), "etc": names("/etc"), "fds": names("/proc/self/fd"),
    "status": {name: value.strip() for name, _, value in (line.partition(":") for line in open("/proc/self/status"))},
    "interfaces": [name for _, name in socket.if_nameindex()],
    "keys": open("/proc/keys").read() if os.path.exists("/proc/keys") else "",
}))
"""


@pytest.fixture(scope="module")
def seen(spawner: Parent) -> Any:
    box = spawner.box()
    found = spawner.python(box, _LOOK).json()
    box.close()
    return found


def test_a_process_in_a_box_sees_itself_and_init_only(seen: Any):
    assert (seen["processes"], seen["own"], seen["parent"], seen["init"]) == ([1, 2], 2, 0, "pr-init\n")
    assert seen["host"] == "box"
    assert seen["keys"] == ""


def test_a_process_in_a_box_has_its_own_user_and_no_rights(seen: Any, user: User):
    status = seen["status"]
    assert seen["uid"] == user.kernel_uid
    assert set(seen["groups"]) <= {user.kernel_uid}
    assert [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == [0] * 5
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_a_box_has_few_devices_and_directories_of_its_own(seen: Any):
    devices = ["fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero"]
    assert seen["dev"] == devices
    assert (seen["shm"], seen["run"], seen["sys"], seen["home"]) == ([], [], [], [])
    assert not {"shadow", "ssh", "sudoers", "pip.conf", "gitconfig"} & set(seen["etc"])
    assert seen["interfaces"] == ["lo"]


def test_nothing_is_inherited_but_the_three_streams(seen: Any):
    assert seen["fds"] == ["0", "1", "2", "3"]  # 3 is the listing itself


def test_files_of_the_slot_are_written_at_the_same_path_and_all_else_is_read_only_or_gone(spawner: Parent):
    slot, other = spawner.directory(), spawner.directory(0o777)
    (other / "secret").write_text("x")
    box = spawner.box(write=[str(slot)])
    code = f"""
        import json, os
        from pathlib import Path
        tried = {{}}
        for path in [{str(slot / "new")!r}, "/tmp/new", "/dev/shm/new", "/new", "/usr/new", "/etc/new", "/dev/new", "/sys/new",
                     "/proc/new", {str(other / "secret")!r}, "/proc/sys/kernel/hostname", "/proc/sysrq-trigger"]:
            try: Path(path).write_text("here"); tried[path] = ""
            except OSError as error: tried[path] = type(error).__name__
        print(json.dumps([tried, sorted(os.listdir({str(spawner.place)!r})), os.getcwd()]))
    """
    tried, siblings, cwd = spawner.python(box, code, cwd=str(slot)).json()
    assert [path for path, error in tried.items() if not error] == [str(slot / "new"), "/tmp/new", "/dev/shm/new"]
    assert (siblings, cwd) == ([slot.name], str(slot))
    assert (slot / "new").read_text() == "here"
    assert (slot / "new").stat().st_uid == spawner.user.kernel_uid
    assert (other / "secret").read_text() == "x"
    assert not Path("/tmp/new").exists()
    box.close()


def test_what_the_plan_shows_is_read_only_also_by_another_name(spawner: Parent):
    data = spawner.directory(0o777)
    (data / "set.csv").write_text("1,2\n")
    (data / "set.csv").chmod(0o666)
    (spawner.place / "link").symlink_to(data)
    try:
        box = spawner.box(
            mounts=[[str(data), "/data/sets"]], read=[*spawner.plan()["read"], str(spawner.place / "link")]
        )
        code = f"""
            import json
            found = []
            for path in ("/data/sets/set.csv", {str(data / "set.csv")!r}, {str(spawner.place / "link/set.csv")!r}):
                found.append(open(path).read())
                try: open(path, "a").write("3")
                except OSError as error: found.append(error.errno)
            print(json.dumps(found))
        """
        assert spawner.python(box, code).json() == ["1,2\n", errno.EROFS] * 3
        box.close()
    finally:
        (spawner.place / "link").unlink()


def test_two_boxes_share_nothing(spawner: Parent):
    first, second = spawner.box(), spawner.box()
    code = """
        import ctypes, json, socket, time
        libc = ctypes.CDLL(None)
        named = socket.socket(socket.AF_UNIX); named.bind("\\0name"); named.listen()
        open("/tmp/here", "w").close(); open("/dev/shm/here", "w").close()
        segment = libc.shmget(77, 4096, 0o1666)
        print(json.dumps(segment >= 0), flush=True)
        time.sleep(1000)
    """
    argv = [spawner.user.python, "-I", "-S", "-c", textwrap.dedent(code)]
    answer, pidfds, reader, stream = spawner.start(first, argv, confinement=spawner.confinement())
    with stream, open(reader) as output:
        assert output.readline() == "true\n"
        look = """
            import ctypes, errno, json, os, socket
            found = [os.path.exists("/tmp/here"), os.path.exists("/dev/shm/here")]
            found.append(ctypes.CDLL(None).shmget(77, 4096, 0) >= 0)
            try: socket.socket(socket.AF_UNIX).connect("\\0name"); found.append(True)
            except ConnectionRefusedError: found.append(False)
            print(json.dumps(found))
        """
        assert spawner.python(second, look).json() == [False] * 4
        signal.pidfd_send_signal(pidfds[0], signal.SIGKILL)
        assert spawner.receive()[0]["pid"] == answer["pid"]
    os.close(pidfds[0])
    first.close()
    second.close()


def test_no_port_of_the_machine_is_reached_without_the_network(spawner: Parent):
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"""
            import json, socket
            try: socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), 5); said = "connected"
            except OSError as error: said = type(error).__name__
            print(json.dumps(said))
        """
        closed, opened = spawner.box(), spawner.box(network="open")
        assert spawner.python(closed, code).json() == "ConnectionRefusedError"
        assert spawner.python(opened, code).json() == "connected"
    closed.close()
    opened.close()


def test_a_box_has_a_loopback_of_its_own(spawner: Parent, box: Box):
    code = """
        import json, socket
        server = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(server.getsockname(), 5).sendall(b"hello")
        print(json.dumps(server.accept()[0].recv(5).decode()))
    """
    assert spawner.python(box, code).json() == "hello"


def test_init_reports_what_nobody_else_collects(spawner: Parent, box: Box):
    code = """
        import json, os, time
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.setsid()
            os.write(writer, b"x")
            while os.getppid() != 1: time.sleep(0.005)
            os._exit(7)
        os.read(reader, 1)
        print(json.dumps(os.getpid()))
    """
    assert spawner.python(box, code).json() == 2
    pid, status, peak = box.report()
    assert (pid, os.waitstatus_to_exitcode(status)) == (3, 7)
    assert peak > 1000  # KiB
    assert box.processes == {1}


def test_a_box_ends_with_all_that_is_in_it_when_its_socket_is_closed(spawner: Parent):
    box = spawner.box()
    argv = ["/bin/sh", "-c", "trap '' TERM INT HUP; sleep 1000 & setsid sleep 1000 & echo go; wait; wait"]
    answer, pidfds, reader, stream = spawner.start(box, argv, confinement=spawner.confinement())
    with stream, open(reader) as output:
        assert output.readline() == "go\n"
        assert len(box.processes) >= 3
        box.socket.close()
        notice, _ = spawner.receive()
        assert (notice["op"], notice["pid"]) == ("exit", answer["pid"])
        assert os.waitstatus_to_exitcode(notice["status"]) == -signal.SIGKILL
        assert box.ended()
        assert output.read() == ""
    for fd in pidfds:
        os.close(fd)
    box.close()


def test_boxes_end_with_their_spawner_and_leave_no_mount(user: User):
    parent = Parent(user)
    box = parent.box()
    scratch = parent.place / "scratch"
    assert str(scratch) not in Path("/proc/self/mountinfo").read_text()
    parent.close()
    assert box.ended()
    box.close()


def test_a_program_cannot_be_put_into_a_box_that_has_ended(spawner: Parent):
    box = spawner.box()
    box.socket.close()
    assert box.ended()
    ran = spawner.run(box, ["/bin/true"])
    assert ran.answer["op"] == "failed"
    assert "box: " in ran.answer["error"]
    box.close()


def test_after_a_box_nothing_is_started_outside(spawner: Parent, box: Box):
    assert spawner.run(box, ["/bin/true"]).notice["status"] == 0
    ran = spawner.run(None, ["/bin/true"], confinement={"no_new_privs": True})
    assert "can start none outside" in ran.answer["error"]
    assert spawner.run(box, ["/bin/true"]).notice["status"] == 0


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"root": "relative"}, "root: 'relative' is no absolute, normal path"),
        ({"root": "/"}, "root: '/' would be the whole machine"),
        ({"read": "/usr"}, "read is a list of paths"),
        ({"read": ["/usr/../etc"]}, "read: '/usr/../etc' is no absolute"),
        ({"write": ["/a\0"]}, "write: '/a\\x00' is no absolute"),
        ({"network": "some"}, "network is one of: none, open"),
        ({"uid": 0}, "uid is null or a number above 0"),
        ({"tmp_bytes": "1g"}, "tmp_bytes is a number above 0"),
        ({"shm_bytes": -1}, "shm_bytes is a number above 0"),
        ({"mounts": ["/a"]}, "mounts is a list of pairs"),
        ({"walls": 4}, "unknown in a plan: 'walls'; known: root, read"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_by_name(spawner: Parent, change: dict[str, Any], error: str):
    answer, box = spawner.ask({**spawner.plan(), **change})
    assert box is None
    assert answer["op"] == "failed"
    assert error in answer["error"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"root": "/nowhere/at/all"}, "mount /nowhere/at/all: No such file or directory"),
        ({"write": ["/nowhere"]}, "show /nowhere: No such file or directory"),
        ({"mounts": [["/etc/ssl", "/usr/nowhere"]]}, "show /etc/ssl: there is no such place in what is shown already"),
        ({"devices": ["/dev/nothing"]}, "show /dev/nothing: No such file or directory"),
    ],
)
def test_what_fails_while_a_box_is_made_is_named(spawner: Parent, change: dict[str, Any], error: str):
    _, box = spawner.ask(spawner.plan(**change))
    assert box is not None
    assert error in box.said["error"]
    assert box.socket.recv(16) == b""
    box.close()


def test_no_link_leads_to_what_may_be_written(spawner: Parent):
    slot, other = spawner.directory(0o755), spawner.directory()
    (slot / "link").symlink_to(other)
    for path in (slot / "link", slot / "link" / "deeper"):
        _, box = spawner.ask(spawner.plan(write=[str(path)]))
        assert box is not None
        assert box.said == {"error": f"show {path}: Too many levels of symbolic links"}
        box.close()


def test_a_directory_that_the_user_may_not_enter_is_no_working_directory(spawner: Parent, user: User):
    if not user.is_root:
        pytest.skip("an ordinary user's processes are that user")
    slot = spawner.directory(0o755)
    (slot / "closed" / "open").mkdir(parents=True)
    (slot / "closed").chmod(0o700)
    (slot / "link").symlink_to("closed/open")
    box = spawner.box(write=[str(slot)])
    ran = spawner.run(box, ["/bin/pwd"], cwd=str(slot / "link"))
    box.close()
    assert ran.notice["status"]
    assert "Permission denied" in ran.output


def test_code_with_the_servers_user_has_fewer_descriptors(spawner: Parent, box: Box, user: User):
    code = "import resource; print(list(resource.getrlimit(resource.RLIMIT_NOFILE)))"
    own = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = own[1] if user.is_root else own[1] // 2
    limits = {"rlimits": {"NOFILE": [own[1], own[1]]}}
    assert spawner.python(box, code, **limits).json() == [hard, hard]


def test_a_box_cannot_use_up_what_linux_counts_by_user(spawner: Parent, box: Box, user: User):
    if user.is_root:
        pytest.skip("a slot has a user of its own then")
    code = """
        import ctypes, json
        libc = ctypes.CDLL(None, use_errno=True)
        instances = 0
        while libc.inotify_init() >= 0: instances += 1
        namespaces = libc.unshare(0x10000000), ctypes.get_errno()
        print(json.dumps([instances, namespaces]))
    """
    assert spawner.python(box, code, seccomp=False).json() == [32, [-1, errno.ENOSPC]]


def test_the_user_of_the_box_is_in_its_passwd(spawner: Parent, box: Box):
    ran = spawner.run(box, ["/usr/bin/id", "-un"])
    assert ran.output == "box\n"


def test_a_device_of_the_plan_can_be_used(spawner: Parent):
    box = spawner.box(devices=["/dev/tty"])
    assert "tty" in spawner.run(box, ["/bin/ls", "/dev"]).output.split()
    box.close()


def test_a_process_counts_itself_to_its_control_group(spawner: Parent, box: Box):
    place = Path("/sys/fs/cgroup/pids") if Path("/sys/fs/cgroup/pids").is_dir() else Path("/sys/fs/cgroup")
    group = place / f"polyrepl-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error.strerror}")
    try:
        fd = os.open(group / "cgroup.procs", os.O_WRONLY)
        code = "print(open('/proc/self/cgroup').read())"
        ran = spawner.python(box, code, cgroups=1, fds=(fd,))
        os.close(fd)
        assert group.name in ran.output
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def test_the_number_of_processors_is_the_one_that_was_given(spawner: Parent, box: Box):
    cpu = min(os.sched_getaffinity(0))
    code = "import os; print(sorted(os.sched_getaffinity(0)))"
    assert json.loads(spawner.python(box, code, cpus=[cpu]).output) == [cpu]


def test_what_cannot_be_given_up_ends_the_process_with_the_reason(spawner: Parent, box: Box, user: User):
    wanted = {"cpus": [5000]} if user.is_root else {"uid": UID}
    ran = spawner.python(box, "print('ran')", **wanted)
    assert ran.notice["status"] != 0
    assert ("cpus: " if user.is_root else f"uid {UID}: ") in ran.output
    assert "ran\n" not in ran.output
