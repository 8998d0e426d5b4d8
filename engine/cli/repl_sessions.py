"""Where the lines of a REPL run: in a context of an engine of this process, or of a server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol

import msgspec

from engine.contexts import Execution
from engine.core import Engine
from engine.errors import PolyreplError
from engine.models import AnyEvent, Completeness, Completions, Event, InstallationResult
from engine.packages import NATIVE, Remedies
from polyrepl import AsyncClient, AsyncEventStream, ClientError

_REMEDIES = Remedies(install="install {package}", answer=NATIVE.answer)


class Session(Protocol):
    """One context, and what a person at a terminal wants of it. Raises PolyreplError."""

    def run(self, code: str, *, timeout: float) -> AsyncIterator[Event]:
        """Run a cell; its events, to its end. Seconds."""

    async def interrupt(self) -> None:
        """Stop the cell that runs, or is on its way."""

    async def provide_input(self, value: str) -> None: ...
    async def complete(self, code: str, cursor: int) -> Completions: ...
    async def is_complete(self, code: str) -> Completeness: ...
    async def install(self, packages: Sequence[str]) -> InstallationResult: ...


class LocalSession:
    """A context of an engine of our own."""

    def __init__(self, engine: Engine, context_id: str, language: str) -> None:
        self._engine = engine
        self._context_id = context_id
        self._language = language
        self._current: Execution | None = None
        self._is_unwanted = False

    async def run(self, code: str, *, timeout: float) -> AsyncIterator[Event]:
        self._current, self._is_unwanted = None, False
        self._current = await self._engine.execute(
            code,
            language=self._language,
            context_id=self._context_id,
            timeout=timeout,
            interactive=True,
            remedies=_REMEDIES,
        )
        if self._is_unwanted:
            await self.interrupt()
        async for entry in self._current.follow():
            assert entry is not None  # pings are not asked for
            yield entry[1]

    async def interrupt(self) -> None:
        if self._current is None:
            self._is_unwanted = True
        else:
            await self._engine.interrupt(self._current.id)

    async def provide_input(self, value: str) -> None:
        assert self._current is not None
        self._current.provide_input(value)

    async def complete(self, code: str, cursor: int) -> Completions:
        return await self._engine.assistance.complete(self._context_id, code, cursor=cursor, language=self._language)

    async def is_complete(self, code: str) -> Completeness:
        return await self._engine.assistance.is_complete(self._context_id, code, language=self._language)

    async def install(self, packages: Sequence[str]) -> InstallationResult:
        return await self._engine.installations.start(self._context_id, packages, language=self._language).wait()


class ServerFailed(PolyreplError):
    """A server answered with an error, or could not be asked. The message also says what to do about it."""


@contextlib.contextmanager
def errors_of_server() -> Iterator[None]:
    """Raises what a client raises as ServerFailed."""
    try:
        yield
    except ClientError as error:
        raise ServerFailed(f"{error.cause}\n{error.remediation}".rstrip()) from error


class RemoteSession:
    """A context of a server."""

    def __init__(self, client: AsyncClient, context_id: str, language: str) -> None:
        self._client = client
        self._context_id = context_id
        self._language = language
        self._current: AsyncEventStream | None = None
        self._is_unwanted = False

    async def run(self, code: str, *, timeout: float) -> AsyncIterator[Event]:
        self._is_unwanted = False
        stream = self._client.stream(code, language=self._language, context_id=self._context_id, timeout=timeout)
        with errors_of_server():
            async with stream as self._current:
                async for event in stream:
                    if self._is_unwanted:
                        self._is_unwanted = False
                        await stream.interrupt()
                    yield msgspec.convert(event.as_dict(), AnyEvent)

    async def interrupt(self) -> None:
        if self._current is None or self._current.execution_id is None:
            self._is_unwanted = True
        else:
            with errors_of_server():
                await self._current.interrupt()

    async def provide_input(self, value: str) -> None:
        assert self._current is not None
        with errors_of_server():
            await self._current.provide_input(value)

    async def complete(self, code: str, cursor: int) -> Completions:
        with errors_of_server():
            found = await self._client.contexts.complete(self._context_id, code, cursor=cursor, language=self._language)
        return msgspec.convert(found.as_dict(), Completions)

    async def is_complete(self, code: str) -> Completeness:
        with errors_of_server():
            found = await self._client.contexts.is_complete(self._context_id, code, language=self._language)
        return msgspec.convert(found.as_dict(), Completeness)

    async def install(self, packages: Sequence[str]) -> InstallationResult:
        with errors_of_server():
            result = await self._client.packages.install(self._context_id, packages, language=self._language)
        return msgspec.convert(result.as_dict(), InstallationResult)
