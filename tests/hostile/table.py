"""The table in SECURITY.md: how many of the attacks on each subject are stopped at each tier."""

from __future__ import annotations

from pathlib import Path

from tests.hostile import CHECKS
from tests.hostile.check import STOPPED, TIERS

DOCUMENT = Path(__file__).resolve().parents[2] / "SECURITY.md"
BEGIN, END = "<!-- begin of the table -->\n", "<!-- end of the table -->\n"
SUBJECTS = {
    1: "Rights of its own; setuid programs",
    2: "System calls by other architectures' numbers",
    3: "Arguments with high bits set",
    4: "New namespaces",
    5: "Mounts, other roots",
    6: "io_uring",
    7: "Memory of other processes, ptrace",
    8: "`/proc` of other processes, the host's ports",
    9: "Signals, limits and priority of other processes",
    10: "Open files of other processes",
    11: "Keyrings",
    12: "bpf, perf, userfaultfd, file handles, modules, kexec",
    13: "Rare socket families, raw and netlink sockets",
    14: "Unix sockets of the server and of other contexts",
    15: "Inherited descriptors",
    16: "Terminals",
    17: "Devices",
    18: "`/tmp`, `/dev/shm` and System V memory of another context",
    19: "The operator's files, other contexts' files, the run directory",
    20: "Links in the way of downloads and uploads",
    21: "Odd files, deep directories, many names",
    22: "Code and settings that others run",
    23: "Ways round: rename, links, programs in memory, `ld.so`",
    24: "Fork bombs, thread bombs, daemons",
    25: "Memory",
    26: "Disk, file size, open files",
    27: "Floods of output",
    28: "Cells that do not want to end",
    29: "The network",
    30: "A system that refuses a part: the server says so",
}


def cell(number: int, tier: str) -> str:
    """What the table says of a subject at a tier, for a server that an ordinary user runs, and for root's if that differs."""
    texts = []
    for as_root in (False, True):
        found = [check.expected(tier, as_root=as_root) for check in CHECKS if check.number == number]
        stopped = found.count(STOPPED)
        texts.append("stopped" if stopped == len(found) else f"{stopped} of {len(found)}" if stopped else "open")
    return texts[0] if texts[0] == texts[1] else f"{texts[0]}; root: {texts[1]}"


def table() -> str:
    """The table as markdown."""
    lines = [f"| | What is tried | {' | '.join(f'`{tier}`' for tier in TIERS)} |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {number} | {subject} | {' | '.join(cell(number, tier) for tier in TIERS)} |"
        for number, subject in SUBJECTS.items()
    ]
    return "\n".join(lines) + "\n"


def parts() -> tuple[str, str, str]:
    """The document before, in and after the table."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    inside, _, after = rest.partition(END)
    return before, inside, after


def write() -> None:
    """Put the table into the document."""
    before, _, after = parts()
    DOCUMENT.write_text(before + BEGIN + "\n" + table() + "\n" + END + after)
