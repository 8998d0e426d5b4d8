"""Rights and system calls: checks 1 to 6, 12, 13, 16 and 17."""

from __future__ import annotations

from tests.hostile.check import check
from tests.hostile.prelude import *  # noqa: F403 - what the attack's text begins with

# ruff: noqa: F405


@check(1, "NoNewPrivs is 1; no capabilities and no further groups.", since="process")
def keep_rights() -> object:
    """Reads its own rights."""
    mine = status_of("self")
    found = [name for name in ("CapInh", "CapPrm", "CapEff", "CapAmb") if int(mine[name], 16)]
    found += ["NoNewPrivs"] if mine["NoNewPrivs"] != "1" else []
    # An ordinary user cannot give up groups; a number that the box does not know is shown as 65534.
    groups = set(map(int, mine["Groups"].split())) - {os.getgid()}
    return found + (["Groups"] if groups and FACTS["root"] else [])


@check(1, "A setuid program gains nothing.", since="process")
def setuid_program() -> object:
    """Starts `su` and looks at the user that it runs as."""
    found = next((path for path in ("/usr/bin/su", "/bin/su") if os.path.exists(path)), None)
    if found is None or not os.stat(found).st_mode & stat.S_ISUID:
        raise Absent("su")
    with subprocess.Popen(
        [found], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as su:
        try:
            end = time.monotonic() + 5
            while time.monotonic() < end and su.poll() is None and not status_of(su.pid)["Name"].startswith("su"):
                time.sleep(0.01)
            return status_of(su.pid).get("Uid", "").split()[1:2] == ["0"]
        finally:
            su.kill()


@check(2, "The filter knows no other architecture's numbers: refused.", since="landlock", depends=True)
def int_0x80() -> object:
    """Calls getpid by `int 0x80`, whose numbers are those of 32-bit programs."""
    if platform.machine() != "x86_64":
        raise Absent("x86-64")

    def attempt() -> object:
        code = bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3])  # mov eax, 20; int 0x80; ret
        memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        memory.write(code)
        function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
        return function() == os.getpid()

    return in_child(attempt)


@check(2, "Refused.", since="none")
def x32_numbers() -> object:
    """Calls getpid by its x32 number."""
    return platform.machine() == "x86_64" and in_child(lambda: call(0x40000000 + 39) > 0)


@check(2, "It does not run.", since="landlock", depends=True)
def program_of_32_bits() -> object:
    """Runs a 32-bit program that ends with the status 42."""
    if platform.machine() != "x86_64":
        raise Absent("x86-64")
    code = bytes([0xB8, 1, 0, 0, 0, 0xBB, 42, 0, 0, 0, 0xCD, 0x80])  # mov eax, 1; mov ebx, 42; int 0x80
    base, size = 0x8048000, 84 + len(code)
    head = b"\x7fELF\1\1\1" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, base + 84, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    path = os.path.abspath("program32")
    with open(path, "wb") as file:
        file.write(head + struct.pack("<8I", 1, 0, base, base, size, size, 5, 4096) + code)
    os.chmod(path, 0o755)
    return subprocess.run([path], check=False).returncode == 42


@check(3, "The filter compares what Linux reads: refused as without them.", since="landlock")
def high_bits() -> object:
    """Asks for a generic netlink socket and for TIOCSTI with bits set above the 32 that Linux reads."""
    high = 1 << 32
    null = os.open("/dev/null", os.O_RDWR)
    return reached(
        {
            "netlink": lambda: call("socket", high | socket.AF_NETLINK, high | socket.SOCK_RAW, high | 16) >= 0,
            "TIOCSTI": lambda: not_refused("ioctl", null, high | 0x5412, ctypes.create_string_buffer(b"x")),
        }
    )


@check(4, "Refused: with namespaces of its own, code has all capabilities.", since="landlock")
def new_namespaces() -> object:
    """Asks for a user namespace by unshare, clone and clone3, and for another namespace by setns."""
    user = 0x10000000
    arguments = struct.pack("<8Q", user, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)

    def clone(name: str, *given: object) -> bool:
        pid = call(name, *given)
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return True

    return reached(
        {
            "unshare": lambda: in_child(lambda: call("unshare", user) == 0),
            "clone": lambda: in_child(lambda: clone("clone", user | signal.SIGCHLD, 0, 0, 0, 0)),
            "clone3": lambda: in_child(lambda: clone("clone3", arguments, len(arguments))),
            "setns": lambda: not_refused("setns", -1, user),
        }
    )


@check(
    4,
    "Refused: the lists of mounts and of processes stay as they are.",
    since="landlock",
    as_root="process",
    depends=True,
)
def namespaces_of_root() -> object:
    """Asks for a mount, pid and net namespace without a user namespace."""
    return reached({name: lambda flag=flag: in_child(lambda: call("unshare", flag) == 0) for name, flag in (
        ("mount", 0x20000), ("pid", 0x20000000), ("net", 0x40000000), ("ipc", 0x8000000), ("uts", 0x4000000))})  # fmt: skip


@check(5, "Refused.", since="none", as_root="process")
def mounts() -> object:
    """Mounts a tmpfs, by the old calls and by the new ones, binds a directory, changes a mount, and changes its root."""
    os.makedirs("mounted", exist_ok=True)

    def mount(kind: bytes, flags: int, source: bytes) -> bool:
        call("mount", source, b"mounted", kind, flags, 0)
        call("umount2", b"mounted", 2)
        return True

    return reached(
        {
            "mount": lambda: mount(b"tmpfs", 0, b"none"),
            "bind": lambda: mount(b"none", 4096, b"/usr"),
            "fsopen": lambda: call("fsopen", b"tmpfs", 0) >= 0,
            "open_tree": lambda: call("open_tree", -100, b"/usr", 1) >= 0,
            "move_mount": lambda: not_refused("move_mount", -1, b"", -100, b"mounted", 4),
            "mount_setattr": lambda: not_refused("mount_setattr", -1, b"", 0x1000, bytes(32), 32),
            "pivot_root": lambda: not_refused("pivot_root", b"mounted", b"mounted"),
            "chroot": lambda: in_child(lambda: call("chroot", b".") == 0),
        }
    )


