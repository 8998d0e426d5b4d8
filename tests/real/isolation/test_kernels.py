"""Kernels and branches in boxes: they work as outside, and reach neither their zygote nor init."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.real.isolation.boxes import Box, Parent, User
from tests.real.isolation.kernels import Kernel, branch, fork


@pytest.fixture(scope="module")
def zygote(user: User, spawner: Parent) -> Iterator[Parent]:
    found = subprocess.run(
        [user.python, "-c", "import IPython"], capture_output=True, cwd="/",
        **({} if user.uid == os.geteuid() else {"user": user.uid, "group": user.uid, "extra_groups": []}),
    )  # fmt: skip
    if found.returncode:
        pytest.skip(f"{user.python}, which this user can read, has no IPython")
    world = spawner.fds[0] if spawner.fds else -1
    made = Parent(user, "launch.py", "--preload", "json,numpy", world=world)
    yield made
    made.close()


@pytest.fixture
def kernel(zygote: Parent, box: Box) -> Iterator[Kernel]:
    made = fork(zygote, box)
    yield made
    made.kill()
    made.close()
    assert zygote.receive()[0]["pid"] == made.pid


def test_a_forked_kernel_runs_in_its_box(zygote: Parent, kernel: Kernel, box: Box):
    code = (
        "import json, os; print(json.dumps([os.getpid(), os.getppid(), os.getuid(), open('/proc/self/comm').read()]))"
    )
    assert json.loads(kernel.run(code)) == [2, 0, zygote.user.kernel_uid, "pr-t1\n"]
    assert box.processes == {1, 2}
    assert os.path.exists(f"/proc/{kernel.pid}")


def test_a_forked_kernel_has_nothing_of_its_zygote(kernel: Kernel):
    code = """
import json, os
found = {}
for name in os.listdir('/proc/self/fd'):
    try: found[int(name)] = os.readlink(f'/proc/self/fd/{name}')
    except OSError: pass
print(json.dumps(found))
"""
    found = json.loads(kernel.run(code))
    kinds = {int(fd): text.partition(":")[0].partition("]")[0] for fd, text in found.items()}
    # Its channel is 3; all other sockets are the loop's own, and lead nowhere but to the kernel itself.
    sockets = sorted(fd for fd, kind in kinds.items() if kind == "socket")
    assert sockets[0] == 3
    assert not [text for text in found.values() if "pidfd" in text or "signalfd" in text]
    families = f"import socket; print({{socket.socket(fileno=os.dup(fd)).family.name for fd in {sockets}}})"
    assert kernel.run(families) == "{'AF_UNIX'}\n"
    assert not [text for text in found.values() if text.startswith(("/root", "/home")) or "cgroup" in text]


def test_a_file_that_a_library_has_opened_in_the_zygote_does_not_lead_out_of_a_box(
    user: User, zygote: Parent, spawner: Parent, box: Box
):
    library = spawner.directory(0o755)
    (library / "holds_root.py").write_text(
        "import fcntl, os\nfd = fcntl.fcntl(os.open('/', os.O_RDONLY | os.O_DIRECTORY), fcntl.F_DUPFD, 20)\n"
    )
    world = spawner.fds[0] if spawner.fds else -1
    other = Parent(user, "launch.py", "--preload", "holds_root", world=world, path=str(library))
    assert other.hello["preloaded"] == ["holds_root"]
    kernel = fork(other, box)
    assert kernel.run("import os, holds_root; print(os.readlink(f'/proc/self/fd/{holds_root.fd}'))") == "/dev/null\n"
    kernel.close()
    other.close()


def test_a_kernel_gives_up_its_rights(kernel: Kernel):
    code = """
import json
status = {name: value.strip() for name, _, value in (line.partition(':') for line in open('/proc/self/status'))}
print(json.dumps([int(status['CapPrm'], 16), int(status['CapBnd'], 16), status['NoNewPrivs'], status['Seccomp']]))
"""
    assert json.loads(kernel.run(code)) == [0, 0, "1", "2"]


def test_what_kernels_do_works_in_a_box(kernel: Kernel):
    code = """
