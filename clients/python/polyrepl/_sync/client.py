"""The client for plain programs: one method for each thing that the API can do. `client` layer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from engine.client import calls, results, transport
from engine.client.attempts import Attempts
from engine.client.calls import Call
from engine.client.errors import ClientError, ConnectionFailed, error_of
from engine.client.following import Following, Streams
from engine.client.results import Event, ItemAdded, ItemUpdated, Result
from engine.client.sync_resources import Checkpoints, Contexts, Executions, Files, Packages
from engine.client.transfer import Content, Download
from engine.models import InputRequest, LanguageInfo, Stderr, Stdout

Answer = TypeVar("Answer")


class Client:
    """Talks to a server. `url` and `token` come from POLYREPL_URL and POLYREPL_TOKEN where they are not given.

    with Client() as client:
        result = client.run_code("6 * 7", context_id="demo")

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
        self._http = transport.load_httpx().Client(**address.options(), transport=http_transport)
        self._streams = Streams()
        self.contexts = Contexts(self)
        self.executions = Executions(self)
        self.checkpoints = Checkpoints(self)
        self.packages = Packages(self)
        self.files = Files(self)

    def __repr__(self) -> str:
        return f"<Client {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. May be called again."""
        self._streams.end_dropped()
        self._http.close()

    def run_code(
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
        on_input: Callable[[InputRequest], str] | None = None,
        on_event: Callable[[Event], object] | None = None,
        idempotency_key: str | None = None,
        deadline: float | None = None,
    ) -> Result:
        """Run code and return its result, also when the code failed: see `Result.error` and `Result.raise_for_error`.

        `timeout`: seconds the code may run; `deadline`: seconds this call may take, by default a minute more. `stdin`: lines for
        input(). `rollback`: code that fails leaves no trace. `variables`, `files`, `checkpoint`, `data`: what the result also
        tells. The callbacks get output as it comes; `on_input` answers input()."""
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
            return self.send(calls.execute(code, key=key, **wishes))
        if on_input is None and stdin is None:
            wishes["stdin"] = []  # nobody answers: input() is told so at once
        with self.stream(code, idempotency_key=key, **wishes) as stream:
            for event in stream:
                if on_event is not None:
                    on_event(event)
                match event:
                    case Stdout(text=text) if on_stdout is not None:
                        on_stdout(text)
                    case Stderr(text=text) if on_stderr is not None:
                        on_stderr(text)
                    case ItemAdded(item=item) | ItemUpdated(item=item) if on_item is not None:
                        on_item(item)
                    case InputRequest() if on_input is not None:
                        stream.provide_input(on_input(event))
            return stream.result()

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
    ) -> EventStream:
        """Run code and iterate over its events as they happen. A connection that breaks is made anew, and no event is lost.

        with client.stream("for n in range(3): print(n)") as events:
            for event in events: ..."""
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
        return EventStream(self, transport.Follower(call))

    def languages(self) -> list[LanguageInfo]:
        return self.send(calls.list_languages()).items

    def health(self) -> results.Health:
        """Whether the server lives, and its version."""
        return self.send(calls.health())

    def send(self, call: Call[Answer], *, content: Content | None = None) -> Answer:
        """Send a call, again where that is safe, and return what its answer holds. Raises ClientError."""
        self._streams.end_dropped()
        is_repeatable = call.is_repeatable and (content is None or content.is_repeatable)
        attempts = self._attempts(call, is_repeatable)
        while True:
            with self._failures(attempts):
                response = self._http.request(
                    call.method,
                    call.path,
                    params=call.params,
                    headers=call.headers,
                    content=call.content if content is None else content.chunks(),
                    timeout=transport.timeout(attempts.remaining(), is_upload=content is not None),
                )
                answer = call.read(response.status_code, response.headers, response.content)
                if not isinstance(answer, ClientError):
                    return answer
                if content is not None and not content.is_repeatable:
                    raise answer
                time.sleep(attempts.pause(answer))

    def follow(self, follower: transport.Follower) -> Following:
        """The events of a stream, over as many connections as it takes."""
        self._streams.end_dropped()
        return Following(self._follow(follower), self._streams)

    def _follow(self, follower: transport.Follower) -> Generator[Any, None, None]:
        attempts = self._attempts(follower.call, is_repeatable=follower.is_resumable)
        while not follower.is_done:
            method, path, headers, content, params = follower.request()
            options = {"params": params, "headers": headers, "content": content}
            with self._failures(attempts):
                limit = transport.timeout(attempts.remaining(), is_stream=True)
                with self._http.stream(method, path, **options, timeout=limit) as response:
                    if response.status_code != 200:
                        problem = error_of(response.status_code, response.headers, response.read())
                        time.sleep(attempts.pause(problem))
                        continue
                    follower.opened(response.headers)
                    for chunk in response.iter_bytes():
                        attempts.remaining()
                        attempts.note_progress()
                        yield from follower.feed(chunk)
                        if follower.is_done:
                            return
                time.sleep(attempts.pause(ConnectionFailed("The stream ended before the execution did")))

    def download(self, call: Call[bytes], to: Path | None) -> bytes:
        """A file's content; empty where it went to a file."""
        attempts = self._attempts(call, is_repeatable=True)
        with contextlib.closing(Download(to)) as download:
            while True:
                headers = {**call.headers, **download.headers(), "Accept-Encoding": "identity"}
                options = {"params": call.params, "headers": headers}
                with self._failures(attempts):
                    limit = transport.timeout(attempts.remaining(), is_stream=True)
                    with self._http.stream(call.method, call.path, **options, timeout=limit) as response:
                        if response.status_code not in (200, 206):
                            problem = error_of(response.status_code, response.headers, response.read())
                            time.sleep(attempts.pause(problem))
                            continue
                        download.begin(response.status_code, response.headers)
                        for chunk in response.iter_bytes():
                            attempts.remaining()
                            attempts.note_progress()
                            download.write(chunk)
                    content = b"" if to is not None else download.content()
                    download.finish()
                    return content

    def _attempts(self, call: Call[Any], is_repeatable: bool) -> Attempts:
        return Attempts(call.deadline, retries=self._retries, is_repeatable=is_repeatable)

    @contextlib.contextmanager
    def _failures(self, attempts: Attempts) -> Iterator[None]:
        """Wait after a failure on the way that may be tried again. Raises what may not."""
        try:
            yield
        except transport.load_httpx().HTTPError as error:
            attempts.remaining()
            problem, was_sent = transport.failure(error)
            time.sleep(attempts.pause(problem, was_sent=was_sent))


class EventStream(Iterator[Event]):
    """The events of an execution, until it ends. `execution_id` is known from the first event on.

    Leaving its block, or `close`, ends the reading; the execution goes on: `interrupt` stops it."""

    def __init__(self, client: Client, follower: transport.Follower) -> None:
        self._client = client
        self._follower = follower
        self._events = client.follow(follower)

    def __repr__(self) -> str:
        return f"<EventStream {self.execution_id} at event {self.last_event_id}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event: Event = next(self._events)
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

    def interrupt(self) -> None:
        """Stop the execution; the state of its context is kept."""
        self._client.executions.interrupt(self._id())

    def provide_input(self, value: str) -> None:
        """Answer an input_request event."""
        self._client.executions.input(self._id(), value)

    def result(self) -> Result:
        """The execution as it stands now."""
        return self._client.executions.get(self._id())

    def close(self) -> None:
        self._events.close()
