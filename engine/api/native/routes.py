"""The native dialect's table of routes: what the server answers and what the API document says are one list."""

from __future__ import annotations

from engine.api.http.openapi import Operation
from engine.api.native import assistance, branches, contexts, execute, export, files, operations, packages, variables

OPERATIONS: list[Operation] = [
    *execute.OPERATIONS,
    *contexts.OPERATIONS,
    *export.OPERATIONS,
    *variables.OPERATIONS,
    *assistance.OPERATIONS,
    *packages.OPERATIONS,
    *branches.OPERATIONS,
    *files.OPERATIONS,
    *contexts.LANGUAGES,
    *operations.OPERATIONS,
]
