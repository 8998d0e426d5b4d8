"""The native dialect's table of routes: what the server answers and what the API document says are one list."""

from __future__ import annotations

from engine.api.http.downloads import OCTETS
from engine.api.http.errors import InvalidProblem, ObstacleProblem, Problem
from engine.api.http.openapi import Answer, Operation, Parameter
from engine.api.http.requests import (
    CheckpointBody,
    CompleteBody,
    ContextBody,
    ExecuteBody,
    ForkBody,
    InputBody,
    InspectBody,
    IsCompleteBody,
    PackagesBody,
    RestoreBody,
)
from engine.api.http.streaming import NDJSON, SSE
from engine.api.native import assistance, branches, contexts, execute, files, operations, packages, variables
from engine.models import (
    BranchInfo,
    CheckpointInfo,
    Completeness,
    Completions,
    ContextInfo,
    FileInfo,
    FileList,
    Inspection,
    InstallationResult,
    Result,
    VariableList,
)

_STREAMS = ("application/json", SSE, NDJSON)
_NO_EXECUTION = Answer("No such execution, or no longer kept", Problem)
_NO_CONTEXT = Answer("No such context", Problem)
_NO_CHECKPOINT = Answer("No such context or checkpoint", Problem)
_CANNOT_BRANCH = Answer(
    "The context's state cannot be copied (`obstacles` names what), a cell runs for too long, or the id is in use",
    ObstacleProblem,
)
_BUSY = Answer("The queue, or the server, is full", Problem, headers=("Retry-After",))
_ENDED = Answer("The context was ended or restarted meanwhile", Problem)
_ENDING = Answer("The server is shutting down", Problem)
_NO_VARIABLES = Answer("`variables`, `checkpoint` or `on_error` is not supported for this language", Problem)
_NOT_SUPPORTED = Answer("The kernel of this language cannot do it", Problem)
_NO_FILE = Answer("No such context or file", Problem)
_NOT_A_FILE = Answer("Something else is at that path, or the context was ended meanwhile", Problem)
_NO_ROOM = Answer("The context's files, or the disk, may take no more", Problem)
_BAD_QUERY = Answer("A parameter is wrong", InvalidProblem)

_LANGUAGE = Parameter("language", "query", "Only the context of this language.", {"type": "string"})
_AFTER = Parameter(
    "after", "query", "Only events numbered above this.", {"type": "integer", "minimum": 0, "maximum": 10**15}
)
_LAST_EVENT_ID = Parameter(
    "Last-Event-ID",
    "header",
    "As `after`; browsers send it when they reconnect.",
    {"type": "string", "pattern": "^[0-9]{1,15}$"},
)
_PREFER = Parameter("Prefer", "header", "`respond-async` answers 202 at once.", {"type": "string"})
_KEY = Parameter("Idempotency-Key", "header", "A repeated request returns the first execution.", {"type": "string"})

