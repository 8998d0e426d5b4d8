"""What code in a box tries in vain, with every part of the confinement on, and what must still work."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from tests.real.isolation.boxes import Box, Parent

_TRY = """
import ctypes, errno, fcntl, json, os, resource, signal, socket, struct, subprocess, sys, termios, threading
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return errno.errorcode[ctypes.get_errno()] if result < 0 else result
def attempt(function, *arguments):
    try: function(*arguments)
    except OSError as error: return errno.errorcode[error.errno]
    except ValueError: return 'EPERM'  # of setrlimit
    return "done"
def reserve(kind, mode, size=1 << 20):
    with open('/tmp/reserved', 'wb') as file:
        file.write(b'x' * 8192)
        file.flush()
        if kind == 'ioctl': return call(16, file.fileno(), mode, struct.pack('hhqqiI4i', 0, 0, 0, size, 0, 0, 0, 0, 0, 0))
        return call(285, file.fileno(), mode, 0, size)
def reserves_by_writing():
    with open('/tmp/written', 'wb') as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 20)
        return os.fstat(file.fileno()).st_blocks * 512 >= 1 << 20
def lingers():
    tcp = socket.socket()
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
    return struct.unpack("ii", tcp.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))[0]
"""

# By number on x86-64.
_CALLS = {
    "mount": "call(165, b'none', b'/tmp', b'tmpfs', 0, None)",
    "umount of a mask": "call(166, b'/proc/keys', 2)",
    "pivot_root": "call(155, b'/tmp', b'/tmp')",
    "chroot": "call(161, b'/tmp')",
    "fsopen": "call(430, b'tmpfs', 0)",
    "open_tree": "call(428, -100, b'/', 1)",
    "move_mount": "call(429, -100, b'/', -100, b'/tmp', 0)",
    "mount_setattr": "call(442, -100, b'/', 0, b' ' * 32, 32)",
    "unshare": "call(272, 0x10000000)",
    "unshare with high bits": "call(272, 0x1_10000000)",
    "setns": "call(308, os.open('/proc/self/ns/net', 0), 0)",
    "clone with a user namespace": "call(56, 0x10000011, None, None, None, None)",
    "clone with high bits": "call(56, 0xF_10000011, None, None, None, None)",
    "clone for our parent": "call(56, 0x8011, None, None, None, None)",
    "ptrace": "call(101, 16, os.getppid(), 0, 0)",
    "process_vm_readv": "call(310, 1, None, 0, None, 0, 0)",
    "kcmp": "call(312, 1, os.getpid(), 0, 0, 0)",
    "pidfd_getfd": "call(438, os.pidfd_open(1), 0, 0)",
    "keyctl": "call(250, 0, -3, 0)",
    "add_key": "call(248, b'user', b'a', b'b', 1, -3)",
    "bpf": "call(321, 0, None, 0)",
    "perf_event_open": "call(298, b' ' * 128, 0, -1, -1, 0)",
    "userfaultfd": "call(323, 0)",
    "open_by_handle_at": "call(304, -100, b' ' * 32, 0)",
    "kexec_load": "call(246, 0, 0, None, 0)",
    "init_module": "call(175, None, 0, b'')",
    "personality": "call(135, 0x0040000)",
    "TIOCSTI": "call(16, os.openpty()[1], 0x5412, b'x')",
    "TIOCSTI with high bits": "call(16, os.openpty()[1], 0x7_00005412, b'x')",
    "TIOCLINUX": "call(16, os.openpty()[1], 0x541C, b'x')",
    "raw": "attempt(socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)",
    "a device": "attempt(os.mknod, '/tmp/device', 0o20666, os.makedev(1, 1))",
    "init's memory": "attempt(open, '/proc/1/mem', 'rb')",
    "init's environment": "attempt(lambda: open('/proc/1/environ', 'rb').read())",
    "init's root": "attempt(os.listdir, '/proc/1/root')",
    "init's descriptors": "attempt(os.listdir, '/proc/1/fd')",
    "the machine's memory": "attempt(lambda: open('/proc/kcore', 'rb').read(1) or os.stat('/proc/no'))",
    "the terminal": "attempt(open, '/dev/tty')",
    "a limit of init": "attempt(resource.prlimit, 1, resource.RLIMIT_CPU, (1, 1))",
    "a lease": "attempt(fcntl.fcntl, open('/tmp/leased', 'w'), fcntl.F_SETLEASE, fcntl.F_WRLCK)",
    "another user": "attempt(os.setuid, 12345)",
    "a higher limit": "attempt(resource.setrlimit, resource.RLIMIT_CORE, (1, 1))",
}
_REFUSED = {errno.errorcode[each] for each in (errno.EPERM, errno.EACCES, errno.ENOENT, errno.EINVAL, errno.ENXIO)}
_ABSENT = {
    "io_uring_setup": "call(425, 1, None)",
    "clone3": "call(435, b' ' * 88, 88)",
    "a number that nobody knows": "call(1000)",
    "x32": "call(0x40000000 + 39)",
}
_RESERVATIONS = {
    "fallocate": "reserve('call', 0)",
    "fallocate beyond the end": "reserve('call', 1)",
    "fallocate of zeros": "reserve('call', 0x10)",
    "fallocate with high bits": "reserve('call', 0x5_00000000)",
    "FS_IOC_RESVSP": "reserve('ioctl', 0x40305828)",
    "FS_IOC_RESVSP64": "reserve('ioctl', 0x4030582A)",
    "FS_IOC_ZERO_RANGE": "reserve('ioctl', 0x40305839)",
}
_FAMILIES = {
    "vsock": "attempt(socket.socket, 40, socket.SOCK_STREAM)",
    "packet": "attempt(socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM)",
    "crypto": "attempt(socket.socket, 38, socket.SOCK_SEQPACKET)",
    "bluetooth": "attempt(socket.socket, 31, socket.SOCK_STREAM, 3)",
    "netlink audit": "attempt(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 9)",
    "family with high bits": "call(41, 0x5_00000028, 1, 0)",
}
_WORKS = {
    "threads": "[each.start() or each.join() for each in [threading.Thread(target=int)]] and 'yes'",
    "a program": "subprocess.run(['/bin/echo', 'yes'], capture_output=True, text=True).stdout.strip()",
    "fork": "(lambda pid: os.waitpid(pid, 0) and 'yes' if pid else os._exit(0))(os.fork())",
    "interfaces": "'lo' in [name for _, name in socket.if_nameindex()] and 'yes'",
    "netlink route": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) and 'yes'",
    "a pair": "socket.socketpair() and 'yes'",
    "udp": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM) and 'yes'",
    "no effect of SO_LINGER": "lingers() or 'yes'",
    "a terminal": "os.openpty() and 'yes'",
    "own descriptors": "os.listdir('/proc/self/fd') and 'yes'",
    "own environment": "open('/proc/self/environ').read() is not None and 'yes'",
    "memory file": "os.memfd_create('a') and 'yes'",
    "space by writing": "reserves_by_writing() and 'yes'",
    "freeing space": "reserve('call', 3, 4096) == 0 and 'yes'",
    "a pidfd": "os.pidfd_open(os.getpid()) and 'yes'",
    "asking for the personality": "call(135, 0xFFFFFFFF) == 0 and 'yes'",
}
_ALL = {**_CALLS, **_ABSENT, **_RESERVATIONS, **_FAMILIES, **_WORKS}


@pytest.fixture(scope="module")
def found(spawner: Parent) -> Any:
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86-64")
    box = spawner.box()
    attempts = "".join(f"found[{name!r}] = {code}\n" for name, code in _ALL.items())
    limits = {"rlimits": {"CORE": [0, 0]}}
    result = spawner.python(box, f"{_TRY}\nfound = {{}}\n{attempts}print(json.dumps(found))", **limits).json()
    box.close()
    return result


def test_what_leads_out_of_a_box_is_refused(found: Any):
    assert {name: found[name] for name in _CALLS if found[name] not in _REFUSED} == {}


def test_what_programs_probe_for_is_absent(found: Any):
    assert {name: found[name] for name in _ABSENT} == dict.fromkeys(_ABSENT, "ENOSYS")


def test_space_is_taken_by_writing_only(found: Any):
    assert {name: found[name] for name in _RESERVATIONS} == dict.fromkeys(
        _RESERVATIONS, errno.errorcode[errno.EOPNOTSUPP]
    )


def test_sockets_are_of_the_usual_families(found: Any):
    assert {name: found[name] for name in _FAMILIES} == dict.fromkeys(_FAMILIES, "EAFNOSUPPORT")


def test_what_programs_need_works(found: Any):
    assert {name: found[name] for name in _WORKS} == dict.fromkeys(_WORKS, "yes")


def test_a_call_of_the_32_bit_table_ends_the_process(spawner: Parent, box: Box):
    if os.uname().machine != "x86_64":
        pytest.skip("int 0x80 is x86")
    code = """
        import ctypes, mmap
        page = mmap.mmap(-1, 4096, prot=7)
        page.write(bytes.fromhex("b814000000cd80c3"))  # getpid by int 0x80
        print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())
    """
    ran = spawner.python(box, code)
    assert os.waitstatus_to_exitcode(ran.notice["status"]) == -31  # SIGSYS
    assert ran.output == ""


def test_signals_reach_what_is_in_the_box_only(spawner: Parent, box: Box):
    code = """
        import json, os, signal, subprocess
        signal.signal(signal.SIGTERM, lambda *_: None)
        child = subprocess.Popen(["/bin/sleep", "1000"])
        tried = []
        for pid in (1, -1, 4000000):
            try: os.kill(pid, signal.SIGTERM); tried.append("sent")
            except OSError as error: tried.append(type(error).__name__)
        try: os.kill(1, signal.SIGKILL)
        except PermissionError: pass
        print(json.dumps([tried[2], child.wait()]))
    """
    assert spawner.python(box, code).json() == ["ProcessLookupError", -15]
    assert box.processes == {1}  # init has survived
    assert os.path.exists(f"/proc/{spawner.process.pid}")


def test_a_set_user_id_program_gains_nothing(spawner: Parent, box: Box):
    code = """
        import json, os, subprocess
        program = "/usr/bin/su" if os.path.exists("/usr/bin/su") else "/usr/bin/passwd"
        assert os.stat(program).st_mode & 0o4000
        text = subprocess.run(["/bin/sh", "-c", "exec 2>&1; " + program + " root -c id < /dev/null; id -u"], capture_output=True, text=True).stdout
        print(json.dumps(text.split()[-1]))
    """
    assert spawner.python(box, code).json() == str(spawner.user.kernel_uid)
