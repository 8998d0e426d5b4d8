"""The client: one method for each thing that the API can do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self, Unpack

from polyrepl import calls, results, transport
from polyrepl._async.connection import AsyncConnection
from polyrepl._async.resources import Checkpoints, Contexts, Executions, Files, Packages
from polyrepl.concurrency import AsyncInput, async_settled
from polyrepl.errors import ClientError
from polyrepl.models import InputRequest, LanguageInfo, Stderr, Stdout
from polyrepl.results import Event, ItemAdded, ItemUpdated, Result


class AsyncClient:
    """Talks to a server. `url` and `token` come from POLYREPL_URL and POLYREPL_TOKEN where they are not given.

    async with AsyncClient() as client:
        result = await client.run_code("6 * 7", context_id="demo")

    Every call has a deadline (seconds) and raises `ClientError`s. `retries`: how often in a row a request is sent again that the
    server refused for now, or whose connection broke, where that does no harm."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        retries: int = 4,
        http_transport: Any = None,
    ) -> None:
        address = transport.Address.of(url, token)
        self.url = address.url
        self._connection = AsyncConnection(address, retries=retries, http_transport=http_transport)
        self.contexts = Contexts(self._connection)
        self.executions = Executions(self._connection)
        self.checkpoints = Checkpoints(self._connection)
        self.packages = Packages(self._connection)
        self.files = Files(self._connection)

    def __repr__(self) -> str:
        return f"<AsyncClient {self.url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. May be called again."""
        await self._connection.aclose()

    async def run_code(
        self,
        code: str,
        *,
        on_stdout: Callable[[str], object] | None = None,
        on_stderr: Callable[[str], object] | None = None,
        on_item: Callable[[results.Item], object] | None = None,
        on_input: Callable[[InputRequest], AsyncInput] | None = None,
        on_event: Callable[[Event], object] | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[calls.RunOptions],
    ) -> Result:
        """Run code and return its result, also when the code failed: see `Result.error` and `Result.raise_for_error`.

        `timeout`: seconds the code may run; `deadline`: seconds this call may take, by default a minute more. `stdin`: lines for
        input(). `rollback`: code that fails leaves no trace. `variables`, `files`, `checkpoint`, `data`: what the result also
        tells. `max_output_bytes`: how much of the output is kept. `limits`, `isolation`, `network`: of a context that is made for
        it (see `contexts.create`). The callbacks get output as it comes; `on_input` answers input()."""
        key = idempotency_key or transport.new_key()
        if not (on_stdout or on_stderr or on_item or on_input or on_event):
            return await self._connection.send(calls.execute(code, key=key, **options))
        if on_input is None and options.get("stdin") is None:
            options["stdin"] = []  # nobody answers: input() is told so at once
        async with self.stream(code, idempotency_key=key, **options) as stream:
            async for event in stream:
                if on_event is not None:
                    await async_settled(on_event(event))
                match event:
                    case Stdout(text=text) if on_stdout is not None:
                        await async_settled(on_stdout(text))
                    case Stderr(text=text) if on_stderr is not None:
                        await async_settled(on_stderr(text))
                    case ItemAdded(item=item) | ItemUpdated(item=item) if on_item is not None:
                        await async_settled(on_item(item))
                    case InputRequest() if on_input is not None:
                        await stream.provide_input(await async_settled(on_input(event)))
            return await stream.result()

    def stream(
        self,
        code: str,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[calls.RunOptions],
    ) -> AsyncEventStream:
        """Run code and iterate over its events as they happen. A connection that breaks is made anew, and no event is lost.

        async with client.stream("for n in range(3): print(n)") as events:
            async for event in events: ..."""
        call = calls.execute(code, key=idempotency_key or transport.new_key(), **options)
        return AsyncEventStream(self._connection, transport.Follower(call))

    async def languages(self) -> list[LanguageInfo]:
        """The languages that code may be in, also those that are not available here."""
        listed = await self._connection.send(calls.list_languages())
        return listed.items

    async def health(self) -> results.Health:
        """Whether the server lives, and its version."""
        return await self._connection.send(calls.health())


class AsyncEventStream(AsyncIterator[Event]):
    """The events of an execution, until it ends. `execution_id` is known from the first event on.

    Leaving its block, or `aclose`, ends the reading; the execution goes on: `interrupt` stops it."""

    def __init__(self, connection: AsyncConnection, follower: transport.Follower) -> None:
        self._executions = Executions(connection)
        self._follower = follower
        self._events = connection.follow(follower)

    def __repr__(self) -> str:
        return f"<AsyncEventStream {self.execution_id} at event {self.last_event_id}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event: Event = await anext(self._events)
        return event

    @property
    def execution_id(self) -> str | None:
        """None before the first event."""
        return self._follower.execution_id

    @property
    def last_event_id(self) -> int:
        """The number of the last event that was read; 0 before the first."""
        return self._follower.last_event_id

    def _id(self) -> str:
        if self.execution_id is None:
            msg = "The execution has no id before its first event"
            raise ClientError(msg, remediation="Read an event first.")
        return self.execution_id

    async def interrupt(self) -> None:
        """Stop the execution; the state of its context is kept."""
        await self._executions.interrupt(self._id())

    async def provide_input(self, value: str) -> None:
        """Answer an input_request event."""
        await self._executions.input(self._id(), value)

    async def result(self) -> Result:
        """The execution as it stands now."""
        return await self._executions.get(self._id())

    async def aclose(self) -> None:
        """End the reading. May be called again."""
        await self._events.aclose()
