"""A real `polyrepl serve` process, a client for it, and what the operating system says about it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

POLYREPL = Path(sys.executable).parent / "polyrepl"
START_DEADLINE = 30.0
STOP_DEADLINE = 20.0
DEADLINE = 60.0

Json = dict[str, Any]


def wait_until(condition: Callable[[], object], *, deadline: float = DEADLINE, what: str = "") -> None:
    """Poll what nothing announces (processes, files). Fails after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"not within {deadline:g} s: {what or condition}"
        time.sleep(0.01)


class Result(dict[str, Any]):
    """The body of POST /execute or GET /executions/{id}, with the parts that tests ask for most."""

    @property
    def status(self) -> str:
        return str(self["status"])

    @property
    def text(self) -> str | None:
        """Text of the primary item."""
        primary = [item for item in self["items"] if item["is_primary"]]
        assert len(primary) <= 1
        return primary[0].get("text") if primary else None

    @property
    def stdout(self) -> list[str]:
        return list(self["logs"]["stdout"])

    @property
    def stderr(self) -> list[str]:
        return list(self["logs"]["stderr"])

    @property
    def error(self) -> str | None:
        """Name of the error."""
        return self["error"]["name"] if "error" in self else None

    @property
    def traceback(self) -> str:
        return str(self["error"]["traceback"])


class Client:
    """Talks to one server. May be used by many threads at once."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self.http = httpx.Client(
            base_url=url,
            timeout=DEADLINE,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        )

    def close(self) -> None:
        self.http.close()

    def execute(self, code: str, **fields: Any) -> Result:
        response = self.http.post("/execute", json={"code": code, **fields})
        assert response.status_code == 200, response.text
        return Result(response.json())

    def start(self, code: str, **fields: Any) -> str:
        """Run without waiting; returns the execution's id."""
        response = self.http.post("/execute", json={"code": code, **fields}, headers={"Prefer": "respond-async"})
        assert response.status_code == 202, response.text
        return str(response.json()["execution_id"])

    def execution(self, execution_id: str) -> Result:
        response = self.http.get(f"/executions/{execution_id}")
        assert response.status_code == 200, response.text
        return Result(response.json())

    def wait(self, execution_id: str) -> Result:
        """The result, once the execution has ended."""
        for _ in self.follow(execution_id):
            pass
        return self.execution(execution_id)

    def wait_for_event(self, execution_id: str, kind: str, after: int = 0) -> Json:
        with contextlib.closing(self.follow(execution_id, after=after)) as events:
            return next(event for event in events if event["type"] == kind)

    def wait_for_output(self, execution_id: str, text: str) -> None:
        seen = ""
        with contextlib.closing(self.follow(execution_id)) as events:
            for event in events:
                seen += event["text"] if event["type"] == "stdout" else ""
                if text in seen:
                    return
        raise AssertionError(f"{text!r} was not printed but {seen!r}")

    def follow(self, execution_id: str, *, after: int = 0, deadline: float = DEADLINE) -> Iterator[Json]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        with self.http.stream("GET", f"/executions/{execution_id}/events", headers=headers) as response:
            assert response.status_code == 200
            yield from sse_events(response, deadline=deadline)

    @contextlib.contextmanager
    def stream(self, code: str, **fields: Any) -> Iterator[Iterator[Json]]:
        """POST /execute as server-sent events; leaving the block closes the connection."""
        headers = {"Accept": "text/event-stream"}
        with self.http.stream("POST", "/execute", json={"code": code, **fields}, headers=headers) as response:
            assert response.status_code == 200
            yield sse_events(response)

    def interrupt(self, execution_id: str) -> None:
        assert self.http.post(f"/executions/{execution_id}/interrupt").status_code == 200

    def answer(self, execution_id: str, value: str) -> int:
        """POST the answer of an input request; returns the status."""
        return self.http.post(f"/executions/{execution_id}/input", json={"value": value}).status_code

    def create(self, language: str, context_id: str | None = None, **fields: Any) -> Json:
        body = {"language": language, "context_id": context_id, **fields}
        response = self.http.post("/contexts", json=body)
        assert response.status_code == 201, response.text
        return dict(response.json())

    def context(self, context_id: str, language: str) -> Json | None:
        response = self.http.get(f"/contexts/{context_id}", params={"language": language})
        return dict(response.json()) if response.status_code == 200 else None

    def delete(self, context_id: str, language: str | None = None) -> int:
        params = {"language": language} if language else {}
        return self.http.delete(f"/contexts/{context_id}", params=params).status_code


