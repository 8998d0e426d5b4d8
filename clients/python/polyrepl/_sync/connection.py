# Generated from _async/connection.py by clients/python/generate.py: change that, and run this.
"""How calls reach the server: sent again where that is safe, within their deadlines, with streams that survive a break."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

from polyrepl import transport
from polyrepl.answers import error_of
from polyrepl.attempts import Attempts
from polyrepl.calls import Call
from polyrepl.concurrency import Following, Streams, chunks, sleep
from polyrepl.errors import ClientError, ConnectionFailed
from polyrepl.transfer import Content, Download

Answer = TypeVar("Answer")


class Connection:
    """Sends calls. `retries`: failures in a row that are borne; `http_transport`: one of httpx, in place of its own."""

    def __init__(self, address: transport.Address, *, retries: int, http_transport: Any) -> None:
        self.http = transport.load_httpx().Client(**address.options(), transport=http_transport)
        self._streams = Streams()
        self._retries = retries

    def close(self) -> None:
        """Close the connections. May be called again."""
        self._streams.end_dropped()
        self.http.close()

    def send(self, call: Call[Answer], *, content: Content | None = None) -> Answer:
        """Send a call, again where that is safe, and return what its answer holds. Raises ClientError."""
        self._streams.end_dropped()
        is_repeatable = call.is_repeatable and (content is None or content.is_repeatable)
        attempts = self._attempts(call, is_repeatable)
        while True:
            with self._failures(attempts):
                response = self.http.request(
                    call.method,
                    call.path,
                    params=call.params,
                    headers=call.headers,
                    content=call.content if content is None else chunks(content),
                    timeout=transport.timeout(attempts.remaining(), is_upload=content is not None),
                )
                answer = call.read(response.status_code, response.headers, response.content)
                if not isinstance(answer, ClientError):
                    return answer
                if content is not None and not content.is_repeatable:
                    raise answer
                sleep(attempts.pause(answer))

    def follow(self, follower: transport.Follower) -> Following:
        """The events of a stream, over as many connections as it takes."""
        self._streams.end_dropped()
        return self._streams.follow(self._follow(follower))

    def _follow(self, follower: transport.Follower) -> Generator[Any, None]:
        attempts = self._attempts(follower.call, is_repeatable=follower.is_resumable)
        while not follower.is_done:
            method, path, headers, content, params = follower.request()
            options = {"params": params, "headers": headers, "content": content}
            with self._failures(attempts):
                limit = transport.timeout(attempts.remaining(), is_stream=True)
                with self.http.stream(method, path, **options, timeout=limit) as response:
                    if response.status_code == 204:  # all was read before
                        return
                    if response.status_code != 200:
                        problem = error_of(response.status_code, response.headers, response.read())
                        sleep(attempts.pause(problem))
                        continue
                    follower.opened(response.headers)
                    for chunk in response.iter_bytes():
                        attempts.remaining()
                        attempts.note_progress()
                        for event in follower.feed(chunk):
                            yield event
                        if follower.is_done:
                            return
                sleep(attempts.pause(ConnectionFailed("The stream ended before the execution did")))

    def download(self, call: Call[bytes], to: Path | None) -> bytes:
        """A file's content; empty where it went to a file."""
        attempts = self._attempts(call, is_repeatable=True)
        with contextlib.closing(Download(to)) as download:
            while True:
                headers = {**call.headers, **download.headers(), "Accept-Encoding": "identity"}
                options = {"params": call.params, "headers": headers}
                with self._failures(attempts):
                    limit = transport.timeout(attempts.remaining(), is_stream=True)
                    with self.http.stream(call.method, call.path, **options, timeout=limit) as response:
                        if response.status_code not in (200, 206):
                            problem = error_of(response.status_code, response.headers, response.read())
                            sleep(attempts.pause(problem))
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
            sleep(attempts.pause(problem, was_sent=was_sent))
