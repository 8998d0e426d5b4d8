"""A context's variables as its kernel tells them: pure. A kernel runs users' code, so nothing it says is taken as it comes."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from engine.errors import MessageError
from engine.jupyter import Message
from engine.models import VariableChanges, VariableList


def listing_of(reply: Message) -> VariableList:
    """The variables in a variables_reply (runtimes/README.md). Raises MessageError for what is no such reply."""
    content = reply.content
    if content.get("status") != "ok":
        msg = f"the kernel failed with {str(content.get('ename') or 'no reason')[:200]}"
        raise MessageError(msg)
    try:
        return msgspec.convert(content, VariableList)
    except msgspec.ValidationError as error:
        msg = f"not a list of variables: {error}"
        raise MessageError(msg) from None


def changes_of(reply: Message) -> VariableChanges | UnsetType:
    """What an execute_reply says of the variables; nothing where it does not, or says nonsense."""
    try:
        changes = reply.metadata.get("changes")
        return UNSET if changes is None else msgspec.convert(changes, VariableChanges)
    except (MessageError, msgspec.ValidationError):
        return UNSET
