"""Jupyter sessions: documents and the contexts that they are run on. Names; they hold nothing else."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from dataclasses import dataclass, field

from engine.contexts import Context
from engine.errors import NotFound

MAX_TEXT = 4096  # characters of each text of a session
_MAX_SESSIONS = 2000  # of which a context may have any number; the oldest goes
_REMEMBERED = 1000  # sessions whose context has ended


class SessionNotFound(NotFound):
    """There is no such session."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"Session not found: {session_id}")


class SessionGone(NotFound):
    """Its context has ended, and the session with it."""

    def __init__(self) -> None:
        super().__init__("Kernel deleted before session")


@dataclass(slots=True)
class Session:
    """A document (`path`, `type`, `name`) and its context."""

    path: str
    type: str
    name: str
    context: Context
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Sessions:
    """All sessions, oldest first, as long as their contexts live; of the latest others it is known that they are gone."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, Session] = OrderedDict()
        self._gone: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_id)

    def all(self) -> list[Session]:
        return list(self._by_id.values())

    def add(self, session: Session) -> None:
        self._by_id[session.id] = session
        if len(self._by_id) > _MAX_SESSIONS:
            self._by_id.popitem(last=False)

    def get(self, session_id: str) -> Session:
        """Raises SessionNotFound or SessionGone."""
        if session_id in self._gone:
            raise SessionGone
        try:
            return self._by_id[session_id]
        except KeyError:
            raise SessionNotFound(session_id) from None

    def find_path(self, path: str) -> Session | None:
        return next((session for session in self._by_id.values() if session.path == path), None)

    def remove(self, session_id: str) -> None:
        """Forget a session that its user has ended."""
        self._by_id.pop(session_id, None)

    def note_ended(self, context: Context) -> None:
        """A context has ended, and so have its sessions."""
        for session in self.all():
            if session.context is context:
                del self._by_id[session.id]
                self._gone[session.id] = None
        while len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)