import asyncio, concurrent.futures, json, multiprocessing, sqlite3, subprocess, threading
found = {}
with concurrent.futures.ProcessPoolExecutor(2) as pool: found['processes'] = list(pool.map(abs, [-1, -2]))
with concurrent.futures.ThreadPoolExecutor(2) as pool: found['threads'] = list(pool.map(abs, [-1, -2]))
found['program'] = subprocess.run(['echo', 'hello'], capture_output=True, text=True).stdout
found['database'] = sqlite3.connect('/tmp/a.db').execute('select 1').fetchall()
found['sleep'] = await asyncio.sleep(0, 'slept')
queue = multiprocessing.Queue(); queue.put(3); found['queue'] = queue.get()
print(json.dumps(found))
"""
    found = json.loads(kernel.run(code))
    assert found == {
        "processes": [1, 2], "threads": [1, 2], "program": "hello\n", "database": [[1]], "sleep": "slept", "queue": 3,
    }  # fmt: skip


def test_a_kernel_is_interrupted_from_outside(kernel: Kernel):
    timer = threading.Timer(0.5, lambda: signal.pidfd_send_signal(kernel.pidfd, signal.SIGINT))
    timer.start()
    messages = kernel.request("execute_request", {"code": "import time\nwhile True: time.sleep(0.01)"})
    timer.join()
    assert [each["content"]["ename"] for each in messages if each["type"] == "error"] == ["KeyboardInterrupt"]
    assert kernel.run("print(1)") == "1\n"


def test_a_branch_becomes_the_child_of_init_which_reports_its_end(zygote: Parent, kernel: Kernel, box: Box):
    kernel.run("x = [1, 2]")
    made = branch(kernel)
    assert made.run("import os; x.append(3); print(x, os.getppid())") == "[1, 2, 3] 1\n"
    assert kernel.run("print(x)") == "[1, 2]\n"
    pidfd = os.pidfd_open(made.peer)  # by the credentials of its frames: a host's number
    with open(f"/proc/self/fdinfo/{pidfd}") as file:
        inside = int(next(line.split()[-1] for line in file if line.startswith("NSpid:")))
    assert inside in box.processes
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    while (report := box.report())[0] != inside:  # the process between was the kernel's
        pass
    assert os.waitstatus_to_exitcode(report[1]) == -signal.SIGKILL
    assert kernel.run("print(x)") == "[1, 2]\n"
    made.close()


def test_a_branch_outlives_its_original_until_the_box_ends(zygote: Parent, box: Box):
    original = fork(zygote, box)
    original.run("x = 5")
    made = branch(original)
    original.kill()
    original.close()
    assert zygote.receive()[0]["pid"] == original.pid
    assert made.run("print(x)") == "5\n"
    box.socket.close()
    assert box.ended()
    assert made.stream.recv(1) == b""
    made.close()


def test_kernels_of_two_boxes_do_not_see_each_other(zygote: Parent, spawner: Parent, kernel: Kernel):
    other_box = spawner.box()
    other = fork(zygote, other_box)
    code = "import os; print(sorted(int(each) for each in os.listdir('/proc') if each.isdigit()), os.path.exists('/tmp/mine'))"
    assert kernel.run("open('/tmp/mine', 'w').close()") == ""
    assert other.run(code) == "[1, 2] False\n"
    other.kill()
    other.close()
    assert zygote.receive()[0]["pid"] == other.pid
    other_box.close()


def test_a_kernel_that_cannot_join_its_box_says_why(zygote: Parent, spawner: Parent):
    box = spawner.box()
    box.socket.close()
    assert box.ended()
    answer, fds, reader, stream = zygote.start(box, [], confinement=zygote.confinement())
    assert (answer["op"], fds) == ("failed", [])
    assert "box: " in answer["error"]
    os.close(reader)
    stream.close()
    box.close()