class Repl:
    """One context of one language."""

    def __init__(self, client: Client, language: str, context_id: str | None = None) -> None:
        self.client = client
        self.language = language
        self.id = context_id or f"test-{uuid.uuid4()}"

    @property
    def fields(self) -> Json:
        return {"language": self.language, "context_id": self.id}

    @property
    def info(self) -> Json | None:
        return self.client.context(self.id, self.language)

    def run(self, code: str, **fields: Any) -> Result:
        return self.client.execute(code, **self.fields, **fields)

    def start(self, code: str, **fields: Any) -> str:
        return self.client.start(code, **self.fields, **fields)

    def delete(self) -> None:
        assert self.client.delete(self.id, self.language) == 204


def sse_events(response: httpx.Response, *, deadline: float = DEADLINE) -> Iterator[Json]:
    """The events of a stream. The id and the event name of each must be those in its data."""
    end = time.monotonic() + deadline
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        assert time.monotonic() < end, "the stream goes on after its deadline"
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            event = json.loads(fields["data"])
            assert (fields["id"], fields["event"]) == (str(event["id"]), event["type"])
            yield event
            fields = {}


class Server:
    """`polyrepl serve` with a private run directory; `settings` become POLYREPL_* variables."""

    def __init__(
        self,
        *,
        settings: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
        run_dir: Path | None = None,
    ) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="pr-", dir="/tmp"))
        self.run_dir = run_dir or self.base / "run"
        self.log: list[str] = []
        variables = {name: value for name, value in os.environ.items() if not name.startswith("POLYREPL_")}
        variables |= {"POLYREPL_RUN_DIR": str(self.run_dir), **(env or {})}
        variables |= {f"POLYREPL_{name.upper()}": value for name, value in (settings or {}).items()}
        self._url: str | None = None
        self._url_found = threading.Event()
        self._process = subprocess.Popen(
            [str(POLYREPL), "serve", "--port", "0", *flags],
            cwd=self.base,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.token = (settings or {}).get("token")

    @property
    def url(self) -> str:
        assert self._url_found.wait(START_DEADLINE), "the server does not say its url"
        assert self._url is not None, f"the server ended:\n{self.log_text}"
        return self._url

    @property
    def log_text(self) -> str:
        return "".join(self.log)

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log.append(line)
            found = re.search(r"\burl=(https?://\S+)", line)
            if found and self._url is None:
                self._url = found[1]
                self._url_found.set()
        self._url_found.set()

    def client(self) -> Client:
        return Client(self.url, self.token)

    def terminate(self, *, deadline: float = STOP_DEADLINE) -> int:
        """SIGTERM, and the exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not ended {deadline:g} s after SIGTERM:\n{self.log_text}") from None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(STOP_DEADLINE)

    def close(self) -> None:
        try:
            if self._process.poll() is None:
                self.terminate()
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join(STOP_DEADLINE)
            assert self._process.stderr is not None
            self._process.stderr.close()
            shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def zygote(self) -> psutil.Process:
        """The process that python kernels are forked from, once it is ready."""
        client = self.client()
        wait_until(lambda: client.http.get("/readyz").json()["checks"]["zygote"] == "ready", what="the zygote is ready")
        client.close()
        # A forked kernel has the command line of its zygote.
        (zygote,) = [each for each in psutil.Process(self.pid).children() if "--zygote" in each.cmdline()]
        return zygote

    def kernels(self) -> list[psutil.Process]:
        """All children but the zygote."""
        zygote = self.zygote()
        return [each for each in self.children() if each != zygote]

    def files(self) -> set[Path]:
        """Everything in the run directory."""
        return set(self.run_dir.rglob("*"))

    def fds(self) -> list[str]:
        """What the server's file descriptors lead to."""
        found = []
        for fd in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(fd))
        return sorted(re.sub(r"\d+", "N", target) for target in found)

    def threads(self) -> int:
        return psutil.Process(self.pid).num_threads()

    def memory(self) -> int:
        """Resident bytes now."""
        return psutil.Process(self.pid).memory_info().rss

    def reset_peak_memory(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak_memory(self) -> int:
        """Most resident bytes since `reset_peak_memory`."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def is_running(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
