# Generated from _async/resources.py by clients/python/generate.py: change that, and run this.
"""What a client can do, by what it is about: contexts, executions, checkpoints, packages, files."""

from __future__ import annotations

import builtins
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from polyrepl import calls, results, transport
from polyrepl._sync.connection import Connection
from polyrepl.errors import UnexpectedAnswer
from polyrepl.models import (
    BranchInfo,
    CheckpointInfo,
    Completeness,
    Completions,
    ContextInfo,
    FileInfo,
    FileList,
    Inspection,
    InstallationResult,
    Installed,
    Stderr,
    Stdout,
    VariableList,
)
from polyrepl.results import Event, Result
from polyrepl.transfer import Content, Source, remote_path


class _Resource:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._send = connection.send


class Contexts(_Resource):
    """The places where code runs. `language` says which of a context's languages is meant, where it has several."""

    def create(
        self,
        language: str | None = None,
        *,
        context_id: str | None = None,
        cwd: str | None = None,
        limits: Mapping[str, float] | None = None,
        isolation: str | None = None,
        network: str | None = None,
    ) -> ContextInfo:
        """Make a context, or find the one of that id, and return when its kernel is ready. `limits`: what it may take, such as
        `{"memory": 500_000_000, "cpus": 1}`. `isolation` (none, process, landlock, namespaces) and `network` (none, open): by default
        as the server has it, which also decides what may be asked for."""
        return self._send(calls.create_context(language, context_id, cwd, limits, isolation, network))

    def list(self) -> list[ContextInfo]:
        """All contexts of the server."""
        answer = self._send(calls.list_contexts())
        return answer.items

    def get(self, context_id: str, *, language: str | None = None) -> ContextInfo:
        """The context as it stands now. Raises ContextNotFound."""
        return self._send(calls.get_context(context_id, language))

    def delete(self, context_id: str, *, language: str | None = None) -> None:
        """End it, with its processes and its working directory."""
        self._send(calls.delete_context(context_id, language))

    def restart(self, context_id: str, *, language: str | None = None) -> ContextInfo:
        """Replace its kernel by a fresh one."""
        return self._send(calls.restart_context(context_id, language))

    def interrupt(self, context_id: str, *, language: str | None = None) -> builtins.list[str]:
        """Stop what runs in it, and return the ids of that; the state is kept."""
        answer = self._send(calls.interrupt_context(context_id, language))
        return answer.executions

    def export(
        self,
        context_id: str,
        kind: Literal["ipynb", "py", "ts", "html"] = "ipynb",
        to: str | Path | None = None,
        *,
        language: str | None = None,
        deadline: float = 3600.0,
    ) -> bytes:
        """Its executions as a notebook, a script, or a page; with `to` that goes to a local file, and b"" is returned."""
        return self._connection.download(
            calls.export_context(context_id, kind, language, deadline), None if to is None else Path(to)
        )

    def fork(
        self,
        context_id: str,
        *,
        new_id: str | None = None,
        language: str | None = None,
        checkpoint: str | None = None,
        force: bool = False,
    ) -> BranchInfo:
        """Make a new context with the whole live state of this one, or of one of its checkpoints. Raises also CannotBranch."""
        return self._send(calls.fork_context(context_id, new_id, language, checkpoint, force))

    def restore(self, context_id: str, checkpoint: str) -> ContextInfo:
        """Have it go on from a checkpoint, which stays usable."""
        return self._send(calls.restore_context(context_id, checkpoint))

    def variables(
        self,
        context_id: str,
        *,
        language: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        match: str | None = None,
    ) -> VariableList:
        """What its user has named: `limit` names after the name `after` that contain `match`."""
        return self._send(calls.list_variables(context_id, language, limit, after, match))

    def complete(
        self, context_id: str, code: str, *, cursor: int | None = None, language: str | None = None
    ) -> Completions:
        """How code could go on at the cursor (in characters; the end where None)."""
        return self._send(calls.complete(context_id, code, cursor, language))

    def inspect(
        self,
        context_id: str,
        code: str,
        *,
        cursor: int | None = None,
        detail: bool = False,
        language: str | None = None,
    ) -> Inspection:
        """What is known of the name at the cursor; with `detail` also its source."""
        return self._send(calls.inspect(context_id, code, cursor, detail, language))

    def is_complete(self, context_id: str, code: str, *, language: str | None = None) -> Completeness:
        """Whether code can be run as it is, or more lines must follow."""
        return self._send(calls.is_complete(context_id, code, language))


