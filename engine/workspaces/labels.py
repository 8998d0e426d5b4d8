"""What clients call a context: a name and tags, for all its languages together."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Labels:
    """`maker`: the dialect that made the context, where that says so."""

    name: str | None = None
    session_name: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    maker: str = ""