@check(5, "What is masked stays masked.", since="none", as_root="process")
def uncover() -> object:
    """Takes away what is mounted over a part of /proc or /dev. Outside of a box it only asks whether it could, for what is no mount."""
    where = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    masks = [path for path in where if path.startswith(("/proc/", "/dev/", "/sys/")) and path.count("/") > 1]
    if os.stat("/proc/self/ns/mnt").st_ino == FACTS["mounts"]:
        masks = [os.getcwd()]  # the machine's own mounts must stay
    return reached({path: lambda path=path: not_refused("umount2", path.encode(), 8) for path in masks})


@check(
    6,
    "ENOSYS, as on a system without it; Node works (it is in the list of what must work).",
    since="landlock",
    depends=True,
)
def io_uring() -> object:
    """Makes an io_uring, whose requests no filter sees."""
    return call("io_uring_setup", 8, ctypes.create_string_buffer(120)) >= 0


@check(12, "Refused.", since="landlock")
def parts_of_the_system() -> object:
    """Asks for bpf, perf events, userfaultfd, file handles, modules, another system, and swap."""
    perf = struct.pack("<IIQ", 1, 112, 0).ljust(112, b"\0")
    return reached(
        {
            "bpf": lambda: not_refused("bpf", 0, struct.pack("<IIII", 2, 4, 8, 1).ljust(64, b"\0"), 64),
            "perf_event_open": lambda: not_refused("perf_event_open", perf, 0, -1, -1, 0),
            "userfaultfd": lambda: not_refused("userfaultfd", 1),
            "open_by_handle_at": lambda: not_refused("open_by_handle_at", -1, bytes(64), 0),
            "init_module": lambda: not_refused("init_module", 0, 0, b""),
            "finit_module": lambda: not_refused("finit_module", -1, b"", 0),
            "delete_module": lambda: not_refused("delete_module", b"no_such_module", os.O_NONBLOCK),
            "kexec_load": lambda: not_refused("kexec_load", 0, 99, 0, 1 << 30),
            "swapon": lambda: not_refused("swapon", b"/no/such/file", 0),
        }
    )


@check(
    13, "Refused. getifaddrs, which uses a route socket, works (it is in the list of what must work).", since="landlock"
)
def odd_sockets() -> object:
    """Makes sockets of families that only few programs need, raw ones, and netlink ones that are not for routes."""

    def made(family: int, kind: int, protocol: int = 0) -> Callable[[], bool]:
        def attempt() -> bool:
            call("socket", family, kind, protocol)
            return True

        return attempt

    attempts = {"packet": made(17, 3, 768), "raw": made(2, 3, 1), "raw v6": made(10, 3, 58)}
    attempts |= {
        name: made(family, kind)
        for name, family, kind in (("vsock", 40, 1), ("alg", 38, 5), ("bluetooth", 31, 1), ("xdp", 44, 3))
    }
    attempts |= {f"netlink {protocol}": made(16, 3, protocol) for protocol in (2, 4, 6, 9, 12, 15, 16)}
    return reached(attempts)


@check(16, "Refused: what is typed into a terminal is a command of its user.", since="landlock")
def terminals() -> object:
    """Asks for TIOCSTI and TIOCLINUX."""
    null = os.open("/dev/null", os.O_RDWR)
    codes = {"TIOCSTI": 0x5412, "TIOCLINUX": 0x541C}
    return reached(
        {
            name: lambda code=code: not_refused("ioctl", null, code, ctypes.create_string_buffer(b"x"))
            for name, code in codes.items()
        }
    )


@check(16, "There is none.", since="none")
def controlling_terminal() -> object:
    """Opens /dev/tty."""
    return os.open("/dev/tty", os.O_RDWR) >= 0


@check(17, "null, zero, full, random, urandom, and its own shm and terminals; nothing else.", since="landlock")
def list_of_devices() -> object:
    """Lists /dev."""
    known = [
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "fd",
        "stdin",
        "stdout",
        "stderr",
        "ptmx",
        "pts",
        "shm",
        "core",
        "mqueue",
    ]
    return sorted(set(os.listdir("/dev")) - set(known))


@check(17, "Refused.", since="landlock", depends=True)
def devices() -> object:
    """Opens disks, memory, the system's log, and the doors to new devices."""
    paths = [
        f"/dev/{name}"
        for name in [
            "mem",
            "port",
            "kmsg",
            "fuse",
            "kvm",
            "net/tun",
            "loop-control",
            "vhost-net",
            "vhost-vsock",
            "snapshot",
            "cuse",
            "nvram",
        ]
    ]
    with contextlib.suppress(OSError):
        paths += [str(path) for path in Path("/dev").iterdir() if stat.S_ISBLK(path.stat().st_mode)]
    return reached({path: lambda path=path: os.open(path, os.O_RDWR | os.O_NONBLOCK) >= 0 for path in paths})


@check(17, "Refused.", since="none", as_root="process")
def new_device() -> object:
    """Makes a device of its own: the memory of the machine."""
    os.mknod("own-device", stat.S_IFCHR | 0o600, os.makedev(1, 1))
    os.unlink("own-device")
    return True
