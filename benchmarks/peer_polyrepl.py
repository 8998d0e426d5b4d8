"""polyrepl over HTTP: `POST /execute`, as JSON or as server-sent events."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from .client import HttpClient
from .peer import Answer, Context, Peer
from .procs import PeerError, Server, free_port


class PolyreplContext(Context):
    """A context on its own keep-alive connection."""

    def __init__(self, port: int, language: str) -> None:
        self._http = HttpClient(port)
        self._language = language
        self.id: str | None = None

    def execute(self, code: str, *, limit: float | None = None, patience: float = 60.0) -> Answer:
        started = time.perf_counter()
        body = self._http.json("POST", "/execute", self._body(code, limit), timeout=patience)
        answer = _answer(started, body)
        self.id = body["context_id"]
        return answer

    def stream(self, code: str, marker: str) -> Answer:
        wanted = marker.encode()
        answer = Answer(time.perf_counter())
        seen = b""

        def look(piece: bytes) -> None:
            nonlocal seen
            if answer.first is None:
                seen += piece
                if wanted in seen:
                    answer.first = time.perf_counter()

        status, data = self._http.request(
            "POST", "/execute", self._body(code, None), accept="text/event-stream", on_data=look
        )
        answer.ended = time.perf_counter()
        if status != 200:
            msg = f"streaming answered {status}: {data[:200].decode(errors='replace')}"
            raise PeerError(msg)
        return answer

    def close(self) -> None:
        if self.id is not None:
            self._http.json("DELETE", f"/contexts/{self.id}", timeout=20.0)
        self._http.close()

    def _body(self, code: str, limit: float | None) -> dict[str, Any]:
        body: dict[str, Any] = {"code": code, "language": self._language}
        if self.id is not None:
            body["context_id"] = self.id
        if limit is not None:
            body["timeout_ms"] = round(limit * 1000)
        return body


class Polyrepl(Peer):
    """The server of this project."""

    name = "polyrepl"
    about = "polyrepl over HTTP, `POST /execute`"

    def __init__(self, command: str) -> None:
        self._command = command
        self.port = 0

    def start(self, directory: Path, env: dict[str, str]) -> None:
        if not Path(self._command).exists():
            msg = f"{self._command} does not exist (run `make install`)"
            raise PeerError(msg)
        self.port = free_port()
        self.server = Server([self._command, "serve", "--port", str(self.port)], cwd=directory, env=env)
        self.server.wait_until(lambda: HttpClient(self.port).request("GET", "/healthz", timeout=5.0)[0] == 200)

    def open(self) -> tuple[Context, Answer]:
        context = PolyreplContext(self.port, self.language)
        return context, context.execute("1+1")


class PolyreplTypescript(Polyrepl):
    """The typescript contexts of the same server."""

    name = "polyrepl typescript"
    about = "typescript contexts of the same polyrepl server"
    only = frozenset({"typescript"})
    language = "typescript"

    def __init__(self, python: Polyrepl) -> None:
        self._python = python

    def start(self, directory: Path, env: dict[str, str]) -> None:
        del directory, env
        if not self._python.is_alive():
            msg = "polyrepl did not start"
            raise PeerError(msg)
        self.server, self.port = self._python.server, self._python.port

    def stop(self) -> None:
        """Leave the server to its owner."""


def _answer(started: float, body: dict[str, Any]) -> Answer:
    """Decode the body. Its logs are lists of lines without their newlines; every print here ends with one."""
    error = body.get("error")
    answer = Answer(
        started,
        out=[f"{line}\n" for line in body["logs"]["stdout"]],
        err=[f"{line}\n" for line in body["logs"]["stderr"]],
        error=None if error is None else f"{error['name']}: {error['value']}"[:120],
        status=str(body.get("status", "")),
    )
    for item in body["items"]:
        text = item["text"] if "text" in item else json.dumps(item)
        answer.displays.append(text)
        if item.get("is_primary"):
            answer.text = text
    answer.ended = time.perf_counter()
    return answer
