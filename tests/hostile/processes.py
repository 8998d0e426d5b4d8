"""Other processes, what they share, and sockets: checks 7 to 11, 14, 15 and 18."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.harness.waiting import wait_until
from tests.hostile.check import check, scene
from tests.hostile.prelude import *  # noqa: F403 - what the attack's text begins with

if TYPE_CHECKING:
    from tests.hostile.stage import Stage

# ruff: noqa: F405
# FACTS["processes"]: the server, the zygote, the spawner, and the kernels of two other contexts, by their numbers outside.


@check(7, "Refused for each of them.", since="landlock", as_root="process", depends=True)
def memory_of_others() -> object:
    """Reads and traces the server, the zygote, the spawner, other kernels, its parent and process 1."""
    targets = {**FACTS["processes"], "parent": PARENT, "1": 1}
    mine = ctypes.create_string_buffer(8)
    here = struct.pack("<QQ", ctypes.addressof(mine), 8)
    there = struct.pack("<QQ", 0x400000, 8)

    def mapped(name: str, pid: int) -> bool:
        """Whether memory could be copied, or only the address was wrong."""
        try:
            return call(name, pid, here, 1, there, 1, 0) > 0
        except OSError as error:
            return error.errno == errno.EFAULT

    def techniques(pid: int) -> dict[str, Callable[[], object]]:
        return {
            "seize": lambda: in_child(lambda: call("ptrace", 0x4206, pid, 0, 0) == 0),
            "readv": lambda: mapped("process_vm_readv", pid),
            "mem": lambda: os.open(f"/proc/{pid}/mem", os.O_RDONLY) >= 0,
            "kcmp": lambda: call("kcmp", pid, os.getpid(), 0, 0, 0) >= 0,
        }

    return [f"{name} {how}" for name, pid in targets.items() if pid for how in reached(techniques(pid))]


@check(8, "Own processes only.", since="namespaces")
def list_of_processes() -> object:
    """Looks for the server, the zygote, the spawner and other kernels in /proc."""
    names = {os.path.basename(os.path.dirname(path)) for path in (str(each) + "/" for each in Path("/proc").iterdir())}
    return [name for name, pid in FACTS["processes"].items() if str(pid) in names]


@check(8, "Unreadable.", since="namespaces", depends=True)
def environment_of_others() -> object:
    """Reads command line, environment, memory map, open files and directories of others; looks for the token in them."""
    targets = {**FACTS["processes"], "parent": PARENT, "1": 1}
    found = []
    for name, pid in targets.items():
        if pid == 0:
            continue
        attempts = {
            "environ": lambda pid=pid: Path(f"/proc/{pid}/environ").read_bytes(),
            "maps": lambda pid=pid: Path(f"/proc/{pid}/maps").read_bytes(),
            "fd": lambda pid=pid: os.listdir(f"/proc/{pid}/fd"),
            "root": lambda pid=pid: os.listdir(f"/proc/{pid}/root/"),
            "cwd": lambda pid=pid: os.readlink(f"/proc/{pid}/cwd"),
        }
        if name in FACTS["processes"]:
            attempts["cmdline"] = lambda pid=pid: Path(f"/proc/{pid}/cmdline").read_bytes()
        found += [f"{name} {what}" for what in reached(attempts)]
    return found


@check(8, "Ports and sockets of the host are not shown.", since="namespaces")
def ports_of_the_host() -> object:
    """Reads /proc/net for the server's port and for sockets in the run directory."""
    port = f":{FACTS['port']:04X} "
    return reached(
        {
            "tcp": lambda: port in Path("/proc/net/tcp").read_text(),
            "unix": lambda: FACTS["abstract"] in Path("/proc/net/unix").read_text(),
        }
    )


@check(9, "Refused, or nobody is there.", since="landlock", as_root="process")
def signals() -> object:
    """Signals the server, the zygote, the spawner and other kernels, by kill, tgkill and pidfd. The signal is 0, which only asks."""

    def by_pidfd(pid: int) -> bool:
        return call("pidfd_send_signal", os.pidfd_open(pid), 0, 0, 0) == 0

    found = []
    for name, pid in FACTS["processes"].items():
        ways = {
            "kill": lambda pid=pid: os.kill(pid, 0) is None,
            "tgkill": lambda pid=pid: call("tgkill", pid, pid, 0) == 0,
        }
        ways |= {"pidfd": lambda pid=pid: by_pidfd(pid), "killpg": lambda pid=pid: os.killpg(pid, 0) is None}
        found += [f"{name} {way}" for way in reached(ways)]
    return found


@check(9, "Refused, or nobody is there.", since="namespaces", as_root="process")
def limits_of_others() -> object:
    """Changes limits and priority of the server, the zygote, the spawner and other kernels, to what they are."""
    found = []
    for name, pid in FACTS["processes"].items():
        ways = {
            "prlimit": lambda pid=pid: resource.prlimit(
                pid, resource.RLIMIT_NOFILE, resource.prlimit(pid, resource.RLIMIT_NOFILE)
            )
        }
        ways |= {
            "nice": lambda pid=pid: os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid)) is None
        }
        ways |= {"affinity": lambda pid=pid: os.sched_setaffinity(pid, os.sched_getaffinity(pid)) is None}
        found += [f"{name} {way}" for way in reached(ways)]
    return found


