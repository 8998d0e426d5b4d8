"""An interpreter of classic BPF, as far as a seccomp filter uses it (linux/filter.h)."""

from __future__ import annotations

import struct

ALLOW, KILL = 0x7FFF0000, 0x80000000


def judge(program: bytes, data: bytes) -> int:
    """What the program returns for one call, whose struct seccomp_data is `data`. Raises what Linux would refuse."""
    lines = list(struct.iter_unpack("<HBBI", program))
    value, at = 0, 0
    while True:
        code, yes, no, operand = lines[at]
        at += 1
        match code:
            case 0x20:
                assert operand % 4 == 0
                assert operand + 4 <= len(data)
                (value,) = struct.unpack_from("<I", data, operand)
            case 0x54:
                value &= operand
            case 0x15:
                at += yes if value == operand else no
            case 0x35:
                at += yes if value >= operand else no
            case 0x45:
                at += yes if value & operand else no
            case 0x06:
                return operand
            case other:
                raise AssertionError(f"unknown instruction {other:#x}")
