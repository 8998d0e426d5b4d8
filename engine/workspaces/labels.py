"""What clients call a context: a name and tags, for all its languages together."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

from engine.errors import FieldError, InvalidRequest
from engine.validation import check_size

MAX_TAGS = 64


@dataclass(slots=True)
class Labels:
    """`maker`: the dialect that made the context, where that says so."""

    name: str | None = None
    session_name: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    maker: str = ""

    def check(self, most: int) -> None:
        """Raises InvalidRequest where it has more than MAX_TAGS tags, or a text of more than `most` characters in all."""
        for name in ("name", "session_name"):
            check_size(name, [getattr(self, name) or ""], most)
        if len(self.tags) > MAX_TAGS:
            raise InvalidRequest(FieldError("tags", f"has {len(self.tags)} entries, and may have {MAX_TAGS}"))
        check_size("tags", chain.from_iterable(self.tags.items()), most)
