"""The client for asynchronous programs: one method for each thing that the API can do. `client` layer."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from engine.client import calls, results, transport
from engine.client.async_resources import Checkpoints, Contexts, Executions, Files, Packages
from engine.client.attempts import Attempts
from engine.client.calls import Call
from engine.client.errors import ClientError, ConnectionFailed, error_of
from engine.client.results import Event, ItemAdded, ItemUpdated, Result
from engine.client.transfer import Content, Download
from engine.models import InputRequest, LanguageInfo, Stderr, Stdout

Answer = TypeVar("Answer")
Value = TypeVar("Value")


async def settled(value: Value | Awaitable[Value]) -> Value:
    """What a callback means, plain function or coroutine."""
    return await value if inspect.isawaitable(value) else value


async def sleep(seconds: float) -> None:
    import anyio  # httpx's own: on asyncio and on trio

    await anyio.sleep(seconds)


async def read_in_threads(content: Content) -> AsyncIterator[bytes]:
    """A disk may be slow, and the loop waits for nothing."""
    import anyio.to_thread

    chunks = content.chunks()
    while (chunk := await anyio.to_thread.run_sync(next, chunks, None)) is not None:
        yield chunk


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
        self._retries = retries
        self._http = transport.load_httpx().AsyncClient(**address.options(), transport=http_transport)
        self.contexts = Contexts(self)
        self.executions = Executions(self)
        self.checkpoints = Checkpoints(self)
        self.packages = Packages(self)
        self.files = Files(self)

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
        await self._http.aclose()

    async def run_code(
        self,
        code: str,
        *,
        language: str | None = None,
        context_id: str | None = None,
        env_vars: Mapping[str, str] | None = None,
        timeout: float | None = None,
        stdin: Sequence[str] | None = None,
        variables: bool = False,
        checkpoint: bool = False,
        rollback: bool = False,
        data: bool = False,
        files: bool = False,
        on_stdout: Callable[[str], object] | None = None,
        on_stderr: Callable[[str], object] | None = None,
        on_item: Callable[[results.Item], object] | None = None,
        on_input: Callable[[InputRequest], str | Awaitable[str]] | None = None,
        on_event: Callable[[Event], object] | None = None,
        idempotency_key: str | None = None,
        deadline: float | None = None,
    ) -> Result:
        """Run code and return its result, also when the code failed: see `Result.error` and `Result.raise_for_error`.

        `timeout`: seconds the code may run; `deadline`: seconds this call may take, by default a minute more. `stdin`: lines for
        input(). `rollback`: code that fails leaves no trace. `variables`, `files`, `checkpoint`, `data`: what the result also
        tells. The callbacks, plain functions or coroutines, get output as it comes; `on_input` answers input()."""
        wishes: dict[str, Any] = {
            "language": language,
            "context_id": context_id,
            "env_vars": env_vars,
            "timeout": timeout,
            "stdin": stdin,
            "variables": variables,
            "checkpoint": checkpoint,
            "rollback": rollback,
            "data": data,
            "files": files,
            "deadline": deadline,
        }
        key = idempotency_key or transport.new_key()
        if not (on_stdout or on_stderr or on_item or on_input or on_event):
            return await self.send(calls.execute(code, key=key, **wishes))
        if on_input is None and stdin is None:
            wishes["stdin"] = []  # nobody answers: input() is told so at once
        async with self.stream(code, idempotency_key=key, **wishes) as stream:
            async for event in stream:
                if on_event is not None:
                    await settled(on_event(event))
                match event:
                    case Stdout(text=text) if on_stdout is not None:
                        await settled(on_stdout(text))
                    case Stderr(text=text) if on_stderr is not None:
                        await settled(on_stderr(text))
                    case ItemAdded(item=item) | ItemUpdated(item=item) if on_item is not None:
                        await settled(on_item(item))
                    case InputRequest() if on_input is not None:
                        await stream.provide_input(await settled(on_input(event)))
            return await stream.result()

    def stream(
        self,
        code: str,
        *,
        language: str | None = None,
        context_id: str | None = None,
        env_vars: Mapping[str, str] | None = None,
        timeout: float | None = None,
        stdin: Sequence[str] | None = None,
        variables: bool = False,
        checkpoint: bool = False,
        rollback: bool = False,
        data: bool = False,
        files: bool = False,
        idempotency_key: str | None = None,
        deadline: float | None = None,
    ) -> AsyncEventStream:
        """Run code and iterate over its events as they happen. A connection that breaks is made anew, and no event is lost.

        async with client.stream("for n in range(3): print(n)") as events:
            async for event in events: ..."""
        call = calls.execute(
            code,
            key=idempotency_key or transport.new_key(),
            language=language,
            context_id=context_id,
            env_vars=env_vars,
            timeout=timeout,
            stdin=stdin,
            variables=variables,
            checkpoint=checkpoint,
            rollback=rollback,
            data=data,
            files=files,
            deadline=deadline,
        )
        return AsyncEventStream(self, transport.Follower(call))

    async def languages(self) -> list[LanguageInfo]:
        return (await self.send(calls.list_languages())).items

    async def health(self) -> results.Health:
        """Whether the server lives, and its version."""
        return await self.send(calls.health())

    async def send(self, call: Call[Answer], *, content: Content | None = None) -> Answer:
        """Send a call, again where that is safe, and return what its answer holds. Raises ClientError."""
        is_repeatable = call.is_repeatable and (content is None or content.is_repeatable)
        attempts = self._attempts(call, is_repeatable)
        while True:
            async with self._failures(attempts):
                response = await self._http.request(
                    call.method,
                    call.path,
                    params=call.params,
                    headers=call.headers,
                    content=call.content if content is None else read_in_threads(content),
                    timeout=transport.timeout(attempts.remaining(), is_upload=content is not None),
                )
                answer = call.read(response.status_code, response.headers, response.content)
                if not isinstance(answer, ClientError):
                    return answer
                if content is not None and not content.is_repeatable:
                    raise answer
                await sleep(attempts.pause(answer))

    async def follow(self, follower: transport.Follower) -> AsyncGenerator[Any, None]:
        """The events of a stream, over as many connections as it takes."""
        attempts = self._attempts(follower.call, is_repeatable=follower.is_resumable)
        while not follower.is_done:
            method, path, headers, content, params = follower.request()
            options = {"params": params, "headers": headers, "content": content}
            async with self._failures(attempts):
                limit = transport.timeout(attempts.remaining(), is_stream=True)
                async with self._http.stream(method, path, **options, timeout=limit) as response:
                    if response.status_code != 200:
                        problem = error_of(response.status_code, response.headers, await response.aread())
                        await sleep(attempts.pause(problem))
                        continue
                    follower.opened(response.headers)
                    async for chunk in response.aiter_bytes():
                        attempts.remaining()
                        attempts.note_progress()
                        for event in follower.feed(chunk):
                            yield event
                        if follower.is_done:
                            return
                await sleep(attempts.pause(ConnectionFailed("The stream ended before the execution did")))

    async def download(self, call: Call[bytes], to: Path | None) -> bytes:
        """A file's content; empty where it went to a file."""
        attempts = self._attempts(call, is_repeatable=True)
        with contextlib.closing(Download(to)) as download:
            while True:
                headers = {**call.headers, **download.headers(), "Accept-Encoding": "identity"}
                options = {"params": call.params, "headers": headers}
                async with self._failures(attempts):
                    limit = transport.timeout(attempts.remaining(), is_stream=True)
                    async with self._http.stream(call.method, call.path, **options, timeout=limit) as response:
                        if response.status_code not in (200, 206):
                            problem = error_of(response.status_code, response.headers, await response.aread())
                            await sleep(attempts.pause(problem))
                            continue
                        download.begin(response.status_code, response.headers)
                        async for chunk in response.aiter_bytes():
                            attempts.remaining()
                            attempts.note_progress()
                            download.write(chunk)
                    content = b"" if to is not None else download.content()
                    download.finish()
                    return content

    def _attempts(self, call: Call[Any], is_repeatable: bool) -> Attempts:
        return Attempts(call.deadline, retries=self._retries, is_repeatable=is_repeatable)

    @contextlib.asynccontextmanager
    async def _failures(self, attempts: Attempts) -> AsyncIterator[None]:
        """Wait after a failure on the way that may be tried again. Raises what may not."""
        try:
            yield
        except transport.load_httpx().HTTPError as error:
            attempts.remaining()
            problem, was_sent = transport.failure(error)
            await sleep(attempts.pause(problem, was_sent=was_sent))


class AsyncEventStream(AsyncIterator[Event]):
    """The events of an execution, until it ends. `execution_id` is known from the first event on.

    Leaving its block, or `close`, ends the reading; the execution goes on: `interrupt` stops it."""

    def __init__(self, client: AsyncClient, follower: transport.Follower) -> None:
        self._client = client
        self._follower = follower
        self._events = client.follow(follower)

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
        return self._follower.execution_id

    @property
    def last_event_id(self) -> int:
        return self._follower.last_event_id

    def _id(self) -> str:
        if self.execution_id is None:
            msg = "The execution has no id before its first event"
            raise ClientError(msg, remediation="Read an event first.")
        return self.execution_id

    async def interrupt(self) -> None:
        """Stop the execution; the state of its context is kept."""
        await self._client.executions.interrupt(self._id())

    async def provide_input(self, value: str) -> None:
        """Answer an input_request event."""
        await self._client.executions.input(self._id(), value)

    async def result(self) -> Result:
        """The execution as it stands now."""
        return await self._client.executions.get(self._id())

    async def aclose(self) -> None:
        await self._events.aclose()
