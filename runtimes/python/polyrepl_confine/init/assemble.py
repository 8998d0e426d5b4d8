"""Assemble the init of a box again: ``python assemble.py [MACHINE]``. Needs binutils, for another machine than this one its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
MACHINES = tuple(sorted(path.stem for path in HERE.glob("*.S")))


def assembler(machine: str) -> str:
    """The name of the program that assembles for this machine."""
    return "as" if machine == os.uname().machine else f"{machine}-linux-gnu-as"


def assembled(machine: str) -> bytes:
    """The program for this machine. Raises FileNotFoundError without an assembler for it."""
    prefix = assembler(machine).removesuffix("as")
    with tempfile.TemporaryDirectory() as place:
        code = f"{place}/init.o"
        subprocess.run([f"{prefix}as", "-o", code, str(HERE / f"{machine}.S")], check=True)
        subprocess.run([f"{prefix}objcopy", "-O", "binary", "-j", ".text", code, f"{place}/init"], check=True)
        return Path(f"{place}/init").read_bytes()


if __name__ == "__main__":
    for name in sys.argv[1:] or MACHINES:
        (HERE / f"{name}.elf").write_bytes(assembled(name))
