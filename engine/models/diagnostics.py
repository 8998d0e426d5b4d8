"""What a type checker says of a cell."""

from __future__ import annotations

from typing import Literal

import msgspec


class Diagnostic(msgspec.Struct, kw_only=True):
    """A place in the code as it was sent, and what is wrong there. Lines and columns count from 1; `code` is that of TypeScript."""

    line: int
    column: int
    end_line: int
    end_column: int
    code: int
    severity: Literal["error", "warning", "suggestion", "message"]
    message: str
