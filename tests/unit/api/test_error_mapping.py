"""Every error of the tree has a meaning in every dialect: a status, a body of the dialect's shape, and its message."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.responses import Response

import engine
from engine.api.code_interpreter import routes as code_interpreter
from engine.api.dialects import DIALECTS
from engine.api.e2b import routes as e2b
from engine.api.gateway import errors as gateway_errors
from engine.api.gateway.sessions import SessionGone
from engine.api.http import errors
from engine.api.kernelbox import routes as kernelbox
from engine.api.notebook import routes as notebook_http
from engine.cli.repl_sessions import ServerFailed
from engine.errors import (
    BadNotebook,
    Conflict,
    ContextBusy,
    ContextExists,
    ContextNotFound,
    FieldError,
    Forbidden,
    IdempotencyConflict,
    InvalidRequest,
    KernelError,
    KernelStartFailed,
    KernelTimeout,
    MessageError,
    NotFound,
    NotSupported,
    Overloaded,
    PolyreplError,
    RangeNotSatisfiable,
    RequestTooLarge,
    ResultGone,
    ShuttingDown,
    StorageFull,
    Unauthorized,
    UnknownLanguage,
)
from engine.models import Obstacle

for _module in pkgutil.walk_packages(engine.__path__, "engine."):  # errors may be defined anywhere
    if not _module.name.startswith(("engine._data", "engine.api.mcp.server", "engine.api.mcp.content")):
        importlib.import_module(_module.name)

# Those of programs that call a server, and what keeps a server from starting.
NEVER_ANSWERED = (ServerFailed, BadNotebook)
VALUES: dict[str, Any] = {
    "str": "text",
    "str | None": "text",
    "int": 3,
    "int | None": None,
    "float": 2.0,
    "float | None": 2.0,
    "list[str]": ["python", "py"],
    "Sequence[Obstacle]": [Obstacle("thread", "worker")],
    "FieldError": FieldError("code", "Field required"),
}


def kinds(base: type[PolyreplError] = PolyreplError) -> list[type[PolyreplError]]:
    below = [each for child in base.__subclasses__() for each in kinds(child)]
    found = dict.fromkeys([*base.__subclasses__(), *below])
    return [kind for kind in found if not issubclass(kind, NEVER_ANSWERED)]


def example(kind: type[PolyreplError]) -> PolyreplError:
    """An instance, whatever its constructor takes."""
    arguments: list[Any] = []
    keywords: dict[str, Any] = {}
    for parameter in list(inspect.signature(kind.__init__).parameters.values())[1:]:
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.VAR_POSITIONAL):
            arguments.append(VALUES[str(parameter.annotation)])
        elif parameter.default is parameter.empty:
            keywords[parameter.name] = VALUES[str(parameter.annotation)]
    return kind(*arguments, **keywords)


@dataclass(frozen=True)
class Rendering:
    """One dialect: how it renders, its text for a person, and the statuses that are not the tree's usual ones."""

    render: Callable[[PolyreplError], Response]
    text: Callable[[Response], str]
    statuses: dict[type[PolyreplError], int]


USUAL: dict[type[PolyreplError], int] = {
    InvalidRequest: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    IdempotencyConflict: 422,
    Conflict: 409,
    ResultGone: 410,
    RequestTooLarge: 413,
    RangeNotSatisfiable: 416,
    StorageFull: 507,
    NotSupported: 501,
    Overloaded: 429,
    ShuttingDown: 503,
    KernelError: 500,
    MessageError: 500,
}


def message_of(response: Response) -> str:
    body = json.loads(bytes(response.body))
    assert {"message", "code"} <= set(body) <= {"message", "code", "remediation", "errors", "obstacles"}
    return json.dumps([body["message"], body.get("errors")])


def reason_of(response: Response) -> str:
    body = json.loads(bytes(response.body))
    assert set(body) == {"reason", "message"}
    assert body["reason"]
    return str(body["message"])


def detail_of(response: Response) -> str:
    body = json.loads(bytes(response.body))
    assert set(body) == {"detail"}
    if response.status_code == 422 and isinstance(body["detail"], list):
        for problem in body["detail"]:
            assert {"type", "loc", "msg"} <= set(problem)
        return json.dumps(body["detail"])
    assert isinstance(body["detail"], str)
    return str(body["detail"])


