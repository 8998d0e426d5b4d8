"""What both clients have in common below a call: where the server is, how httpx is set up, and what its errors mean."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from polyrepl._version import __version__
from polyrepl.calls import Call
from polyrepl.errors import ClientError, ClientNotInstalled, ConnectionFailed, UnexpectedAnswer
from polyrepl.models import Done, Installed, Started
from polyrepl.results import Event, InstallationEvent
from polyrepl.sse import Decoder
from polyrepl.values import DecodeError, decode

if TYPE_CHECKING:
    import httpx

DEFAULT_URL = "http://127.0.0.1:8000"
STREAM = "text/event-stream"
CHUNK = 256 * 1024  # bytes of a file at a time
_CONNECT_TIMEOUT = 10.0  # seconds
_SILENCE = 20.0  # seconds; a server sends something every 5 s
_STORING = 60.0  # seconds that a part of a file may take to be sent, and a server to keep the whole
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is, and what it is told with every request."""

    url: str
    headers: dict[str, str]

    @classmethod
    def of(cls, url: str | None, token: str | None) -> Address:
        """What is not given comes from POLYREPL_URL and POLYREPL_TOKEN."""
        token = token if token is not None else os.environ.get("POLYREPL_TOKEN")
        headers = {"User-Agent": f"polyrepl-python/{__version__}"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return cls((url or os.environ.get("POLYREPL_URL") or DEFAULT_URL).rstrip("/"), headers)

    def options(self) -> dict[str, Any]:
        """For a client of httpx. A proxy of the environment is no way to this machine itself."""
        is_here = urlsplit(self.url).hostname in _LOOPBACK
        return {"base_url": self.url, "headers": self.headers, "trust_env": not is_here, "follow_redirects": False}


def load_httpx() -> Any:
    """It is an optional package, and slow to import. Raises ClientNotInstalled."""
    try:
        import httpx
    except ModuleNotFoundError:
        raise ClientNotInstalled("The client needs httpx") from None
    return httpx


def timeout(remaining: float, *, is_stream: bool = False, is_upload: bool = False) -> httpx.Timeout:
    """How long each step may take of a call that may take `remaining` seconds."""
    step = min(remaining, _STORING) if is_upload else remaining
    read = min(step, _SILENCE) if is_stream else step
    made: httpx.Timeout = load_httpx().Timeout(step, connect=min(remaining, _CONNECT_TIMEOUT), read=read)
    return made


def failure(error: Exception) -> tuple[ClientError, bool]:
    """What an error of httpx means, and whether the request may have reached the server."""
    httpx = load_httpx()
    was_sent = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.InvalidURL)):
        return UnexpectedAnswer(f"The url cannot be used: {error}"), was_sent
    what = str(error) or type(error).__name__
    return ConnectionFailed(f"{'The connection broke' if was_sent else 'No connection'}: {what}"), was_sent


def new_key() -> str:
    return os.urandom(16).hex()  # as a UUID, whose module is slow to import


@dataclass(slots=True)
class Follower:
    """A stream of events that survives its connections: what to ask for next, and what the bytes that come mean.

    An execution is a resource of the server: after a break its events are asked for from the last number on."""

    call: Call[Any]
    is_resumable: bool = True
    execution_id: str | None = None
    last_event_id: int = 0
    is_done: bool = False
    _decoder: Decoder = field(default_factory=Decoder)

    def request(self) -> tuple[str, str, Mapping[str, str], bytes | None, Mapping[str, str]]:
        """Method, path, headers, body and query of the next attempt."""
        self._decoder = Decoder()
        resume = {"Accept": STREAM, "Last-Event-ID": str(self.last_event_id)}
        if self.is_resumable and self.execution_id is not None:
            return "GET", f"/executions/{self.execution_id}/events", resume, None, {}
        headers = {**self.call.headers, **(resume if self.is_resumable else {"Accept": STREAM})}
        return self.call.method, self.call.path, headers, self.call.content, self.call.params

    def opened(self, headers: Mapping[str, str]) -> None:
        """An answer has begun. Raises UnexpectedAnswer where it is no stream."""
        if not headers.get("content-type", "").startswith(STREAM):
            raise UnexpectedAnswer("The answer is no stream of events")
        place = headers.get("location", "")
        if "/executions/" in place:
            self.execution_id = place.rpartition("/")[2]

    def feed(self, chunk: bytes) -> Sequence[Event | InstallationEvent]:
        """The events that end in this chunk, each once."""
        found: list[Event | InstallationEvent] = []
        for message in self._decoder.feed(chunk):
            if message.id <= self.last_event_id:
                continue
            event = self._event(message.data)
            self.last_event_id = message.id
            if isinstance(event, Started):
                self.execution_id = event.execution_id
            self.is_done = self.is_done or isinstance(event, (Done, Installed))
            found.append(event)
        return found

    def _event(self, data: bytes) -> Event | InstallationEvent:
        try:
            found: Event | InstallationEvent = decode(data, Event if self.is_resumable else InstallationEvent)  # type: ignore[arg-type]
            return found
        except DecodeError as error:
            raise UnexpectedAnswer(f"An event is not of this API: {error}") from None
