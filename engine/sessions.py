"""Jupyter sessions (layer 6): documents and the kernels that they are run on. Names for contexts; they hold nothing else."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from engine.errors import NotFound


class SessionNotFound(NotFound):
    def __init__(self, session_id: str) -> None:
        super().__init__(f"Session not found: session_id={session_id!r}")


@dataclass(slots=True)
class Session:
    """A document (`path`, `type`, `name`) and the id of its kernel."""

    path: str
    type: str
    name: str
    kernel_id: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Sessions:
    """All sessions, by id. Those of contexts that have ended are dropped when they are met."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def all(self) -> list[Session]:
        return list(self._by_id.values())

    def add(self, session: Session) -> None:
        self._by_id[session.id] = session

    def get(self, session_id: str) -> Session:
        """Raises SessionNotFound."""
        try:
            return self._by_id[session_id]
        except KeyError:
            raise SessionNotFound(session_id) from None

    def find_path(self, path: str) -> Session | None:
        return next((session for session in self.all() if session.path == path), None)

    def remove(self, session_id: str) -> None:
        self._by_id.pop(session_id, None)

    def forget_kernel(self, kernel_id: str) -> None:
        for session in self.all():
            if session.kernel_id == kernel_id:
                self.remove(session.id)