def text_or_detail_of(response: Response) -> str:
    if response.headers["content-type"].startswith("text/plain"):
        return bytes(response.body).decode()
    return detail_of(response)


RENDERINGS: dict[str, Rendering] = {
    "native": Rendering(errors.render, message_of, {}),
    "gateway": Rendering(gateway_errors.render, reason_of, {SessionGone: 410}),
    "notebook_http": Rendering(
        notebook_http.render,
        reason_of,
        {Overloaded: 503, NotSupported: 500, ShuttingDown: 500, StorageFull: 500},
    ),
    "e2b": Rendering(e2b.render, text_or_detail_of, {UnknownLanguage: 500, InvalidRequest: 422}),
    "kernelbox": Rendering(kernelbox.render, detail_of, {InvalidRequest: 422}),
    "mcp": Rendering(errors.render, message_of, {}),
    "code_interpreter": Rendering(code_interpreter.render, detail_of, {KernelTimeout: 504, KernelStartFailed: 503}),
}


@pytest.fixture(params=RENDERINGS, ids=str)
def rendering(request: pytest.FixtureRequest) -> Rendering:
    return RENDERINGS[request.param]


def expected_status(rendering: Rendering, kind: type[PolyreplError]) -> int:
    """The most special of the classes that the dialect, then the tree, gives a status."""
    for each in kind.__mro__:
        if each in rendering.statuses:
            return rendering.statuses[each]
        if each in USUAL:
            return USUAL[each]
    raise AssertionError(f"{kind} has no status")


def test_every_dialect_that_is_served_is_here():
    assert {dialect.name for dialect in DIALECTS} <= set(RENDERINGS)
    error = Forbidden("m")
    for dialect in DIALECTS:
        assert dialect.render(error).body == RENDERINGS[dialect.name].render(error).body


def words_of(error: PolyreplError) -> list[str]:
    """What a person must be told."""
    if isinstance(error, InvalidRequest):
        return [wrong.error for wrong in error.errors]
    if isinstance(error, (ContextNotFound, ContextExists)):
        return ["text"]  # its id
    return [] if isinstance(error, Unauthorized) else [error.message]  # the gateway says nothing there


def test_every_error_has_a_status_and_a_body_of_the_dialects_shape(rendering: Rendering):
    wrong = []
    for kind in kinds():
        error = example(kind)
        response = rendering.render(error)
        text = rendering.text(response)
        is_told = text == "Session not found" or all(
            words in text or json.dumps(words)[1:-1] in text for words in words_of(error)
        )
        if response.status_code != expected_status(rendering, kind) or not is_told or "Traceback" in text:
            wrong.append((kind.__name__, response.status_code, text))
    assert not wrong


def test_what_is_busy_says_when_to_come_back(rendering: Rendering):
    for kind in kinds():
        if issubclass(kind, (Overloaded, ContextBusy)):
            assert int(rendering.render(example(kind)).headers["retry-after"]) > 0, kind


def test_what_a_kernel_printed_before_it_failed_to_start_is_not_sent(rendering: Rendering):
    error = KernelStartFailed("python", "exited with code 1", detail="SECRET=1")
    assert b"SECRET" not in bytes(rendering.render(error).body)


def test_the_documented_words_of_each_dialect():
    unknown = ContextNotFound("nope")
    assert detail_of(kernelbox.render(unknown)) == "Unknown kernel: nope"
    assert detail_of(kernelbox.render(ContextExists("my-kernel"))) == "Kernel name already exists: my-kernel"
    assert detail_of(code_interpreter.render(unknown)) == "Session not found"
    assert text_or_detail_of(e2b.render(unknown)) == "Context nope not found"
    assert reason_of(gateway_errors.render(unknown)) == "Kernel does not exist: nope"
    assert detail_of(code_interpreter.render(InvalidRequest(FieldError("code", "is wrong")))) == "code: is wrong"


def test_every_error_is_an_answer_that_a_model_can_read():
    from engine.api.mcp import server as mcp_server  # loads an optional package

    for kind in kinds():
        answer = mcp_server.render(example(kind))
        assert answer.is_error, kind
        assert answer.content[0].text.startswith(f"{kind.__name__}: ")
