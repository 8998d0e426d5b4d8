"""The native dialect's request bodies. The options of an execution come from `engine.options`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from msgspec import Meta
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, create_model

from engine.options import BODY_FIELDS, ExecuteOptions, from_body
from engine.packages.names import MAX_PACKAGES
from engine.validation import CONTEXT_ID


def _whole_number(value: Any) -> Any:
    """JSON Schema counts 1000.0 as an integer; a string or a boolean is none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Milliseconds = Annotated[int, BeforeValidator(_whole_number), Field(ge=1)]
ContextId = Annotated[str, StringConstraints(pattern=f"^{CONTEXT_ID}$")]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Execute(_Body):
    """Code to run, and how."""

    code: str = Field(description="Source code to execute.", examples=["print('hello')\n1 + 1"])
    context_id: ContextId | None = Field(
        None, description="Id of the context to run in. An unknown id makes a new context. Default: a new context."
    )
    language: str | None = Field(None, description="Language, or an alias of it. Default: python.")
    on_disconnect: Literal["continue", "interrupt"] | None = Field(
        None, description="Whether the execution continues when this request's client disconnects. Default: continue."
    )

    def options(self, *, interactive: bool = False, idempotency_key: str | None = None) -> ExecuteOptions:
        return from_body(self, interactive=interactive, idempotency_key=idempotency_key)


def _checked(kind: Any) -> Any:
    """A type whose constraints are msgspec's, with pydantic's in their place."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        meta = next(each for each in arguments[1:] if isinstance(each, Meta))
        bounds = {name: bound for name in ("ge", "le", "pattern") if (bound := getattr(meta, name)) is not None}
        inner = _checked(arguments[0])
        return (
            Annotated[inner, BeforeValidator(_whole_number), Field(**bounds)]
            if inner is int
            else Annotated[inner, Field(**bounds)]
        )
    if origin is Mapping:
        return dict[tuple(map(_checked, arguments))]  # type: ignore[misc]
    if origin is Sequence:
        return list[_checked(arguments[0])]  # type: ignore[misc]
    return kind


_OPTIONS: dict[str, Any] = {
    field.name: (_checked(field.type) | None, Field(None, description=field.description))
    for field in BODY_FIELDS.values()
}
ExecuteBody = create_model("ExecuteBody", __base__=_Execute, __module__=__name__, __doc__=_Execute.__doc__, **_OPTIONS)


class ContextBody(_Body):
    """A context to make. Every field may be left out."""

    language: str | None = Field(None, description="Language, or an alias of it. Default python.")
    context_id: ContextId | None = Field(None, description="Id of the context. Omitted: a new one.")
    cwd: str | None = Field(None, description="Existing directory, as an absolute path. Omitted: one of its own.")


class ForkBody(_Body):
    """A copy to be made of a context. Every field may be left out."""

    context_id: ContextId | None = Field(None, description="Id of the new context. Omitted: a new one.")
    language: str | None = Field(
        None, description="Which of the context's languages. Omitted: the oldest that can be copied."
    )
    checkpoint: str | None = Field(None, description="Copy this checkpoint of the context. Omitted: its present state.")
    force: bool | None = Field(None, description="Copy it also without what cannot be copied. Default false.")


class CheckpointBody(_Body):
    """A checkpoint to be made. Every field may be left out."""

    name: Annotated[str, StringConstraints(max_length=200)] | None = Field(None, description="A name for people.")
    language: str | None = Field(
        None, description="Which of the context's languages. Omitted: the oldest that can be copied."
    )
    force: bool | None = Field(None, description="Make it also without what cannot be copied. Default false.")


class RestoreBody(_Body):
    """A return to a checkpoint."""

    checkpoint: str = Field(description="Id of a checkpoint of this context.")


class PackagesBody(_Body):
    """Packages to be installed."""

    packages: Annotated[
        list[Annotated[str, StringConstraints(min_length=1)]], Field(min_length=1, max_length=MAX_PACKAGES)
    ] = Field(
        description="As pip or npm names them: a name, with a version or a range if wanted.",
        examples=[["left-pad@1.3.0"]],
    )
    language: str | None = Field(
        None, description="Which of the context's languages. Omitted: the oldest that can have packages."
    )
    timeout_ms: Milliseconds | None = Field(
        None,
        description="Milliseconds the installation may take; at most, and by default, the setting package_timeout.",
    )


class IsCompleteBody(_Body):
    """Code that somebody writes."""

    code: str = Field(description="All of it.")
    language: str | None = Field(None, description="Which of the context's languages. Omitted: the oldest.")


class CompleteBody(IsCompleteBody):
    """Code that somebody writes, and where."""

    cursor: Annotated[int, Field(ge=0, le=2**53)] | None = Field(
        None, description="Place in the code, in characters. Omitted: its end."
    )


class InspectBody(CompleteBody):
    """A place in code."""

    detail: bool | None = Field(None, description="Whether to tell the source, too. Default false.")


class InputBody(_Body):
    """An answer to input()."""

    value: str = Field(description="The line, without its newline.")
