"""The options of an execution: one value from a request's body to the run of the cell.

A new option is a field here, with its description and bounds, and the place that acts on it. Request bodies, the API document, the
tools of models and the fingerprint of a request are made from these fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypedDict, Unpack, get_args, get_type_hints

import msgspec
from msgspec import Meta

from engine.settings import AskedLimits, Network, Tier
from engine.validation import ENV_NAME, check_env_vars, check_text

OnError = Literal["keep", "rollback"]
EnvName = Annotated[str, Meta(pattern=f"^{ENV_NAME}$")]
EnvValue = Annotated[str, Meta(pattern=r"^[^\x00]*$")]
# A body is not where these are said: a reader that can answer makes a request interactive, the key is a header, and only a dialect
# prepares a context.
_NOT_IN_BODIES = frozenset({"interactive", "idempotency_key", "prepares"})
_NOT_IN_IDENTITY = _NOT_IN_BODIES | {"timeout"}  # of which a request has the one that counts
LEAST_OUTPUT = 1024  # bytes, of which each stream has a quarter
_MOST_MS = 10**15  # larger numbers are refused all the same, and do not fit into a float


class ExecuteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How code is run: all that a request says besides the code, its language and its context. Seconds."""

    env_vars: Annotated[
        Mapping[EnvName, EnvValue] | None, Meta(description="Environment variables for this execution only.")
    ] = None
    timeout: Annotated[
        float | None, Meta(description="Time limit of the code. Default: the setting default_timeout, 30 seconds.")
    ] = None
    stdin: Annotated[
        Sequence[str] | None, Meta(description="Lines that input() reads. After the last line, input ends.")
    ] = None
    interactive: Annotated[
        bool, Meta(description="Whether a reader of the events can answer input requests, when no stdin is given.")
    ] = False
    checkpoint: Annotated[
        bool,
        Meta(description="Keep the state before the code as a checkpoint. The result has its id. Default: false."),
    ] = False
    on_error: Annotated[
        OnError,
        Meta(
            description="The state of the context after code that fails, is stopped, or loses its kernel. keep: the state that the "
            "code left. rollback: the state and the files from before the code. Default: keep."
        ),
    ] = "keep"
    variables: Annotated[
        bool, Meta(description="List the variables that the code created, changed and removed. Default: false.")
    ] = False
    data: Annotated[
        bool,
        Meta(
            description="Add values to the items: `data` for tables, `chart` for plots, `json` for lists and dicts. Python only. "
            "Default: false."
        ),
    ] = False
    check: Annotated[
        bool,
        Meta(
            description="Check the types of the code while it runs, and return the problems as `diagnostics`. TypeScript and "
            "JavaScript only. Code with type errors still runs. Default: false."
        ),
    ] = False
    files: Annotated[
        bool | None,
        Meta(
            description="List the files that the code created, changed and deleted. Default: true if the working directory is small "
            "and belongs to the context."
        ),
    ] = None
    max_output_bytes: Annotated[
        int | None,
        Meta(
            ge=LEAST_OUTPUT,
            description="Maximum number of bytes of output to keep: the first and the last half of each stream, and of the items. "
            "Default and maximum: the setting max_output_bytes.",
        ),
    ] = None
    limits: Annotated[
        AskedLimits | None,
        Meta(
            description="Limits of a new context: memory, file_size and disk in bytes, cpus, processes, open_files, wall_seconds. "
            "Default: the setting context_limits. A context keeps its limits; other ones are refused."
        ),
    ] = None
    isolation: Annotated[
        str | None,
        Meta(
            description="Isolation of a new context: none, process, landlock or namespaces. Default: the isolation of the server. "
            "The server decides which are allowed."
        ),
    ] = None
    network: Annotated[
        str | None,
        Meta(
            description="Network of a new context: none or open. Default: the setting network. The server decides which are allowed."
        ),
    ] = None
    idempotency_key: Annotated[
        str | None, Meta(description="A repeated request with the same key returns the first execution.")
    ] = None
    prepares: Annotated[
        bool,
        Meta(
            description="Whether the code only prepares the context. What its answer says of the state is said again."
        ),
    ] = False

    def replace(self, **keywords: Unpack[ExecuteKeywords]) -> ExecuteOptions:
        return msgspec.structs.replace(self, **keywords) if keywords else self

    @property
    def rolls_back(self) -> bool:
        return self.on_error == "rollback"

    @property
    def allow_stdin(self) -> bool:
        return self.interactive or self.stdin is not None

    def checked(self) -> ExecuteOptions:
        """The options with containers of their own. Raises InvalidRequest for texts that no kernel could receive."""
        if not self.env_vars and self.stdin is None:
            return self
        for number, line in enumerate(self.stdin or ()):
            check_text(f"stdin.{number}", line)
        stdin = None if self.stdin is None else tuple(self.stdin)
        return msgspec.structs.replace(self, env_vars=check_env_vars(self.env_vars), stdin=stdin)

    def identity(self) -> str:
        """Equal for options that ask for the same outcome."""
        said = [
            (name, sorted(value.items()) if isinstance(value, Mapping) else value)
            for name, value in msgspec.structs.asdict(self).items()
            if name not in _NOT_IN_IDENTITY
        ]
        return repr(said)


DEFAULTS = ExecuteOptions()


class Isolation(msgspec.Struct, frozen=True):
    """How a context is isolated."""

    tier: Tier
    network: Network


class ExecuteKeywords(TypedDict, total=False):
    """The same options as keywords of a call."""

    env_vars: Mapping[str, str] | None
    timeout: float | None
    stdin: Sequence[str] | None
    interactive: bool
    checkpoint: bool
    on_error: OnError
    variables: bool
    data: bool
    check: bool
    files: bool | None
    max_output_bytes: int | None
    limits: AskedLimits | None
    isolation: str | None
    network: str | None
    idempotency_key: str | None
    prepares: bool


class BodyField(NamedTuple):
    """An option as a field of a JSON body, where it may also be null or missing. `type` is Annotated with msgspec's bounds."""

    name: str
    option: str
    type: Any
    description: str


def seconds(timeout_ms: int | None) -> float | None:
    """Milliseconds of a body as the engine has them; no number is too large."""
    return None if timeout_ms is None else min(timeout_ms, _MOST_MS) / 1000


DESCRIPTIONS: Mapping[str, str] = {
    name: hint.__metadata__[0].description for name, hint in get_type_hints(ExecuteOptions, include_extras=True).items()
}


def _body_fields() -> Iterable[BodyField]:
    for name, hint in get_type_hints(ExecuteOptions, include_extras=True).items():
        if name in _NOT_IN_BODIES:
            continue
        kind, bounds = hint.__origin__, hint.__metadata__[0]
        if name == "timeout":
            description = "Time limit of the code, in milliseconds. Default: 30000."
            yield BodyField("timeout_ms", name, Annotated[int, Meta(ge=1)], description)
        else:
            kinds = (
                [each for each in get_args(kind) if each is not type(None)] if isinstance(kind, UnionType) else [kind]
            )
            yield BodyField(name, name, Annotated[kinds[0], bounds], DESCRIPTIONS[name])


BODY_FIELDS: Mapping[str, BodyField] = {field.option: field for field in _body_fields()}


def from_body(body: object, names: Iterable[str] = BODY_FIELDS, **more: Any) -> ExecuteOptions:
    """The options that the attributes of a body say. `names`: those that a body of its kind has."""
    said = {name: getattr(body, BODY_FIELDS[name].name) for name in names}
    given: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if "timeout" in given:
        given["timeout"] = seconds(given["timeout"])
    return ExecuteOptions(**given, **more)
