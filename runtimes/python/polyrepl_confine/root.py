"""The root of a box: what its processes see of the machine's files, and what they have of their own."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from . import linux, world
from .linux import ATTR_NODEV, ATTR_NOSUID, ATTR_RDONLY, MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_REC
from .plan import Plan

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# What programs read of /etc. No file of it may hold a secret: no pip.conf, npmrc, gitconfig or ssh.
_ETC = """
alternatives ca-certificates debian_version fonts gai.conf host.conf inputrc ld.so.cache ld.so.conf ld.so.conf.d locale.alias
localtime lsb-release magic mime.types nsswitch.conf OpenCL os-release pki protocols R redhat-release rpc services ssl terminfo texmf
timezone vulkan
"""
_EMPTY = ("/home", "/opt", "/root", "/run", "/srv", "/sys", "/var/lib")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
_HIDDEN_OF_PROC = """
acpi asound interrupts kcore keys key-users latency_stats sched_debug scsi timer_list timer_stats
"""
_READ_ONLY_OF_PROC = "bus fs irq sys sysrq-trigger"
_COUNTS_OF_USER = {  # inotify instances: Linux has 128 for all of a user's processes, boxes and server
    **{f"max_{kind}_namespaces": 0 for kind in ("user", "pid", "mnt", "ipc", "uts", "net", "cgroup", "time")},
    "max_inotify_instances": 32,
}
_ROOT_SIZE, _ROOT_INODES, _TMP_INODES, _SHM_INODES = "1m", "4k", "100k", "10k"


class Root:
    """The tree that is put together at `plan.root`; `build` makes it the root of this process."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._top = plan.root
        self._bound: list[str] = []  # what shows files of the machine; nothing may be made below it

    def build(self) -> None:
        """Raises OSError that names the part. Needs a mount namespace of its own, and rights over it."""
        plan = self._plan
        linux.mount(None, "/", None, MS_REC | MS_PRIVATE)  # nothing of this gets out
        self._tmpfs("/", f"size={_ROOT_SIZE},nr_inodes={_ROOT_INODES},mode=0755")
        with linux.part("root"):
            self._make(_EMPTY)
        self._make_dev()
        # Before what is shown of the machine: a run directory, or a virtual environment, may lie in /tmp.
        self._tmpfs("/tmp", f"size={plan.tmp_bytes},nr_inodes={_TMP_INODES},mode=1777")
        self._tmpfs("/dev/shm", f"size={plan.shm_bytes},nr_inodes={_SHM_INODES},mode=1777")
        for name in ("tmp", "cache"):
            os.symlink("/tmp", f"{self._top}/var/{name}")
        self._show_system()
        self._show_etc()
        self._show_paths()
        for device in plan.devices:
            self._bind(os.path.realpath(device), device, ATTR_NOSUID)
        self._make_proc()
        linux.mount_attributes(self._top, ATTR_RDONLY)
        linux.pivot_root(self._top)

    def _make(self, directories: Iterable[str]) -> None:
        for path in directories:
            os.makedirs(self._top + path, exist_ok=True)

    def _tmpfs(self, path: str, options: str) -> None:
        if path != "/":
            self._make([path])
        linux.mount("box", self._top + path.rstrip("/"), "tmpfs", MS_NOSUID | MS_NODEV, options)

    def _bind(self, source: str, path: str, attributes: int) -> None:
        """Show `source` at `path`, and what is mounted below it: a part of that alone Linux refuses to an ordinary user.

        To what may be written no link leads: code that writes beside it could set one at any time."""
        with linux.part(f"show {source}"):
            is_written = not attributes & ATTR_RDONLY and attributes & ATTR_NODEV
            fd = linux.open_place(source) if is_written else os.open(source, os.O_PATH | os.O_CLOEXEC)
        try:
            with linux.part(f"show {source}"):
                target = self._place(path, is_directory=stat.S_ISDIR(os.fstat(fd).st_mode))
            linux.mount(f"/proc/self/fd/{fd}", target, None, MS_BIND | MS_REC)
        finally:
            os.close(fd)
        linux.mount_attributes(target, attributes, recursive=True)
        self._bound.append(path)

    def _place(self, path: str, *, is_directory: bool) -> str:
        """Where to mount. In what is shown of the machine nothing is made: the place must be there."""
        target = self._top + path
        if _lies_in(path, self._bound):
            if os.path.realpath(target) != target or not os.path.exists(target):
                raise FileNotFoundError(2, "there is no such place in what is shown already", path)
        elif is_directory:
            os.makedirs(target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        return target

    def _show_system(self) -> None:
        for path in _SYSTEM:
            if os.path.islink(path):
                os.symlink(os.readlink(path), self._top + path)
            elif os.path.isdir(path):
                self._bind(path, path, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV)

    def _show_etc(self) -> None:
        self._make(["/etc"])
        java = (
            name for name in os.listdir("/etc") if name.startswith("java")
        )  # Debian keeps a directory for each version
        for name in [*_ETC.split(), *java]:
            path = f"/etc/{name}"
            if os.path.islink(path):
                os.symlink(os.readlink(path), self._top + path)
            elif os.path.exists(path):
                self._bind(path, path, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV)
        for name, text in self._own_etc().items():
            with linux.part(f"/etc/{name}"), open(f"{self._top}/etc/{name}", "w", encoding="utf-8") as file:
                file.write(text)

    def _own_etc(self) -> dict[str, str]:
        """The files that would say more about the machine than a box needs, or that are not true in it."""
        uid = os.geteuid() if self._plan.uid is None else self._plan.uid
        gid = os.getegid() if self._plan.uid is None else self._plan.uid
        user = f"box:x:{uid}:{gid}::/tmp:/bin/sh\n" if uid else ""
        group = f"box:x:{gid}:\n" if gid else ""
        is_open = self._plan.network == "open"
        return {
            "passwd": f"root:x:0:0::/root:/bin/sh\n{user}nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
            "group": f"root:x:0:\ntty:x:5:\n{group}nogroup:x:65534:\n",
            "hostname": "box\n",
            "hosts": "127.0.0.1 localhost box\n::1 localhost\n" + (_text("/etc/hosts") if is_open else ""),
            "resolv.conf": _text("/etc/resolv.conf") if is_open else "",
        }

    def _show_paths(self) -> None:
        """What the plan names, the outer before what lies in it."""
        read, write = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV, ATTR_NOSUID | ATTR_NODEV
        wanted: dict[str, tuple[str, int]] = {}
        links: dict[str, str] = {}
        for path in self._plan.read:
            place = os.path.realpath(path)
            wanted[place] = (place, read)
            if place != path:
                links[path] = place
        wanted |= {target: (source, read) for source, target in self._plan.mounts}
        wanted |= {path: (path, write) for path in self._plan.write}
        shown: dict[str, int] = dict.fromkeys(self._bound, read)
        for path in sorted(wanted):
            source, attributes = wanted[path]
            around = max((each for each in shown if _lies_in(path, [each])), key=len, default="")
            if source == path and shown.get(around) == attributes:
                continue
            self._bind(source, path, attributes)
            shown[path] = attributes
        for path, place in links.items():
            self._link(path, place)

    def _link(self, path: str, place: str) -> None:
        """Have a path that goes through links lead where it leads outside, unless it does already."""
        target = self._top + path
        if _lies_in(path, self._bound) or os.path.lexists(target):
            return
        with linux.part(f"show {path}"):
            if os.path.realpath(os.path.dirname(target)) == os.path.dirname(target):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.symlink(place, target)

    def _make_dev(self) -> None:
        self._make(["/dev/pts", "/dev/shm", "/var"])
        for name in _DEVICES:
            self._bind(f"/dev/{name}", f"/dev/{name}", ATTR_NOSUID)
        for name, to in _LINKS.items():
            os.symlink(to, f"{self._top}/dev/{name}")
        options = "newinstance,ptmxmode=0666,mode=0620"
        linux.mount("box", f"{self._top}/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, options)

    def _make_proc(self) -> None:
        """Where the machine's /proc is partly hidden, as in Docker, Linux refuses this to an ordinary user: it would undo that."""
        place = f"{self._top}/proc"
        self._make(["/proc"])
        linux.mount("proc", place, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        if world.needed():  # otherwise it would be the whole machine's
            self._limit_user(f"{place}/sys/user")
        for name in _READ_ONLY_OF_PROC.split():
            if os.path.exists(f"{place}/{name}"):
                linux.mount(f"{place}/{name}", f"{place}/{name}", None, MS_BIND | MS_REC)
                linux.mount_attributes(f"{place}/{name}", ATTR_RDONLY)
        for name in _HIDDEN_OF_PROC.split():
            try:
                mode = os.lstat(f"{place}/{name}").st_mode
            except FileNotFoundError:
                continue
            cover = "/sys" if stat.S_ISDIR(mode) else "/dev/null"
            linux.mount(self._top + cover, f"{place}/{name}", None, MS_BIND)
            linux.mount_attributes(f"{place}/{name}", ATTR_RDONLY | ATTR_NOSUID)

    def _limit_user(self, place: str) -> None:
        """What our user namespace may have from now on."""
        for name, most in _COUNTS_OF_USER.items():
            if not os.path.exists(f"{place}/{name}"):  # this Linux has none of those
                continue
            with linux.part(f"sysctl user.{name}"), open(f"{place}/{name}", "w") as file:
                file.write(str(most))


def _lies_in(path: str, places: Iterable[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""
