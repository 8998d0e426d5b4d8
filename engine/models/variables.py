"""A context's variables, and what an execution changed of them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.models.bounds import Count, Name, Names


class Variable(msgspec.Struct, kw_only=True, repr_omit_defaults=True):
    """A variable of a context. `type` is qualified, but for builtins; `preview` is one line; `size_bytes` counts no contents of
    containers. `shape`, `dtype` and `columns` (the first ones) are those of arrays and tables, `length` that of containers."""

    name: Name
    type: Name
    kind: Literal["module", "class", "function", "value"]
    preview: Name
    shape: Annotated[list[Count], Meta(max_length=100)] | UnsetType = UNSET
    length: Count | UnsetType = UNSET
    size_bytes: Count | UnsetType = UNSET
    dtype: Name | UnsetType = UNSET
    columns: Annotated[list[Name], Meta(max_length=100)] | UnsetType = UNSET


class VariableList(msgspec.Struct, kw_only=True):
    """Variables by name. `total` counts all that match; `truncated`: more of them follow, ask `after` the last name."""

    items: Annotated[list[Variable], Meta(max_length=1000)]
    total: Count
    truncated: bool


class VariableChanges(msgspec.Struct, kw_only=True):
    """Names of the variables that an execution made, changed and removed. `omitted` counts those beyond the first 1000."""

    created: Names
    changed: Names
    removed: Names
    omitted: Count | UnsetType = UNSET
