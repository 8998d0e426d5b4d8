"""The native API's requests as values: pure. Both clients send them, each in its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

from polyrepl import models, results
from polyrepl.answers import error_of
from polyrepl.errors import ClientError, UnexpectedAnswer
from polyrepl.values import DecodeError, decode, encode

Answer = TypeVar("Answer")
_SLACK = 60.0  # seconds for what is no execution: a queue, a kernel's start, the way there and back
EXECUTION = 30.0  # seconds; the server's own default
INSTALLATION = 300.0  # seconds; the server's own default


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """A request and what its answer is. `deadline`: seconds for all of it; `is_repeatable`: sending it twice does no harm."""

    method: str
    path: str
    answer: type[Answer]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    deadline: float = _SLACK
    is_repeatable: bool = True

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer | ClientError:
        """What an answer means."""
        is_execution = status == 500 and self.answer is results.Result and b'"execution_id"' in body
        if not 200 <= status < 300 and not is_execution:
            return error_of(status, headers, body)
        if self.answer is type(None):
            return None
        if self.answer is bytes:
            return body  # type: ignore[return-value]
        try:
            return decode(body, self.answer)
        except DecodeError as error:
            return UnexpectedAnswer(f"The answer to {self.method} {self.path} is not of this API: {error}")


def _json(fields: Mapping[str, Any]) -> bytes:
    return encode({name: value for name, value in fields.items() if value is not None})


def _query(**params: str | int | bool | None) -> dict[str, str]:
    """Those that are given, as the server reads them."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in params.items()
        if value is not None
    }


