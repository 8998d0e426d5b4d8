"""The native dialect's request bodies. The options of an execution come from `engine.options`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Annotated, Any, Literal, get_args, get_origin

from msgspec import Meta
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, create_model

from engine.api.http.requests import FewEntries, FirstProblem
from engine.options import BODY_FIELDS, DESCRIPTIONS, ExecuteOptions, from_body
from engine.packages import MAX_PACKAGES
from engine.validation import CONTEXT_ID


def _whole_number(value: Any) -> Any:
    """JSON Schema counts 1000.0 as an integer; a string or a boolean is none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Milliseconds = Annotated[int, Field(ge=1), BeforeValidator(_whole_number)]
ContextId = Annotated[str, StringConstraints(pattern=f"^{CONTEXT_ID}$")]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    def drop_unknown(self) -> list[str]:
        """Drop the unknown fields, which may be large; returns a warning about each that looks like a field that is known."""
        unknown = self.__pydantic_extra__
        if not unknown:
            return []
        names, known = list(islice(unknown, _MOST_LOOKED_AT)), list(type(self).model_fields)
        unknown.clear()
        return [warning for name in names if (warning := _warning(name, known))]


_MOST_LOOKED_AT = 20  # unknown fields of a request
_MAX_NAME = 40  # characters of one that may be meant for another
_ALIKE = 0.8  # how much so
_MEANT = {
    "timeout_ms": {
        "timeout",
        "timeoutseconds",
        "timeoutsecs",
        "timeouts",
        "timelimit",
        "timelimitms",
        "maxtime",
        "deadline",
        "deadlinems",
    },
    "env_vars": {"env", "envs", "environ", "environment", "environmentvariables", "variablesenv"},
    "context_id": {"context", "session", "sessionid", "sandboxid", "kernelid", "contextname"},
    "language": {"lang", "kernel", "kernelname", "runtime"},
    "code": {"source", "src", "script", "cell", "command"},
    "stdin": {"input", "inputs"},
    "max_output_bytes": {"maxoutput", "maxbytes", "outputlimit", "maxoutputchars", "maxoutputlength"},
    "cwd": {"workdir", "workingdirectory", "workingdir", "dir", "directory", "path"},
    "packages": {"package", "dependencies", "requirements", "names"},
    "on_error": {"rollback"},
}
"""What is called otherwise elsewhere, in small letters without signs."""


def _warning(name: str, known: list[str]) -> str | None:
    meant = _meant(name, known) if len(name) <= _MAX_NAME else None
    return None if meant is None else f"The field {name!r} is unknown and was ignored. Did you mean {meant!r}?"


def _meant(name: str, known: list[str]) -> str | None:
    written = "".join(filter(str.isalnum, name)).lower()
    for field in known:
        if written == field.replace("_", "") or written in _MEANT.get(field, ()):
            return field
    return next(iter(get_close_matches(name.lower(), known, 1, _ALIKE)), None)


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


_BOUNDS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length")


def _checked(kind: Any) -> Any:
    """A type whose constraints are msgspec's, with pydantic's in their place."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        meta = next(each for each in arguments[1:] if isinstance(each, Meta))
        bounds = {name: bound for name in _BOUNDS if (bound := getattr(meta, name)) is not None}
        inner = _checked(arguments[0])
        checks = (BeforeValidator(_whole_number),) if inner is int else ()
        return Annotated[inner, Field(**bounds), *checks]
    if origin is Mapping:
        return Annotated[dict[tuple(map(_checked, arguments))], FewEntries]  # type: ignore[misc]
    if origin is Sequence:
        return Annotated[list[_checked(arguments[0])], FirstProblem]  # type: ignore[misc]
    return kind


_OPTIONS: dict[str, Any] = {
    field.name: (_checked(field.type) | None, Field(None, description=field.description))
    for field in BODY_FIELDS.values()
}
ExecuteBody = create_model("ExecuteBody", __base__=_Execute, __module__=__name__, __doc__=_Execute.__doc__, **_OPTIONS)


class ContextBody(_Body):
    """A new context. All fields are optional."""

    language: str | None = Field(None, description="Language, or an alias of it. Default: python.")
    context_id: ContextId | None = Field(None, description="Id of the context. Default: a new id.")
    cwd: str | None = Field(
        None, description="Working directory: an absolute path of an existing directory. Default: a new directory."
    )
    limits: _checked(BODY_FIELDS["limits"].type) | None = Field(  # type: ignore[valid-type]  # made of the options' own
        None, description=BODY_FIELDS["limits"].description
    )
    isolation: str | None = Field(None, description=DESCRIPTIONS["isolation"])
    network: str | None = Field(None, description=DESCRIPTIONS["network"])


class ForkBody(_Body):
    """A copy of a context. All fields are optional."""

    context_id: ContextId | None = Field(None, description="Id of the new context. Default: a new id.")
    language: str | None = Field(
        None, description="Language of the context. Default: the oldest language that supports it."
    )
    checkpoint: str | None = Field(None, description="Checkpoint to copy. Default: the current state.")
    force: bool | None = Field(None, description="Copy the state even if parts of it cannot be copied. Default: false.")


class CheckpointBody(_Body):
    """A new checkpoint. All fields are optional."""

    name: Annotated[str, StringConstraints(max_length=200)] | None = Field(None, description="Name for display.")
    language: str | None = Field(
        None, description="Language of the context. Default: the oldest language that supports it."
    )
    force: bool | None = Field(None, description="Keep the state even if parts of it cannot be copied. Default: false.")


class RestoreBody(_Body):
    """A return to a checkpoint."""

    checkpoint: str = Field(description="Id of a checkpoint of this context.")


class PackagesBody(_Body):
    """Packages to install."""

    packages: Annotated[
        list[Annotated[str, StringConstraints(min_length=1)]],
        Field(min_length=1, max_length=MAX_PACKAGES, fail_fast=True),
    ] = Field(
        description="Packages in the notation of pip or npm: a name, optionally with a version or a range.",
        examples=[["left-pad@1.3.0"]],
    )
    language: str | None = Field(
        None, description="Language of the context. Default: the oldest language that supports packages."
    )
    timeout_ms: Milliseconds | None = Field(
        None,
        description="Time limit in milliseconds. Default and maximum: the setting package_timeout.",
    )


class IsCompleteBody(_Body):
    """Code in an editor."""

    code: str = Field(description="The whole code.")
    language: str | None = Field(None, description="Language of the context. Default: the oldest language.")


class CompleteBody(IsCompleteBody):
    """Code in an editor, and the position of the cursor."""

    cursor: Annotated[int, Field(ge=0, le=2**53)] | None = Field(
        None, description="Position in the code, in characters. Default: the end."
    )


class InspectBody(CompleteBody):
    """A position in code."""

    detail: bool | None = Field(None, description="Include the source. Default: false.")


class InputBody(_Body):
    """An answer to input()."""

    value: str = Field(description="The line, without its newline.")
