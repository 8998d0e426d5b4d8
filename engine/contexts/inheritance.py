"""What the next cell of a context finds of the state that the cells before it left, and a loss that no answer has told yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from engine.errors import StateLost
from engine.models import ContextState


@dataclass(frozen=True, slots=True)
class Loss:
    """How a state was lost. `reason`: a clause, such as "its kernel was killed by SIGKILL"."""

    reason: str
    at: datetime

    def __str__(self) -> str:
        return f"{self.reason} at {self.at:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, slots=True)
class Inheritance:
    """`state`: what the answer of the next cell says. `loss`: why the earlier state is gone, until an answer has told it."""

    state: ContextState
    loss: Loss | None = None

    def lost(self, reason: str) -> Inheritance:
        """What is left once the state is gone. Of several losses the first one is told."""
        return Inheritance("restarted", self.loss or Loss(reason, datetime.now(UTC)))

    def told(self) -> Inheritance:
        """What is left once an answer has told the loss."""
        return Inheritance(self.state)

    def check_copyable(self, context_id: str) -> None:
        """Raises StateLost: a copy would pass for the state that is gone."""
        if self.loss is not None:
            raise StateLost(context_id, str(self.loss))


CREATED = Inheritance("created")
PRESERVED = Inheritance("preserved")
RESTARTED = Inheritance("restarted")


def notice_of(state: ContextState | None, loss: Loss | None) -> str:
    """The line for stderr that says that a state is lost. Empty if none is."""
    if state == "lost":
        return "[polyrepl: the state of this context is lost; the next code runs on a fresh kernel]\n"
    if loss is not None:
        return f"[polyrepl: the earlier state is lost: {loss}; this code ran on a fresh kernel]\n"
    return ""