class Executions(_Resource):
    """Code that runs or has run."""

    def start(
        self,
        code: str,
        *,
        language: str | None = None,
        context_id: str | None = None,
        env_vars: Mapping[str, str] | None = None,
        timeout: float | None = None,
        stdin: Sequence[str] | None = None,
        limits: Mapping[str, float] | None = None,
        isolation: str | None = None,
        network: str | None = None,
        idempotency_key: str | None = None,
    ) -> Result:
        """Run code and return at once; `get`, `events` and `wait` tell how it goes on. `limits`, `isolation` and `network` are those
        of a context that is made for it."""
        call = calls.execute(
            code,
            key=idempotency_key or transport.new_key(),
            language=language,
            context_id=context_id,
            env_vars=env_vars,
            timeout=timeout,
            stdin=stdin,
            limits=limits,
            isolation=isolation,
            network=network,
        )
        return self._send(dataclasses.replace(call, headers={**call.headers, "Prefer": "respond-async"}))

    def get(self, execution_id: str) -> Result:
        """The execution as it stands now."""
        return self._send(calls.get_execution(execution_id))

    def events(self, execution_id: str, *, after: int = 0, deadline: float = 3600.0) -> Iterator[Event]:
        """Its events numbered above `after`, to its end."""
        call = dataclasses.replace(calls.get_execution(execution_id), deadline=deadline)
        return self._connection.follow(transport.Follower(call, execution_id=execution_id, last_event_id=after))

    def wait(self, execution_id: str, *, deadline: float = 3600.0) -> Result:
        """The result, when it has ended."""
        for _ in self.events(execution_id, deadline=deadline):
            pass
        return self.get(execution_id)

    def interrupt(self, execution_id: str) -> results.ExecutionState:
        """Stop it, running or waiting; the state of its context is kept."""
        return self._send(calls.interrupt_execution(execution_id))

    def input(self, execution_id: str, value: str) -> None:
        """Answer its input(). Raises also InputNotExpected."""
        self._send(calls.provide_input(execution_id, value))


class Checkpoints(_Resource):
    """States of contexts that one can return to."""

    def create(
        self, context_id: str, *, name: str | None = None, language: str | None = None, force: bool = False
    ) -> CheckpointInfo:
        """Keep the present state. Raises also CannotBranch; with `force` it leaves out what cannot be copied."""
        return self._send(calls.create_checkpoint(context_id, name, language, force))

    def list(self, context_id: str, *, language: str | None = None) -> list[CheckpointInfo]:
        """The context's checkpoints."""
        answer = self._send(calls.list_checkpoints(context_id, language))
        return answer.items

    def delete(self, context_id: str, checkpoint: str) -> None:
        """Let go of a checkpoint, and of the memory that it holds."""
        self._send(calls.delete_checkpoint(context_id, checkpoint))


class Packages(_Resource):
    """Packages of contexts."""

    def install(
        self,
        context_id: str,
        packages: Sequence[str],
        *,
        language: str | None = None,
        timeout: float | None = None,
        on_output: Callable[[str], object] | None = None,
    ) -> InstallationResult:
        """Install packages; how that ended is in the result. `on_output` gets what pip or npm prints, as it comes."""
        if on_output is None:
            return self._send(calls.install(context_id, packages, language, timeout))
        call = calls.install(context_id, packages, language, timeout, {"Accept": transport.STREAM})
        follower = transport.Follower(call, is_resumable=False)
        with contextlib.closing(self._connection.follow(follower)) as events:
            for event in events:
                if isinstance(event, (Stdout, Stderr)):
                    on_output(event.text)
                elif isinstance(event, Installed):
                    return event.result
        raise UnexpectedAnswer("The stream had no end")


class Files(_Resource):
    """The files in contexts' working directories; paths are relative to it."""

    def list(
        self,
        context_id: str,
        path: str = "",
        *,
        recursive: bool = False,
        limit: int | None = None,
        after: str | None = None,
        language: str | None = None,
    ) -> FileList:
        """What is in a directory: `limit` paths after the path `after`."""
        return self._send(calls.list_files(context_id, path, recursive, limit, after, language))

    def upload(
        self,
        context_id: str,
        source: Source,
        path: str | None = None,
        *,
        language: str | None = None,
        deadline: float = 3600.0,
    ) -> FileInfo:
        """Write a file from bytes, from a local file by its path, or from an open one, without having it in memory.

        `path`: where to; by default the name of the local file. With a `language` the context is made where there is none."""
        with contextlib.closing(Content(source)) as content:
            call = calls.write_file(context_id, remote_path(path, content), language, content.size, deadline)
            return self._send(call, content=content)

    def download(
        self,
        context_id: str,
        path: str,
        to: str | Path | None = None,
        *,
        language: str | None = None,
        deadline: float = 3600.0,
    ) -> bytes:
        """A file's content; with `to` it goes to that local file, which is there when it is whole, and b"" is returned."""
        return self._connection.download(
            calls.read_file(context_id, path, language, deadline), None if to is None else Path(to)
        )

    def delete(self, context_id: str, path: str, *, recursive: bool = False, language: str | None = None) -> None:
        """Remove a file, or with `recursive` a directory and all that is in it."""
        self._send(calls.delete_file(context_id, path, recursive, language))
