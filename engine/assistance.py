"""What the kernel of a context says between two cells: completion, inspection, whether a cell is whole, and its variables.

The kernel runs somebody's code, so what it says is checked before it is passed on."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.capabilities import Capabilities
from engine.contexts import Contexts, listing_of
from engine.errors import (
    ContextBusy,
    FieldError,
    InvalidRequest,
    KernelTimeout,
    MessageError,
    NotSupported,
    VariablesUnavailable,
)
from engine.jupyter import Message
from engine.models import Completeness, Completion, Completions, Inspection, VariableList

_PATIENCE = 1.0  # seconds that somebody who types waits for a running cell
_TIMEOUT = 5.0  # seconds
_MAX_MATCHES = 1000
_TURN_WAIT = 3.0  # seconds that a listing of variables waits for running cells
_VARIABLES_WAIT = 5.0  # seconds; a kernel gives its slow values up long before


class _Match(msgspec.Struct):
    text: str
    type: str = ""


class _Metadata(msgspec.Struct):
    """What kernels of IPython's line, and ours, tell besides."""

    matches: list[_Match] = msgspec.field(name="_jupyter_types_experimental", default_factory=list)


class _CompleteReply(msgspec.Struct):
    matches: list[str]
    cursor_start: int
    cursor_end: int


class Assistance:
    """Asks kernels. `cursor`: a place in the code in characters; None: its end.

    Raises ContextNotFound, UnknownLanguage, ContextBusy (a cell runs, or the kernel does not answer), KernelDied or NotSupported."""

    def __init__(self, contexts: Contexts, capabilities: Capabilities) -> None:
        self._contexts = contexts
        self._capabilities = capabilities

    async def complete(
        self, context_id: str, code: str, *, cursor: int | None = None, language: str | None = None
    ) -> Completions:
        """How the code could go on at the cursor: at most 1000 ways."""
        place = _cursor(code, cursor)
        reply = await self._ask(context_id, "complete_request", {"code": code, "cursor_pos": place}, language)
        if reply is None:
            return Completions(matches=[], cursor_start=place, cursor_end=place)
        found = _convert(reply.content, _CompleteReply)
        told = _Metadata()
        metadata = reply.content.get("metadata")
        if isinstance(metadata, dict):
            try:
                told = msgspec.convert(metadata, _Metadata)
            except msgspec.ValidationError:
                told = _Metadata()
        types = {match.text: match.type for match in told.matches}
        start, end = (min(max(0, number), len(code)) for number in (found.cursor_start, found.cursor_end))
        matches = [Completion(text=text, type=types.get(text, "")) for text in found.matches[:_MAX_MATCHES]]
        return Completions(matches=matches, cursor_start=min(start, end), cursor_end=end)

    async def inspect(
        self,
        context_id: str,
        code: str,
        *,
        cursor: int | None = None,
        detail: bool = False,
        language: str | None = None,
    ) -> Inspection:
        """What is known of the name at the cursor; with `detail` also its source, where there is one."""
        content = {"code": code, "cursor_pos": _cursor(code, cursor), "detail_level": int(detail)}
        reply = await self._ask(context_id, "inspect_request", content, language)
        return Inspection(found=False, data={}) if reply is None else _convert(reply.content, Inspection)

    async def is_complete(self, context_id: str, code: str, *, language: str | None = None) -> Completeness:
        """Whether the code can be run as it is."""
        reply = await self._ask(context_id, "is_complete_request", {"code": code}, language)
        return Completeness(status="unknown") if reply is None else _convert(reply.content, Completeness)

    async def variables(
        self, context_id: str, *, language: str | None = None, limit: int = 200, after: str = "", match: str = ""
    ) -> VariableList:
        """What a context's user has named, `limit` names from `after` on that contain `match`; of several languages the
        oldest that can tell. Waits a while for running cells.

        Raises ContextNotFound, UnknownLanguage, NotSupported, ContextBusy, VariablesUnavailable or KernelDied."""
        capabilities = self._capabilities
        contexts = self._contexts.get(context_id, capabilities.name_of(language))
        able = [context for context in contexts if capabilities.tells_variables(context.language)]
        if not able:
            capabilities.check_variables(contexts[0].language)
        content = {"limit": limit, "after": after, "match": match}
        try:
            reply = await able[0].ask("variables_request", content, patience=_TURN_WAIT, timeout=_VARIABLES_WAIT)
            return VariableList(items=[], total=0, truncated=False) if reply is None else listing_of(reply)
        except (KernelTimeout, MessageError) as error:
            raise VariablesUnavailable(context_id, error.message) from None

    async def _ask(
        self, context_id: str, question: str, content: dict[str, Any], language: str | None
    ) -> Message | None:
        """The reply of the context's kernel, of several languages the oldest's; None while no kernel runs."""
        context = self._contexts.get(context_id, self._capabilities.name_of(language))[0]
        try:
            reply = await context.ask(question, content, patience=_PATIENCE, timeout=_TIMEOUT)
            if reply is not None and reply.content.get("status") == "error":
                reason = f"the kernel failed with {str(reply.content.get('ename') or 'no reason')[:200]}"
                raise NotSupported(question.removesuffix("_request"), context.language.name, reason)
            return reply
        except KernelTimeout:
            raise ContextBusy(context_id) from None


def _cursor(code: str, cursor: int | None) -> int:
    if cursor is None:
        return len(code)
    if not 0 <= cursor <= len(code):
        raise InvalidRequest(FieldError("cursor", f"must be between 0 and {len(code)}, the length of the code"))
    return cursor


def _convert(content: dict[str, Any], kind: type[Any]) -> Any:
    """Raises MessageError for what is no such reply."""
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise MessageError(f"The kernel's reply is not valid: {error}") from None