def _path(*parts: str) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _post(
    path: str,
    answer: type[Answer],
    body: Mapping[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    deadline: float = _SLACK,
    is_repeatable: bool = False,
) -> Call[Answer]:
    described = {} if body is None else {"Content-Type": "application/json"}
    return Call(
        "POST",
        path,
        answer,
        params=params or {},
        headers={**described, **(headers or {})},
        content=None if body is None else _json(body),
        deadline=deadline,
        is_repeatable=is_repeatable,
    )


def milliseconds(timeout: float | None) -> int | None:
    return None if timeout is None else max(1, round(timeout * 1000))


class RunOptions(TypedDict, total=False):
    """How code is run, as `Client.run_code` and `Client.stream` take it. Seconds."""

    language: str | None
    context_id: str | None
    env_vars: Mapping[str, str] | None
    timeout: float | None
    stdin: Sequence[str] | None
    variables: bool
    checkpoint: bool
    rollback: bool
    data: bool
    check: bool
    files: bool
    max_output_bytes: int | None
    limits: Mapping[str, float] | None
    isolation: str | None
    network: str | None
    deadline: float | None


def execute(
    code: str,
    *,
    key: str,
    language: str | None = None,
    context_id: str | None = None,
    env_vars: Mapping[str, str] | None = None,
    timeout: float | None = None,
    stdin: Sequence[str] | None = None,
    variables: bool = False,
    checkpoint: bool = False,
    rollback: bool = False,
    data: bool = False,
    check: bool = False,
    files: bool = False,
    max_output_bytes: int | None = None,
    limits: Mapping[str, float] | None = None,
    isolation: str | None = None,
    network: str | None = None,
    deadline: float | None = None,
) -> Call[results.Result]:
    """Code to run, with the options of `RunOptions`. With its key (Idempotency-Key) it may be sent again, and runs once."""
    fields = {
        "code": code,
        "language": language,
        "context_id": context_id,
        "env_vars": None if env_vars is None else dict(env_vars),
        "timeout_ms": milliseconds(timeout),
        "stdin": None if stdin is None else list(stdin),
        "variables": variables or None,
        "checkpoint": checkpoint or None,
        "on_error": "rollback" if rollback else None,
        "data": data or None,
        "check": check or None,
        "files": files or None,
        "max_output_bytes": max_output_bytes,
        **_context_options(limits, isolation, network),
    }
    return _post(
        "/execute",
        results.Result,
        fields,
        headers={"Idempotency-Key": key},
        deadline=deadline if deadline is not None else (timeout or EXECUTION) + _SLACK,
        is_repeatable=True,
    )


def _context_options(
    limits: Mapping[str, float] | None, isolation: str | None, network: str | None
) -> dict[str, object]:
    """What a new context is made with."""
    return {"limits": None if limits is None else dict(limits), "isolation": isolation, "network": network}


def get_execution(execution_id: str) -> Call[results.Result]:
    return Call("GET", _path("executions", execution_id), results.Result)


def interrupt_execution(execution_id: str) -> Call[results.ExecutionState]:
    return _post(_path("executions", execution_id, "interrupt"), results.ExecutionState, is_repeatable=True)


def provide_input(execution_id: str, value: str) -> Call[None]:
    return _post(_path("executions", execution_id, "input"), type(None), {"value": value})


def create_context(
    language: str | None,
    context_id: str | None,
    cwd: str | None,
    limits: Mapping[str, float] | None = None,
    isolation: str | None = None,
    network: str | None = None,
) -> Call[models.ContextInfo]:
    fields = {
        "language": language,
        "context_id": context_id,
        "cwd": cwd,
        **_context_options(limits, isolation, network),
    }
    return _post("/contexts", models.ContextInfo, fields, is_repeatable=context_id is not None)


def list_contexts() -> Call[results.ContextList]:
    return Call("GET", "/contexts", results.ContextList)


def get_context(context_id: str, language: str | None) -> Call[models.ContextInfo]:
    return Call("GET", _path("contexts", context_id), models.ContextInfo, _query(language=language))


def delete_context(context_id: str, language: str | None) -> Call[None]:
    path = _path("contexts", context_id)
    return Call("DELETE", path, type(None), _query(language=language), is_repeatable=False)


def restart_context(context_id: str, language: str | None) -> Call[models.ContextInfo]:
    path = _path("contexts", context_id, "restart")
    return _post(path, models.ContextInfo, params=_query(language=language))


def interrupt_context(context_id: str, language: str | None) -> Call[results.Interrupted]:
    path = _path("contexts", context_id, "interrupt")
    return _post(path, results.Interrupted, params=_query(language=language))


def fork_context(
    context_id: str, new_id: str | None, language: str | None, checkpoint: str | None, force: bool
) -> Call[models.BranchInfo]:
    fields = {"context_id": new_id, "language": language, "checkpoint": checkpoint, "force": force or None}
    return _post(_path("contexts", context_id, "fork"), models.BranchInfo, fields)


def restore_context(context_id: str, checkpoint: str) -> Call[models.ContextInfo]:
    return _post(_path("contexts", context_id, "restore"), models.ContextInfo, {"checkpoint": checkpoint})


def create_checkpoint(
    context_id: str, name: str | None, language: str | None, force: bool
) -> Call[models.CheckpointInfo]:
    fields = {"name": name, "language": language, "force": force or None}
    return _post(_path("contexts", context_id, "checkpoints"), models.CheckpointInfo, fields)


def list_checkpoints(context_id: str, language: str | None) -> Call[results.CheckpointList]:
    return Call("GET", _path("contexts", context_id, "checkpoints"), results.CheckpointList, _query(language=language))


def delete_checkpoint(context_id: str, checkpoint: str) -> Call[None]:
    return Call("DELETE", _path("contexts", context_id, "checkpoints", checkpoint), type(None), is_repeatable=False)


def list_variables(
    context_id: str, language: str | None, limit: int | None, after: str | None, match: str | None
) -> Call[models.VariableList]:
    params = _query(language=language, limit=limit, after=after, match=match)
    return Call("GET", _path("contexts", context_id, "variables"), models.VariableList, params)


def complete(context_id: str, code: str, cursor: int | None, language: str | None) -> Call[models.Completions]:
    fields = {"code": code, "cursor": cursor, "language": language}
    return _post(_path("contexts", context_id, "complete"), models.Completions, fields, is_repeatable=True)


def inspect(
    context_id: str, code: str, cursor: int | None, detail: bool, language: str | None
) -> Call[models.Inspection]:
    fields = {"code": code, "cursor": cursor, "detail": detail or None, "language": language}
    return _post(_path("contexts", context_id, "inspect"), models.Inspection, fields, is_repeatable=True)


def is_complete(context_id: str, code: str, language: str | None) -> Call[models.Completeness]:
    fields = {"code": code, "language": language}
    return _post(_path("contexts", context_id, "is_complete"), models.Completeness, fields, is_repeatable=True)


def install(
    context_id: str,
    packages: Sequence[str],
    language: str | None,
    timeout: float | None,
    headers: Mapping[str, str] | None = None,
) -> Call[models.InstallationResult]:
    fields = {"packages": list(packages), "language": language, "timeout_ms": milliseconds(timeout)}
    return _post(
        _path("contexts", context_id, "packages"),
        models.InstallationResult,
        fields,
        headers=headers,
        deadline=(timeout or INSTALLATION) + _SLACK,
    )


def list_files(
    context_id: str, path: str, recursive: bool, limit: int | None, after: str | None, language: str | None
) -> Call[models.FileList]:
    params = _query(path=path or None, recursive=recursive or None, limit=limit, after=after, language=language)
    return Call("GET", _path("contexts", context_id, "files"), models.FileList, params)


def file_path(context_id: str, path: str) -> str:
    """Of a file; its slashes are the server's, too."""
    return f"{_path('contexts', context_id, 'files')}/{quote(path)}"


def write_file(
    context_id: str, path: str, language: str | None, size: int | None, deadline: float
) -> Call[models.FileInfo]:
    """Its content is sent beside it. `size`: bytes, where it is known."""
    headers = {"Content-Type": "application/octet-stream"}
    if size is not None:
        headers["Content-Length"] = str(size)
    query = _query(language=language)
    return Call("PUT", file_path(context_id, path), models.FileInfo, query, headers, deadline=deadline)


def read_file(context_id: str, path: str, language: str | None, deadline: float) -> Call[bytes]:
    return Call("GET", file_path(context_id, path), bytes, _query(language=language), deadline=deadline)


def export_context(context_id: str, kind: str, language: str | None, deadline: float) -> Call[bytes]:
    query = _query(format=kind, language=language)
    return Call("GET", _path("contexts", context_id, "export"), bytes, query, deadline=deadline)


def delete_file(context_id: str, path: str, recursive: bool, language: str | None) -> Call[None]:
    params = _query(recursive=recursive or None, language=language)
    return Call("DELETE", file_path(context_id, path), type(None), params, is_repeatable=False)


def list_languages() -> Call[results.LanguageList]:
    return Call("GET", "/languages", results.LanguageList)


def health() -> Call[results.Health]:
    return Call("GET", "/health", results.Health)
