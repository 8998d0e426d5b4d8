"""The E2B dialect: the API of E2B's code interpreter, as its SDKs call it, under /e2b and for requests with their header.

A sandbox is an id of contexts: the default contexts of its languages are those of that id, and one beside it, made when they are
first needed."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp

from engine import errors
from engine.api.e2b.sandboxes import DEFAULT_CWD, LABEL, contexts_of
from engine.api.e2b.stream import Lines
from engine.api.http.detail import problems_of, read_checked, unprocessable
from engine.api.http.errors import headers_of, status_of
from engine.api.http.requests import FewEntries, engine_of
from engine.api.http.tables import Table
from engine.contexts import Context
from engine.core import Engine
from engine.errors import ContextNotFound, InvalidRequest, PolyreplError, UnknownLanguage
from engine.languages import Language
from engine.packages import NO_INPUT

HEADER = b"e2b-sandbox-id"
DEFAULT_SANDBOX = "sandbox"  # of requests that name none
LANGUAGE_LABEL = "e2b.language"  # of contexts: the name by which their maker called the language
DEFAULT_LANGUAGES = ("python", "javascript")  # whose contexts are always listed
_APART = "javascript"  # a language there, another name of typescript here: its default context has an id of its own
_ALIASES = {"js": "javascript", "node": "javascript", "ts": "typescript"}


class ExecuteBody(BaseModel):
    """Code to run, in a context or in the default one of a language."""

    code: str
    context_id: str | None = None
    language: str | None = None
    env_vars: Annotated[dict[str, str], FewEntries] | None = None


class ContextBody(BaseModel):
    """A context to make."""

    cwd: str | None = DEFAULT_CWD
    language: str | None = "python"


def render(error: PolyreplError) -> Response:
    """An error of the core in this dialect."""
    if isinstance(error, ContextNotFound):
        return PlainTextResponse(f"Context {error.context_id} not found", 404)
    if isinstance(error, UnknownLanguage):
        reason = {
            "message": f"The '{error.language}' kernel is not available: {error.errors[0].error}",
            "short_message": f"{error.language} not found",
        }
        return PlainTextResponse(f"Failed to create context: {json.dumps(reason)}", 500)
    if isinstance(error, errors.KernelStartFailed):
        return PlainTextResponse(f"Failed to create context: {error.message}", 500)
    if isinstance(error, InvalidRequest) and error.errors:
        return unprocessable(problems_of(error))
    return PlainTextResponse(error.message, status_of(error), headers_of(error))


class Sandbox:
    """The contexts of the engine as one sandbox sees them: its default ones first, then its others and those of no sandbox."""

    def __init__(self, request: Request) -> None:
        self._engine: Engine = engine_of(request)
        self.id = request.headers.get(HEADER.decode()) or DEFAULT_SANDBOX

    async def default(self, name: str) -> Context:
        """The default context of a language. Raises UnknownLanguage and what the making of a context raises."""
        language = find_language(self._engine, name)
        return self._alive(name, language) or await self.create(name, language, self._default_id(name), DEFAULT_CWD)

    async def create(self, name: str, language: Language, context_id: str | None, cwd: str | None) -> Context:
        """Make a context in this sandbox, with the variables that the sandbox was made with. Raises what the core raises.

        Its default contexts share one working directory."""
        own = contexts_of(self._engine, self.id)
        return await self._engine.create_context(
            language=language.name,
            context_id=context_id,
            cwd=cwd,
            env=own[0].workspace.env if own else None,
            beside=self.id if context_id else None,
            labels={LABEL: self.id, LANGUAGE_LABEL: _told(name, language)},
        )

    def _default_id(self, name: str) -> str:
        return f"{self.id}:{_APART}" if _ALIASES.get(name, name) == _APART else self.id

    def _alive(self, name: str, language: Language) -> Context | None:
        try:
            return self._engine.contexts.get(self._default_id(name), language.name)[0]
        except ContextNotFound:
            return None

    def find(self, address: str) -> Context:
        """The context of an id as `describe` gives it. Raises ContextNotFound."""
        context_id, _, language = address.rpartition(":")
        for wanted in ((address, None), (context_id, language)):
            try:
                return self._engine.contexts.get(*wanted)[0]
            except ContextNotFound:
                continue
        raise ContextNotFound(address)

    def default_name(self, address: str) -> str | None:
        """The language whose default context has this id; it need not have been made yet."""
        context_id, _, name = address.rpartition(":")
        return name if context_id == self.id and self._engine.languages.find(name) else None

    def describe(self, context: Context) -> dict[str, str]:
        """A context as it is listed. Of an id with contexts in several languages, only the oldest has the bare id."""
        is_bare = context.id != self.id and self._engine.contexts.get(context.id)[0] is context
        return {
            "id": context.id if is_bare else f"{context.id}:{context.language.name}",
            "language": context.labels.get(LANGUAGE_LABEL, context.language.name),
            "cwd": str(context.workspace.cwd),
        }

    def listing(self) -> list[dict[str, str]]:
        """The default contexts, also those that nobody has needed yet, and then all others that are of no other sandbox, newest last."""
        expected = {name: language for name in DEFAULT_LANGUAGES if (language := self._engine.languages.find(name))}
        alive = {name: self._alive(name, language) for name, language in expected.items()}
        described = [
            self.describe(context) if context else {"id": f"{self.id}:{name}", "language": name, "cwd": DEFAULT_CWD}
            for name, context in alive.items()
        ]
        others = [each for each in self._engine.contexts if each not in alive.values() and self._sees(each)]
        others.sort(key=lambda each: each.id != self.id)  # the default contexts of other languages first
        return described + [self.describe(each) for each in others]

    def _sees(self, context: Context) -> bool:
        return context.id == self.id or context.labels.get(LABEL, self.id) == self.id


def _told(name: str, language: Language) -> str:
    """By which name E2B knows the language that was called so."""
    called = _ALIASES.get(name, name)
    return language.name if called in language.aliases and called != _APART else called


def find_language(engine: Engine, name: str) -> Language:
    """The language of that name, or else the installed kernel for it that the settings allow (`r` may be the kernelspec `ir`).

    Raises UnknownLanguage."""
    found = engine.languages.find(name)
    if found is None:
        for language in engine.languages.all:
            is_there = language.backend.problem(language) is None
            if is_there and language.backend.spec(language).language.lower() == name.lower():
                return language
    return found or engine.check_language(name)


async def health(request: Request) -> Response:
    return JSONResponse("OK")


async def execute(request: Request) -> ASGIApp:
    body = await read_checked(request, ExecuteBody)
    engine, sandbox = engine_of(request), Sandbox(request)
    if body.context_id and body.language:
        return PlainTextResponse("Only one of context_id or language can be provided", 400)
    default = sandbox.default_name(body.context_id) if body.context_id else body.language or DEFAULT_LANGUAGES[0]
    if default is not None:
        context = await sandbox.default(default)
    else:
        context = sandbox.find(body.context_id or "")
    execution = await engine.execute(
        body.code,
        context_id=context.id,
        language=context.language.name,
        env_vars=body.env_vars,
        timeout=engine.settings.max_timeout,
        data=True,
        remedies=NO_INPUT,
    )
    return Lines(engine, execution, sandbox.id)


async def list_contexts(request: Request) -> Response:
    return JSONResponse(Sandbox(request).listing())


async def create_context(request: Request) -> Response:
    body = await read_checked(request, ContextBody)
    sandbox, name = Sandbox(request), body.language or DEFAULT_LANGUAGES[0]
    language = find_language(engine_of(request), name)
    return JSONResponse(sandbox.describe(await sandbox.create(name, language, None, body.cwd)))


async def restart_context(request: Request) -> Response:
    sandbox, address = Sandbox(request), request.path_params["context_id"]
    if not _is_still_to_make(sandbox, address):
        await sandbox.find(address).restart()
    return JSONResponse(None)


async def delete_context(request: Request) -> Response:
    sandbox, address = Sandbox(request), request.path_params["context_id"]
    if not _is_still_to_make(sandbox, address):
        context = sandbox.find(address)
        await engine_of(request).delete_context(context.id, context.language.name)
    return JSONResponse(None)


def _is_still_to_make(sandbox: Sandbox, address: str) -> bool:
    """Whether the id is that of a default context that is listed and that nobody has needed yet."""
    try:
        sandbox.find(address)
    except ContextNotFound:
        return sandbox.default_name(address) in DEFAULT_LANGUAGES
    return False


TABLE: Table = {
    "/health": {"GET": health},
    "/execute": {"POST": execute},
    "/contexts": {"GET": list_contexts, "POST": create_context},
    "/contexts/{context_id}": {"DELETE": delete_context},
    "/contexts/{context_id}/restart": {"POST": restart_context},
}