OPERATIONS: list[Operation] = [
    Operation(
        "POST",
        "/execute",
        execute.execute,
        "Run code, and wait for its result or follow its events",
        "executions",
        {
            200: Answer("The execution has ended, also when the code failed", Result, _STREAMS),
            202: Answer("Accepted (Prefer: respond-async)", Result, headers=("Location",)),
            404: _NO_CONTEXT,
            422: Answer("Idempotency-Key was used for another request", Problem),
            429: _BUSY,
            500: Answer("The kernel could not be started; the execution tells why in `error`", Result),
            501: _NO_VARIABLES,
            503: _ENDING,
        },
        body=ExecuteBody,
        parameters=(_PREFER, _KEY),
    ),
    Operation(
        "POST",
        "/execute/async",
        execute.execute_async,
        "Run code as a script and stream its output, in the shape of the compatible API",
        "executions",
        {
            200: Answer('Lines `data: {"type": 0|1|2|3, ...}`', media_types=(SSE,)),
            429: _BUSY,
            501: _NO_VARIABLES,
            503: _ENDING,
        },
        body=ExecuteBody,
    ),
    Operation(
        "GET",
        "/executions/{execution_id}",
        execute.get_execution,
        "An execution's state and its result so far",
        "executions",
        {200: Answer("The execution", Result), 404: _NO_EXECUTION},
    ),
    Operation(
        "GET",
        "/executions/{execution_id}/events",
        execute.get_events,
        "An execution's events, as a list or followed as a stream",
        "executions",
        {200: Answer("The events", execute.EventPage, _STREAMS), 400: _BAD_QUERY, 404: _NO_EXECUTION},
        parameters=(_AFTER, _LAST_EVENT_ID),
    ),
    Operation(
        "POST",
        "/executions/{execution_id}/interrupt",
        execute.interrupt_execution,
        "Stop an execution, running or waiting; the state is kept",
        "executions",
        {200: Answer("The execution's state", execute.ExecutionState), 404: _NO_EXECUTION},
    ),
    Operation(
        "POST",
        "/executions/{execution_id}/input",
        execute.provide_input,
        "Answer an input request",
        "executions",
        {204: Answer("Taken"), 404: _NO_EXECUTION, 409: Answer("It is not waiting for input", Problem)},
        body=InputBody,
    ),
    Operation(
        "POST",
        "/contexts",
        contexts.create_context,
        "Make a context; its kernel is ready when the answer comes",
        "contexts",
        {
            201: Answer("The context", ContextInfo, headers=("Location",)),
            409: _ENDED,
            429: _BUSY,
            500: Answer("The kernel could not be started", Problem),
            503: _ENDING,
        },
        body=ContextBody,
        body_required=False,
    ),
    Operation(
        "GET",
        "/contexts",
        contexts.list_contexts,
        "All contexts",
        "contexts",
        {200: Answer("Them", contexts.ContextList)},
    ),
    Operation(
        "GET",
        "/contexts/{context_id}",
        contexts.get_context,
        "One context; of several languages the oldest",
        "contexts",
        {200: Answer("The context", ContextInfo), 400: _BAD_QUERY, 404: _NO_CONTEXT},
        parameters=(_LANGUAGE,),
    ),
    Operation(
        "DELETE",
        "/contexts/{context_id}",
        contexts.delete_context,
        "End a context, in all its languages or in one, at once",
        "contexts",
        {204: Answer("Gone"), 400: _BAD_QUERY, 404: _NO_CONTEXT},
        parameters=(_LANGUAGE,),
    ),
    Operation(
        "POST",
        "/contexts/{context_id}/restart",
        contexts.restart_context,
        "Replace a context's kernel by a fresh one",
        "contexts",
        {
            200: Answer("The context", ContextInfo),
            400: _BAD_QUERY,
            404: _NO_CONTEXT,
            409: _ENDED,
            500: Answer("The kernel could not be started", Problem),
        },
        parameters=(_LANGUAGE,),
    ),
    Operation(
        "POST",
        "/contexts/{context_id}/interrupt",
        contexts.interrupt_context,
        "Stop what runs in a context; the state is kept",
        "contexts",
        {200: Answer("What was stopped", contexts.Interrupted), 400: _BAD_QUERY, 404: _NO_CONTEXT},
        parameters=(_LANGUAGE,),
    ),
    Operation(
        "GET",
        "/contexts/{context_id}/variables",
        variables.list_variables,
        "What the user of a context has named, between two cells",
        "contexts",
        {
            200: Answer("The variables by name; none while no kernel runs", VariableList),
            400: _BAD_QUERY,
            404: _NO_CONTEXT,
            409: Answer("A cell runs, or the kernel did not tell its variables", Problem, headers=("Retry-After",)),
            500: Answer("The kernel died meanwhile", Problem),
            501: _NOT_SUPPORTED,
        },
        parameters=(_LANGUAGE, *variables.PARAMETERS),
    ),
    *(
        Operation(
            "POST",
            f"/contexts/{{context_id}}/{endpoint.__name__}",
            endpoint,
            summary,
            "assistance",
            {
                200: Answer("What the kernel says; nothing while none runs", model),
                404: _NO_CONTEXT,
                409: Answer("A cell runs", Problem, headers=("Retry-After",)),
                500: Answer("The kernel died, or did not answer", Problem),
                501: _NOT_SUPPORTED,
            },
            body=body,
        )
        for endpoint, summary, body, model in (
            (assistance.complete, "How code could go on at a place", CompleteBody, Completions),
            (assistance.inspect, "What is known of the name at a place in code", InspectBody, Inspection),
            (assistance.is_complete, "Whether code can be run as it is", IsCompleteBody, Completeness),
        )
    ),
    Operation(
        "POST",
        "/contexts/{context_id}/packages",
        packages.install_packages,
        "Install packages into a context, and wait for the end or follow the progress",
        "packages",
        {
            200: Answer("The installation has ended, also when it failed", InstallationResult, _STREAMS),
            403: Answer("Installing packages is switched off, or this host or origin is not allowed", Problem),
            404: _NO_CONTEXT,
            429: Answer(
                "The context installs something already, or the server as much as it may",
                Problem,
                headers=("Retry-After",),
            ),
            501: _NOT_SUPPORTED,
            503: _ENDING,
        },
        body=PackagesBody,
    ),
    Operation(
        "POST",
        "/contexts/{context_id}/fork",
        branches.fork_context,
        "Make a new context with the whole live state of this one; both go on",
        "branches",
        {
            201: Answer("The new context", BranchInfo, headers=("Location",)),
            404: _NO_CONTEXT,
            409: _CANNOT_BRANCH,
            429: _BUSY,
            500: Answer("The kernel died, or did not answer", Problem),
            501: _NOT_SUPPORTED,
            503: _ENDING,
        },
        body=ForkBody,
        body_required=False,
        parameters=(_LANGUAGE,),
    ),
    Operation(
        "POST",
        "/contexts/{context_id}/checkpoints",
        branches.create_checkpoint,
        "Keep the present state of a context, its files included",
        "branches",
        {
            201: Answer("The checkpoint", CheckpointInfo),
            404: _NO_CONTEXT,
            409: _CANNOT_BRANCH,
            429: _BUSY,
            500: Answer("The kernel died, or did not answer", Problem),
            501: _NOT_SUPPORTED,
            503: _ENDING,
        },
        body=CheckpointBody,
        body_required=False,
        parameters=(_LANGUAGE,),
    ),
    Operation(
        "GET",
        "/contexts/{context_id}/checkpoints",
        branches.list_checkpoints,
        "A context's checkpoints, oldest first",
        "branches",
        {200: Answer("Them", branches.CheckpointList), 400: _BAD_QUERY, 404: _NO_CONTEXT},
        parameters=(_LANGUAGE,),
    ),
    Operation(
        "DELETE",
        "/contexts/{context_id}/checkpoints/{checkpoint}",
        branches.delete_checkpoint,
        "End a checkpoint",
        "branches",
        {204: Answer("Gone"), 404: _NO_CHECKPOINT},
    ),
    Operation(
        "POST",
        "/contexts/{context_id}/restore",
        branches.restore_context,
        "Have a context go on from one of its checkpoints, which stays usable",
        "branches",
        {
            200: Answer("The context", ContextInfo),
            404: _NO_CHECKPOINT,
            409: _CANNOT_BRANCH,
            429: _BUSY,
            500: Answer("The checkpoint could not be brought back", Problem),
            503: _ENDING,
        },
        body=RestoreBody,
    ),
    Operation(
        "GET",
        "/contexts/{context_id}/files",
        files.list_files,
        "What is in a context's working directory, sorted by path",
        "files",
        {200: Answer("The files", FileList), 400: _BAD_QUERY, 404: _NO_FILE, 409: _NOT_A_FILE},
        parameters=(_LANGUAGE, *files.LISTING),
    ),
    Operation(
        "POST",
        "/contexts/{context_id}/files",
        files.upload_files,
        "Upload files as a form, under the names that they have there",
        "files",
        {
            201: Answer("The files", files.Uploaded),
            404: _NO_CONTEXT,
            409: _NOT_A_FILE,
            429: _BUSY,
            503: _ENDING,
            507: _NO_ROOM,
        },
        content=("multipart/form-data",),
        parameters=(files.CREATES, files.INTO),
    ),
    *(
        Operation(
            method,
            "/contexts/{context_id}/files/{path:path}",
            endpoint,
            summary,
            "files",
            {
                200: Answer("The file was replaced", FileInfo),
                201: Answer("The file is new", FileInfo),
                404: _NO_CONTEXT,
                409: _NOT_A_FILE,
                429: _BUSY,
                503: _ENDING,
                507: _NO_ROOM,
            },
            content=(OCTETS,),
            parameters=(files.CREATES,),
        )
        for method, endpoint, summary in (
            ("PUT", files.write_file, "Write a file: the body is its content"),
            ("POST", files.upload_file, "Write a file, as PUT does"),
        )
    ),
    Operation(
        "GET",
        "/contexts/{context_id}/files/{path:path}",
        files.read_file,
        "Download a file, or a part of it",
        "files",
        {
            200: Answer("The file", media_types=("*/*",), headers=("ETag", "Content-Disposition")),
            206: Answer("The part", media_types=("*/*",), headers=("ETag", "Content-Range")),
            304: Answer("It is as the client has it", headers=("ETag",)),
            400: _BAD_QUERY,
            404: _NO_FILE,
            409: _NOT_A_FILE,
            416: Answer("No such part", Problem, headers=("Content-Range",)),
        },
        parameters=(_LANGUAGE, *files.CONDITIONS),
    ),
    Operation(
        "DELETE",
        "/contexts/{context_id}/files/{path:path}",
        files.delete_file,
        "Delete a file, or a directory",
        "files",
        {204: Answer("Gone"), 400: _BAD_QUERY, 404: _NO_FILE, 409: _NOT_A_FILE},
        parameters=(_LANGUAGE, files.RECURSIVE),
    ),
    Operation(
        "GET",
        "/languages",
        contexts.list_languages,
        "The languages, their aliases, and which are available",
        "languages",
        {200: Answer("Them", contexts.LanguageList)},
    ),
    Operation(
        "GET",
        "/",
        operations.index,
        "Where to go from here",
        "operations",
        {200: Answer("Links", operations.Discovery)},
    ),
    Operation(
        "GET",
        "/healthz",
        operations.healthz,
        "Whether the server lives",
        "operations",
        {200: Answer("It does", operations.Health)},
        is_open=True,
    ),
    Operation(
        "GET",
        "/health",
        operations.health,
        "Whether the server lives, and its version",
        "operations",
        {200: Answer("It does", operations.ServiceHealth)},
        is_open=True,
    ),
    Operation(
        "GET",
        "/readyz",
        operations.readyz,
        "Whether the server takes work",
        "operations",
        {200: Answer("It does", operations.Readiness), 503: Answer("It does not", operations.Readiness)},
        is_open=True,
    ),
    Operation(
        "GET",
        "/metrics",
        operations.metrics,
        "Metrics in Prometheus' text format",
        "operations",
        {200: Answer("Metrics", media_types=("text/plain",))},
    ),
]
