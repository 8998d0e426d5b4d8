"""The filter of system calls, judged by an interpreter of its own for the BPF that Linux takes."""

from __future__ import annotations

import errno
import socket
import struct
from pathlib import Path

import pytest

from tests.unit.runtimes.bpf import ALLOW, KILL, judge
from tests.unit.runtimes.confine import filter as filters
from tests.unit.runtimes.confine import syscalls

MACHINES = ("x86_64", "aarch64")
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
HIGH = 0x7654_3210 << 32
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
NEWUSER, NEWNS, NEWTIME, PARENT, THREAD = 0x10000000, 0x20000, 0x80, 0x8000, 0x3D0F00


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def verdict(
    machine: str,
    name: str | int,
    *arguments: int,
    network: bool = True,
    boxed: bool = True,
    architecture: int = 0,
) -> int | str:
    """What becomes of a call: "allowed", "killed" or the number of an error."""
    number = syscalls.numbers(machine)[name] if isinstance(name, str) else name
    given = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<iIQ6Q", number, architecture or ARCHITECTURE[machine], 0, *given)
    result = judge(filters.program(machine, network=network, boxed=boxed), data)
    return {ALLOW: "allowed", KILL: "killed"}.get(result, result & 0xFFFF)


def test_another_architecture_is_ended_first(machine: str):
    others = {0x40000003, 0x40000028, *ARCHITECTURE.values()} - {ARCHITECTURE[machine]}
    assert {verdict(machine, 0, architecture=each) for each in others} == {"killed"}
    assert {verdict(machine, "ptrace", architecture=each) for each in others} == {"killed"}


def test_the_second_table_of_x86_and_unknown_numbers_are_absent(machine: str):
    x32 = [0x40000000 + number for number in (0, 39, 101, 520)]
    newest = syscalls.NEWEST
    assert {verdict(machine, number) for number in (*x32, newest + 1, 1000, -1)} == {errno.ENOSYS}
    assert verdict(machine, newest) == "allowed"


def test_every_call_of_the_list_is_refused_whatever_its_arguments(machine: str):
    known = syscalls.numbers(machine)
    refused = [name for name in syscalls.REFUSED if name in known]
    assert len(refused) > 50
    for arguments in ((), (HIGH,) * 6, (2**64 - 1,) * 6):
        assert {verdict(machine, name, *arguments) for name in refused} == {errno.EPERM}
        assert {verdict(machine, name, *arguments) for name in syscalls.UNKNOWN} == {errno.ENOSYS}


def test_all_other_calls_pass(machine: str):
    known = syscalls.numbers(machine)
    judged = set(known.values())
    others = [number for number in range(syscalls.NEWEST + 1) if number not in judged]
    assert {verdict(machine, number, *(2**64 - 1,) * 6) for number in others} == {"allowed"}


@pytest.mark.parametrize("high", [0, HIGH], ids=["plain", "high bits"])
def test_clone_makes_threads_and_processes_only(machine: str, high: int):
    for flags in (17, THREAD, 0x4111, 0x01200011):
        assert verdict(machine, "clone", flags | high) == "allowed"
    for flag in (NEWUSER, NEWNS, NEWTIME, PARENT, 0x2000000, 0x4000000, 0x8000000, 0x20000000, 0x40000000):
        assert verdict(machine, "clone", 17 | flag | high) == errno.EPERM


@pytest.mark.parametrize("high", [0, HIGH], ids=["plain", "high bits"])
def test_a_terminal_takes_no_input_from_a_program(machine: str, high: int):
    assert {verdict(machine, "ioctl", 0, request | high) for request in (0x5412, 0x541C, 0x541D, 0x5423)} == {
        errno.EPERM
    }
    assert {verdict(machine, "ioctl", 0, request | high) for request in (0x5401, 0x5413, 0x5421)} == {"allowed"}


@pytest.mark.parametrize("high", [0, HIGH], ids=["plain", "high bits"])
def test_no_file_is_leased(machine: str, high: int):
    assert verdict(machine, "fcntl", 5, 1024 | high) == errno.EPERM
    assert {verdict(machine, "fcntl", 5, command | high) for command in (1, 2, 4, 6, 1030, 1031, 1033)} == {"allowed"}


@pytest.mark.parametrize("high", [0, HIGH], ids=["plain", "high bits"])
def test_no_space_is_reserved_but_it_can_be_freed(machine: str, high: int):
    taking = {verdict(machine, "fallocate", 5, mode | high, 0, 1 << 40) for mode in (0, 1, 0x10, 0x11, 0x20, 0x40)}
    reserving = [0x40305828, 0x4030582A, 0x40305839, 0x4030580A, 0x40305824]
    assert taking | {verdict(machine, "ioctl", 5, request | high) for request in reserving} == {errno.EOPNOTSUPP}
    assert verdict(machine, "fallocate", 5, 3 | high, 0, 1 << 40) == "allowed"
    assert {verdict(machine, "ioctl", 5, request | high) for request in (0x40305829, 0x4030582B)} == {"allowed"}


