"""A client of the HTTP API for tests, and a context of it."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.harness.processes import outside
from tests.harness.waiting import DEADLINE

Json = dict[str, Any]


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
            if response.status_code == 204:  # `done` was read before
                return
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

    def outside(self, pid: int) -> int:
        """The number that a process of it has for us; it works in the context's directory."""
        info = self.info
        assert info is not None
        return outside(pid, Path(info["cwd"]))

    def start(self, code: str, **fields: Any) -> str:
        return self.client.start(code, **self.fields, **fields)

    def delete(self) -> None:
        assert self.client.delete(self.id, self.language) == 204


def sse_events(response: httpx.Response, *, deadline: float = DEADLINE) -> Iterator[Json]:
    """The events of a stream. The id and the event name of each must be those in its data, but that an error is called `failed`."""
    end = time.monotonic() + deadline
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        assert time.monotonic() < end, "the stream goes on after its deadline"
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            event = json.loads(fields["data"])
            name = "failed" if event["type"] == "error" else event["type"]
            assert (fields["id"], fields["event"]) == (str(event["id"]), name)
            yield event
            fields = {}
