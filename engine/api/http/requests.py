"""What comes in: bodies read within the size limit and checked by pydantic, which names every wrong field."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from starlette.requests import Request

from engine.api.http.errors import invalid
from engine.core import Engine
from engine.errors import FieldError, InvalidRequest, RequestTooLarge
from engine.packages.names import MAX_PACKAGES
from engine.validation import CONTEXT_ID, ENV_NAME

Body = TypeVar("Body", bound=BaseModel)


def _whole_number(value: Any) -> Any:
    """JSON Schema counts 1000.0 as an integer; a string or a boolean is none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Milliseconds = Annotated[int, BeforeValidator(_whole_number), Field(ge=1)]
EnvName = Annotated[str, StringConstraints(pattern=f"^{ENV_NAME}$")]
EnvValue = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
ContextId = Annotated[str, StringConstraints(pattern=f"^{CONTEXT_ID}$")]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class ExecuteBody(_Body):
    """Code to run, and how."""

    code: str = Field(description="Source code to execute.", examples=["print('hello')\n1 + 1"])
    context_id: ContextId | None = Field(
        None, description="Context to run in; made when there is none of that id. Omitted: a new one."
    )
    language: str | None = Field(None, description="Language, or an alias of it. Default python.")
    env_vars: dict[EnvName, EnvValue] | None = Field(None, description="Environment variables of this execution alone.")
    timeout_ms: Milliseconds | None = Field(None, description="Milliseconds the code may run. Default 30000.")
    stdin: list[str] | None = Field(None, description="Lines for input(); after the last one comes the end of input.")
    checkpoint: bool | None = Field(
        None,
        description="Whether the state before the code is kept as a checkpoint, which the result names. Default false.",
    )
    on_error: Literal["keep", "rollback"] | None = Field(
        None,
        description="What becomes of the state when the code fails, is stopped, or its kernel dies: what the code left of it, "
        "or, with rollback, the state and the files from before it. Default keep.",
    )
    on_disconnect: Literal["continue", "interrupt"] | None = Field(
        None, description="What happens to the execution when this request's client goes away. Default continue."
    )
    variables: bool | None = Field(
        None, description="Whether the result tells which variables the code made, changed and removed. Default false."
    )
    data: bool | None = Field(
        None,
        description="Whether items also carry the values of what they show: `data` of tables, `chart` of plots, `json` of lists "
        "and dicts. Python; default false.",
    )
    files: bool | None = Field(
        None,
        description="Whether the result tells which files the code made, changed and deleted. Omitted: where the working directory "
        "is the context's own and small.",
    )


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


def engine_of(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


async def read_body(request: Request, model: type[Body], *, optional: bool = False) -> Body:
    """The request's JSON body. Raises InvalidRequest that names every wrong field, or RequestTooLarge."""
    raw = await _read(request, engine_of(request).settings.max_request_bytes)
    if optional and not raw.strip():
        raw = b"{}"
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise invalid(error) from None


async def read_bytes(request: Request) -> bytes:
    """The request's body as it is. Raises RequestTooLarge."""
    return await _read(request, engine_of(request).settings.max_request_bytes)


async def _read(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise RequestTooLarge(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def whole_number(text: str, field: str) -> int:
    """A number from a query or a header, 0 or more. Raises InvalidRequest that names `field`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidRequest(FieldError(field, "must be a whole number, 0 or more"))
    return int(text)
