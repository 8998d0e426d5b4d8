"""polyrepl over HTTP: `POST /execute`, as JSON or as server-sent events."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .client import HttpClient
from .peer import Answer, Context, Guest, Peer
from .procs import PeerError, Server, free_port
from .run import say

_EXECUTION = re.compile(rb'"execution_id":"([^"]+)"')
_STATUS = re.compile(rb'"type":"done","status":"([a-z]+)"')


class PolyreplContext(Context):
    """A context on its own keep-alive connection."""

    def __init__(self, port: int, language: str) -> None:
        self._port = port
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

    def interrupt(self, code: str, delay: float) -> Answer:
        """The cell's stream names the execution first; another connection asks for the interrupt."""
        asking: list[threading.Timer] = []
        answer = Answer(time.perf_counter())
        other = HttpClient(self._port)

        def ask(execution: str) -> None:
            answer.interrupted = time.perf_counter()
            other.json("POST", f"/executions/{execution}/interrupt", timeout=10.0)

        def look(piece: bytes) -> None:
            if not asking and (found := _EXECUTION.search(piece)):
                asking.append(threading.Timer(delay, ask, [found[1].decode()]))
                asking[0].start()

        try:
            _, data = self._http.request(
                "POST", "/execute", self._body(code, None), accept="text/event-stream", on_data=look, timeout=10.0
            )
            answer.ended = time.perf_counter()
        finally:
            for timer in asking:
                timer.join()
            other.close()
        if found := _STATUS.search(data):
            answer.status = found[1].decode()
        return answer

    def branch(self) -> PolyreplContext:
        branch = PolyreplContext(self._port, self._language)
        branch.id = self._http.json("POST", f"/contexts/{self.id}/fork", {})["id"]
        return branch

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
    shares_memory = True

    #: What the server is told beside its port.
    settings: Mapping[str, str] = {}

    def __init__(self, command: str) -> None:
        self.command = command

    def start(self, directory: Path, env: dict[str, str]) -> None:
        if not Path(self.command).exists():
            msg = f"{self.command} does not exist (run `make install`)"
            raise PeerError(msg)
        self.port = free_port()
        self.server = Server(self.argv(), cwd=directory, env={**env, **self.settings})
        self.server.wait_until(lambda: HttpClient(self.port).request("GET", "/healthz", timeout=5.0)[0] == 200)
        if self.settings.get("POLYREPL_POOL_MAX") == "0":  # then the first context is what starts a fork server
            self.open()[0].close()
        try:
            self.server.wait_until(self._is_settled, seconds=30.0)
        except PeerError as error:
            say(f"{self.name}: goes on without a fork server or a pool: {error}")

    def argv(self) -> list[str]:
        return [self.command, "serve", "--port", str(self.port)]

    def _is_settled(self) -> bool:
        """Tell whether the fork server and, where pools are on, the first kernels in reserve are there."""
        metrics = self.metrics()
        pooled = self.settings.get("POLYREPL_POOL_MAX") != "0"
        forks = metrics.get("polyrepl_zygote_generation", 1.0) > 0
        return forks and (not pooled or metrics.get('polyrepl_pool_ready{language="python"}', 1.0) > 0)

    def metrics(self) -> dict[str, float]:
        """Return what `GET /metrics` shows, by name with labels."""
        http = HttpClient(self.port)
        _, data = http.request("GET", "/metrics", timeout=5.0)
        http.close()
        pairs = [line.rpartition(" ") for line in data.decode().splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in pairs}

    def described(self, context: Context) -> dict[str, Any]:
        """Return what the server says of one of its contexts."""
        assert isinstance(context, PolyreplContext)
        http = HttpClient(self.port)
        try:
            return dict(http.json("GET", f"/contexts/{context.id}"))
        finally:
            http.close()

    def wait_for_pool(self, members: int = 2, *, seconds: float = 10.0) -> None:
        """Return when that many kernels of the peer's language are in reserve; raise PeerError if they are late."""
        ready = f'polyrepl_pool_ready{{language="{self.language}"}}'
        self.server.wait_until(lambda: self.metrics().get(ready, 0.0) >= members, seconds=seconds)

    def ways(self) -> dict[str, int]:
        """Return how many kernels of the peer's language were started in which way so far, and what the pool had."""
        metrics = self.metrics()
        found: dict[str, int] = {}
        for counter, label, what in (("kernel_starts", "way", ""), ("pool_takes", "outcome", "pool ")):
            prefix = f'polyrepl_{counter}_total{{language="{self.language}",{label}="'
            names = [name for name in metrics if name.startswith(prefix)]
            found |= {what + name.removeprefix(prefix).removesuffix('"}'): int(metrics[name]) for name in names}
        return found

    def open(self, code: str = "1+1") -> tuple[Context, Answer]:
        context = PolyreplContext(self.port, self.language)
        return context, context.execute(code)


class PolyreplUnpooled(Polyrepl):
    """A second server, without started kernels in reserve."""

    name = "polyrepl, no pool"
    about = "a second polyrepl server whose pools are off: every new context is made when it is asked for"
    only = frozenset({"new-context", "first-plot"})
    settings: Mapping[str, str] = {"POLYREPL_POOL_MAX": "0"}


class PolyreplBare(Polyrepl):
    """A third server, whose kernels are forked from a process that has imported no data packages."""

    name = "polyrepl, no preload"
    about = "a third polyrepl server, without pools and with nothing but IPython imported before kernels are forked"
    only = frozenset({"new-context", "memory"})
    settings: Mapping[str, str] = {"POLYREPL_POOL_MAX": "0", "POLYREPL_PRELOAD": ""}


class PolyreplTypescript(Guest, Polyrepl):
    """The typescript contexts of the same server."""

    name = "polyrepl typescript"
    about = "typescript contexts of the same polyrepl server"
    only = frozenset({"typescript"})
    shares_memory = False
    language = "typescript"

    def __init__(self, python: Polyrepl) -> None:
        super().__init__(python)
        self.settings = python.settings


class PolyreplTypescriptUnpooled(PolyreplTypescript):
    """The typescript contexts of the server without kernels in reserve."""

    name = "polyrepl typescript, no pool"
    about = "typescript contexts of the second server: each starts a process when it is asked for"
    only = frozenset({"typescript-new"})


def _answer(started: float, body: dict[str, Any]) -> Answer:
    """Decode the body. Its logs are lists of lines without their newlines; every print here ends with one."""
    error = body.get("error")
    answer = Answer(
        started,
        out=[f"{line}\n" for line in body["logs"]["stdout"]],
        err=[f"{line}\n" for line in body["logs"]["stderr"]],
        error=None if error is None else f"{error['name']}: {error['value']}"[:120],
        status=str(body.get("status", "")),
        remark=_remark(body),
    )
    for item in body["items"]:
        text = item["text"] if "text" in item else json.dumps(item)
        answer.displays.append(text)
        answer.png = item.get("png", answer.png)
        if item.get("is_primary"):
            answer.text = text
    answer.ended = time.perf_counter()
    return answer


def _remark(body: dict[str, Any]) -> str:
    """What the answer says about itself: that the context was lost before it, and what a limit cut."""
    state = body.get("context_state", "preserved")
    remarks = [] if state in ("created", "preserved") else [f"context {state}"]
    for name, cut in body.get("truncated", {}).items():
        remarks.append(f"kept {cut['kept_bytes']:,} of {cut['total_bytes']:,} bytes of {name}")
    return "; ".join(remarks)