@scene(9, "Only its own box ends; the context says so, and the next call works.", since="namespaces")
def kill_everybody(stage: Stage, language: str) -> object:
    """Sends SIGKILL to process -1: to all that it may signal. Only tried with a process namespace of its own."""
    mine, shared = (
        stage.value("python", "import os; os.stat('/proc/self/ns/pid').st_ino"),
        os.stat("/proc/self/ns/pid").st_ino,
    )
    if int(mine) == shared:
        return "shares its processes with the host"
    cells = {
        "python": "import os, signal\nos.kill(-1, signal.SIGKILL)\nos.kill(os.getpid(), 9)",
        "typescript": "process.kill(-1, 'SIGKILL')",
    }
    answer = stage.run(language, cells[language])
    assert stage.run(language, "1+1").text == "2"
    return "nothing was killed" if answer.status == "ok" and language == "python" else stage.damage()


@check(10, "Refused.", since="landlock", as_root="process", depends=True)
def descriptors_of_others() -> object:
    """Takes open files of the server, the zygote, the spawner, other kernels, its parent and process 1 by pidfd_getfd."""
    targets = {**FACTS["processes"], "parent": PARENT, "1": 1}

    def taken(pid: int) -> bool:
        pidfd = os.pidfd_open(pid)
        return any(reached({str(fd): lambda fd=fd: call("pidfd_getfd", pidfd, fd, 0) >= 0}) for fd in range(12))

    return reached({name: lambda pid=pid: taken(pid) for name, pid in targets.items() if pid})


@check(11, "Refused: keys are shared by all processes of a user or session.", since="landlock")
def keyrings() -> object:
    """Adds a key to the session's and to the user's keyring, and looks for the key of another context."""
    attempts = {
        name: lambda ring=ring: call("add_key", b"user", b"polyrepl-attack", b"x", 1, ring) > 0
        for name, ring in (("session", -3), ("user", -4))
    }
    attempts["key of another"] = lambda: call("keyctl", 10, -3, b"user", FACTS["mark"].encode(), 0) > 0
    return reached(attempts)


@check(14, "Unreachable.", since="landlock", as_root="landlock")
def abstract_sockets() -> object:
    """Connects to an abstract socket of the host and to one of another context."""

    def connected(name: str) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("\0" + name)
        return True

    return reached(
        {name: lambda name=name: connected(name) for name in (FACTS["abstract"], FACTS["abstract_of_another"])}
    )


@check(14, "Unreachable.", since="namespaces", as_root="process")
def sockets_in_directories() -> object:
    """Connects to unix sockets of the server, of its run directory, and of another context."""

    def connected(path: str) -> bool:
        os.chdir(os.path.dirname(path))  # the address has room for 107 bytes
        for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_UNIX, kind) as client, contextlib.suppress(OSError):
                client.connect(os.path.basename(path))
                return True
        return False

    return reached({path: lambda path=path: connected(path) for path in FACTS["sockets"]})


@check(15, "0 to 2, the kernel's own channel, and what it has opened itself; nothing else.", since="none")
def inherited_descriptors() -> object:
    """Looks at every open file of its process: directories, files of others, processes, sockets that others have made."""
    found, sockets = [], []
    for fd in range(3, 1024):
        try:
            kind, link = stat.S_IFMT(os.fstat(fd).st_mode), os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            continue
        except PermissionError:
            link = ""
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            continue
        if kind == stat.S_IFSOCK:
            with socket.socket(fileno=os.dup(fd)) as made:
                peer = struct.unpack("3i", made.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
                if made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) or made.family != socket.AF_UNIX:
                    found.append(f"{fd}: {made}")
                sockets += [fd] if peer != KERNEL else []
        elif (
            kind == stat.S_IFDIR
            or "pidfd" in link
            or (link.startswith("/proc") and not link.startswith((f"/proc/{KERNEL}/", f"/proc/{os.getpid()}/")))
        ) or (link.startswith(FACTS["run_dir"]) and not link.startswith(FACTS["home_of_contexts"])):
            found.append(f"{fd}: {link}")
    return found + ([f"sockets {sockets}"] if len(sockets) > 2 else [])


@check(18, "Invisible.", since="namespaces", depends=True)
def shared_places() -> object:
    """Looks for what another context keeps in /tmp, /dev/shm, /var/tmp, System V shared memory and POSIX queues."""
    mark = FACTS["mark"]
    attempts = {
        place: lambda place=place: sink(f"{place}/{mark}", b"private") for place in ("/tmp", "/dev/shm", "/var/tmp")
    }
    attempts["shmget"] = lambda: call("shmget", FACTS["shm_key"], 8, 0) >= 0
    attempts["sysvipc"] = lambda: str(FACTS["shm_key"]) in Path("/proc/sysvipc/shm").read_text()
    return reached(attempts)


LEAVES = """
import ctypes, os
mark = {mark!r}
for place in ("/tmp", "/dev/shm", "/var/tmp"):
    try: open(f"{{place}}/{{mark}}", "w").write("left")
    except PermissionError as error: print(error)
key = ctypes.CDLL(None, use_errno=True).shmget({key}, 100, 0o1666)
print(key)
"""


@scene(18, "Gone with the context.", since="namespaces", languages="python")
def leave_something_behind(stage: Stage, language: str) -> object:
    """Leaves files in /tmp, /dev/shm and /var/tmp, and System V shared memory. Then its context is deleted."""
    mark, key = f"left-{stage.tier}", 7_400_000 + os.getpid() % 99_000
    other = stage.new(language)
    assert other.run(LEAVES.format(mark=mark, key=key)).status == "ok"
    other.delete()

    def left() -> list[str]:
        files = [place for place in ("/tmp", "/dev/shm", "/var/tmp") if os.path.exists(f"{place}/{mark}")]
        return files + (["shared memory"] if f" {key} " in Path("/proc/sysvipc/shm").read_text() else [])

    with contextlib.suppress(AssertionError):
        wait_until(lambda: not left(), deadline=3)
    found = left()
    for place in ("/tmp", "/dev/shm", "/var/tmp"):
        Path(place, mark).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        stage.remove_shared_memory(key)
    return found
