"""Errors: the tree drawn in the docstring is the tree of classes, and each has one meaning in HTTP."""

from __future__ import annotations

import json
import re

from engine import errors
from engine.api.http.errors import render, status_of
from engine.errors import FieldError, PolyreplError
from engine.models import Obstacle

EXAMPLES: dict[type[PolyreplError], tuple[PolyreplError, int]] = {
    type(error): (error, status)
    for error, status in [
        (errors.InvalidRequest(FieldError("code", "Field required")), 400),
        (errors.UnknownLanguage("cobol", allowed=["python", "py"]), 400),
        (errors.Unauthorized("m"), 401),
        (errors.Forbidden("m"), 403),
        (errors.NotFound("m"), 404),
        (errors.ContextNotFound("c"), 404),
        (errors.ExecutionNotFound("e"), 404),
        (errors.Conflict("m"), 409),
        (errors.InputNotExpected("e", "ok"), 409),
        (errors.IdempotencyConflict(), 422),
        (errors.ContextEnded("c"), 409),
        (errors.ContextExists("c"), 409),
        (errors.OtherLimits("c", "memory", 200_000_000, 100_000_000), 409),
        (errors.CannotBranch("c", [Obstacle("thread", "worker")]), 409),
        (errors.CheckpointLost("k", "was killed by SIGKILL"), 409),
        (errors.CheckpointNotFound("k", "c"), 404),
        (errors.FileMissing("a.csv"), 404),
        (errors.FileConflict("a", "is a directory"), 409),
        (errors.FilesUnavailable("c", 20.0), 409),
        (errors.TooManyFiles(20_000), 409),
        (errors.FileTooLarge("a", 10), 413),
        (errors.RangeNotSatisfiable(10), 416),
        (errors.StorageFull("the disk is full"), 507),
        (errors.TooManyCheckpoints("c", 16), 429),
        (errors.TooManyInstallations(2), 429),
        (errors.MemoryShort(10**8, 10**9), 429),
        (errors.ContextBusy("c"), 409),
        (errors.VariablesUnavailable("c", "no answer"), 409),
        (errors.StateLost("c", "its kernel died"), 409),
        (errors.ResultGone("e"), 410),
        (errors.RequestTooLarge(10), 413),
        (errors.NotSupported("branching", "typescript", "a Node process cannot be forked"), 501),
        (errors.Overloaded("m", retry_after=3), 429),
        (errors.QueueFull("c", 1), 429),
        (errors.TooManyBytes("The queue holds", 1, 2, 2), 429),
        (errors.TooManyContexts(1), 429),
        (errors.TooManyRequests(1000), 429),
        (errors.TooManyOpenFiles(), 429),
        (errors.KernelsBusy("none was free within 30 s"), 429),
        (errors.ShuttingDown(), 503),
        (errors.KernelError("m"), 500),
        (errors.KernelStartFailed("python", "exited with code 1"), 500),
        (errors.KernelDied("killed by SIGKILL"), 500),
        (errors.LimitExceeded("killed at its limit of 64 processes and threads (peak 65)"), 500),
        (errors.KernelTimeout("variables_request", 2), 500),
        (errors.BadNotebook("api.ipynb", "it is not JSON"), 500),
        (errors.MessageError("m"), 500),
    ]
}


def tree(kind: type[PolyreplError] = PolyreplError) -> list[type[PolyreplError]]:
    """Every class below the base, which itself is never raised."""
    return [*kind.__subclasses__(), *(each for child in kind.__subclasses__() for each in tree(child))]


def test_every_class_of_the_tree_has_an_example_here():
    assert set(EXAMPLES) == {kind for kind in tree() if kind.__module__.startswith("engine.errors.")}


def test_every_error_has_its_status_and_a_body_with_its_name_its_message_and_what_can_be_done():
    wrong = []
    for error, status in EXAMPLES.values():
        response = render(error)
        body = json.loads(bytes(response.body))
        found = (status_of(error), response.status_code, response.headers["content-type"], body["code"])
        is_right = (
            found == (status, status, "application/json", type(error).__name__)
            and body["message"] == error.message == str(error)
            and body["remediation"].endswith(".")
            and ("errors" in body) == (status == 400)
        )
        if not is_right:
            wrong.append((error, status, found, body))
    assert not wrong


def test_the_docstring_draws_every_class_below_its_base():
    drawn: dict[str, str | None] = {}
    parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.fullmatch(r"([│ ├└─]*)(\w+)(  .*)?", line)
        if not found or not hasattr(errors, found[2]):
            continue
        depth = len(found[1]) // 4
        parents[depth:] = [found[2]]
        drawn[found[2]] = parents[depth - 1] if depth else None
    actual = {kind.__name__: kind.__base__.__name__ for kind in tree() if kind.__module__.startswith("engine.errors.")}
    assert drawn == {"PolyreplError": None, **actual}


def test_an_invalid_request_names_its_fields():
    body = json.loads(bytes(render(EXAMPLES[errors.InvalidRequest][0]).body))
    assert body.pop("remediation")
    errors_of = [{"field": "code", "error": "Field required"}]
    assert body == {"message": "Invalid request", "code": "InvalidRequest", "errors": errors_of}


def test_an_unknown_language_tells_what_is_allowed():
    (wrong,) = json.loads(bytes(render(EXAMPLES[errors.UnknownLanguage][0]).body))["errors"]
    assert wrong["field"] == "language"
    assert "cobol" in wrong["error"]
    assert "python, py" in wrong["error"]


def test_unauthorized_says_how_to_authenticate():
    assert render(EXAMPLES[errors.Unauthorized][0]).headers["www-authenticate"] == "Bearer"
