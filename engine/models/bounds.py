"""Bounds against which what a kernel says is checked."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Name = Annotated[str, Meta(max_length=1000)]
Names = Annotated[list[Name], Meta(max_length=1000)]
