"""The limits of a context: those that its maker asks for, and a check that a context which is there has the same."""

from __future__ import annotations

from engine.errors import FieldError, InvalidRequest, OtherLimits
from engine.languages import Language
from engine.settings import AskedLimits, Limits
from engine.workspaces import Workspace


def limits_for(
    context_id: str, language: Language, joined: Workspace | None, asked: AskedLimits | None
) -> Limits | None:
    """The limits of a context that works in `joined`, or in new directories; None for those of the settings.

    Raises InvalidRequest that names each wrong one, and OtherLimits where contexts in `joined` have others."""
    if not asked:
        return None
    backend = language.backend
    if backend.limiter is None:
        raise InvalidRequest(FieldError("limits", f"{language.name!r} runs {backend.where}, which decides that"))
    limits = backend.limiter.rules.of(asked)
    own = limits if joined is None else backend.limiter.limits_of(joined)
    for name, value in asked.items():
        if getattr(own, name) != value:
            raise OtherLimits(context_id, name, value, getattr(own, name))
    return limits