@pytest.mark.parametrize("high", [0, HIGH], ids=["plain", "high bits"])
def test_limits_of_others_can_be_asked_for_only(machine: str, high: int):
    assert verdict(machine, "prlimit64", high, 7, 0x7FFF_0000_0000, 0) == "allowed"
    assert verdict(machine, "prlimit64", 4711 | high, 7, 0, 0x7FFF_0000_0000) == "allowed"
    assert {verdict(machine, "prlimit64", 1 | high, 7, new, 0) for new in (8, 1 << 32)} == {errno.EPERM}


@pytest.mark.parametrize("high", [0, HIGH], ids=["plain", "high bits"])
def test_outside_of_a_box_priorities_of_others_cannot_be_set(machine: str, high: int):
    own = [("setpriority", high, high), ("ioprio_set", 1 | high, high)]
    others = [("setpriority", high, 7 | high), ("setpriority", 2 | high, high), ("setpriority", 1, 0)]
    others += [("ioprio_set", 1 | high, 7), ("ioprio_set", 3, 0), ("ioprio_set", 2, 0)]
    for name in ("sched_setscheduler", "sched_setparam", "sched_setattr"):
        own.append((name, high, 3))
        others.append((name, 7 | high, 3))
    for boxed in (True, False):
        assert {verdict(machine, *call, boxed=boxed) for call in own} == {"allowed"}
    assert {verdict(machine, *call, boxed=False) for call in others} == {errno.EPERM}
    assert {verdict(machine, *call) for call in others} == {"allowed"}


@pytest.mark.parametrize("high", [0, HIGH], ids=["plain", "high bits"])
def test_no_close_of_a_socket_waits(machine: str, high: int):
    assert verdict(machine, "setsockopt", 5, socket.SOL_SOCKET | high, socket.SO_LINGER | high) == 0
    assert verdict(machine, "setsockopt", 5, socket.SOL_SOCKET, socket.SO_REUSEADDR) == "allowed"
    assert verdict(machine, "setsockopt", 5, socket.IPPROTO_TCP, socket.SO_LINGER) == "allowed"


def test_the_personality_can_be_asked_for_only(machine: str):
    assert verdict(machine, "personality", 0xFFFFFFFF) == "allowed"
    assert verdict(machine, "personality", 0) == "allowed"
    assert verdict(machine, "personality", 0x0040000) == errno.EPERM


@pytest.mark.parametrize("high", [0, HIGH], ids=["plain", "high bits"])
def test_sockets_are_of_the_usual_families_and_protocols(machine: str, high: int):
    stream, datagram, raw = (kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK | high for kind in (1, 2, 3))

    def made(family: int, kind: int, protocol: int = 0) -> int | str:
        return verdict(machine, "socket", family | high, kind, protocol | high)

    assert {made(socket.AF_UNIX, kind) for kind in (stream, datagram, 5 | high)} == {"allowed"}
    for family in (socket.AF_INET, socket.AF_INET6):
        assert {made(family, stream), made(family, stream, 6), made(family, datagram), made(family, datagram, 17)} == {
            "allowed"
        }
        assert {made(family, stream, 262), made(family, stream, 132), made(family, datagram, 136)} == {
            errno.EPROTONOSUPPORT
        }
        assert {made(family, raw, 1), made(family, 5 | high, 132)} == {errno.EPERM}
    assert made(socket.AF_NETLINK, raw, 0) == "allowed"
    assert {made(socket.AF_NETLINK, raw, protocol) for protocol in range(1, 32)} == {errno.EAFNOSUPPORT}
    usual = {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK}
    assert {made(family, stream) for family in set(range(64)) - usual} == {errno.EAFNOSUPPORT}


def test_pairs_are_of_unix_sockets(machine: str):
    assert verdict(machine, "socketpair", socket.AF_UNIX, 1) == "allowed"
    assert {verdict(machine, "socketpair", family, 1) for family in (socket.AF_INET, 30)} == {errno.EAFNOSUPPORT}


def test_without_network_there_is_no_datagram_and_no_connection_past_landlock(machine: str):
    def made(*arguments: int) -> int | str:
        return verdict(machine, "socket", *arguments, network=False)

    assert {made(socket.AF_INET, 2), made(socket.AF_INET6, 2, 17)} == {errno.EPERM}
    assert {made(socket.AF_INET, 1), made(socket.AF_UNIX, 2), made(socket.AF_NETLINK, 3)} == {"allowed"}
    for name, place in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
        flags = [0] * place
        assert verdict(machine, name, *flags, 0x20000000 | 0x4000 | HIGH, network=False) == errno.EOPNOTSUPP
        assert verdict(machine, name, *flags, 0x4000, network=False) == "allowed"
        assert verdict(machine, name, *flags, 0x20000000) == "allowed"


def test_the_numbers_are_those_of_the_headers(machine: str):
    if not HEADERS[machine].exists():
        pytest.skip("the headers of Linux are not installed")
    defined = {}
    for line in HEADERS[machine].read_text().splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "#define" and words[1].startswith("__NR") and words[2].isdigit():
            defined.setdefault(words[1].removeprefix("__NR3264_").removeprefix("__NR_"), int(words[2]))
    known = syscalls.numbers(machine)
    assert {name: known[name] for name in known if name in defined and defined[name] != known[name]} == {}
    assert len(known.keys() & defined.keys()) > 60


def test_the_program_is_one_that_linux_takes(machine: str):
    assert len(filters.program(machine, network=False)) // 8 < 4096
