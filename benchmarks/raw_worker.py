"""The raw peer's process, run with the peers' interpreter: jupyter_client's blocking client, no server.

It reads one JSON command a line and writes one JSON answer a line. All times are taken in here, around
jupyter_client's own calls, so the pipe to the benchmark costs the raw peer nothing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from queue import Empty
from typing import Any

from jupyter_client.manager import KernelManager, start_new_kernel

from .peer import Answer, Context, run_load
from .procs import PeerError

_QUIET = subprocess.DEVNULL
_START_TIMEOUT = 60.0  # seconds
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class RawContext(Context):
    """A kernel and its BlockingKernelClient, started as jupyter_client's documentation does it."""

    def __init__(self, kernel_name: str) -> None:
        self._manager, self._client = self._start(kernel_name)

    def _start(self, kernel_name: str) -> tuple[Any, Any]:
        return start_new_kernel(kernel_name=kernel_name, stdout=_QUIET, stderr=_QUIET)

    @property
    def pid(self) -> int:
        return int(self._manager.provisioner.pid)

    def execute(self, code: str, *, limit: float | None = None, patience: float = 60.0) -> Answer:
        answer = Answer(time.perf_counter())
        deadline = answer.started + patience
        interrupt_at = None if limit is None else answer.started + limit
        parent = self._client.execute(code)
        while True:
            until = min(deadline, interrupt_at or deadline)
            try:
                message = self._client.get_iopub_msg(timeout=max(0.0, until - time.perf_counter()))
            except Empty:
                if interrupt_at is None or time.perf_counter() >= deadline:
                    return _late(answer)
                answer.interrupted, interrupt_at = time.perf_counter(), None
                self._manager.interrupt_kernel()
                answer.status = "interrupted by the client"
                continue
            if message["parent_header"].get("msg_id") == parent and _is_idle(answer, message):
                break
        while True:
            try:
                reply = self._client.get_shell_msg(timeout=max(0.0, deadline - time.perf_counter()))
            except Empty:
                return _late(answer)
            if reply["parent_header"].get("msg_id") == parent:
                break
        answer.ended = time.perf_counter()
        return answer

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


class EagerContext(RawContext):
    """The same for kernels of TypeScript: the first request leaves as soon as the kernel can answer it.

    `start_new_kernel` waits for 0.2 s of silence besides, which would be counted as time of the kernel's.
    """

    def _start(self, kernel_name: str) -> tuple[Any, Any]:
        manager: Any = KernelManager(kernel_name=kernel_name)
        manager.start_kernel(stdout=_QUIET, stderr=_QUIET)
        client = manager.client()
        client.start_channels()
        deadline = time.perf_counter() + _START_TIMEOUT
        while not _is_ready(client):
            ended = manager.provisioner.process.poll()
            if ended is None and time.perf_counter() < deadline:
                continue
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            msg = f"in {_START_TIMEOUT:.0f} s" if ended is None else f"and ended with code {ended}"
            msg = f"{kernel_name} did not answer kernel_info {msg}"
            raise PeerError(msg)
        return manager, client

    def execute(self, code: str, *, limit: float | None = None, patience: float = 60.0) -> Answer:
        """Run code. The result is told without colours; tslab has none, but prints the value of the last expression."""
        answer = super().execute(code, limit=limit, patience=patience)
        if answer.text is None and answer.out:
            answer.text = answer.out[-1].rstrip("\n").rpartition("\n")[2]
        if answer.text is not None:
            answer.text = _COLOUR.sub("", answer.text)
        return answer


def _is_ready(client: Any) -> bool:
    """Ask for kernel_info; tell whether the reply came and, on iopub, anything, so that a subscription is in force."""
    client.kernel_info()
    try:
        client.get_shell_msg(timeout=1.0)
        client.get_iopub_msg(timeout=0.02)
    except Empty:
        return False
    return True


def _late(answer: Answer) -> Answer:
    answer.status, answer.ended = "late", time.perf_counter()
    return answer


def _is_idle(answer: Answer, message: dict[str, Any]) -> bool:
    """Add an iopub message to the answer; tell whether it was the final idle."""
    kind, content = message["msg_type"], message["content"]
    if kind == "status":
        return bool(content["execution_state"] == "idle")
    if kind == "stream":
        answer.first = answer.first or time.perf_counter()
        (answer.out if content["name"] == "stdout" else answer.err).append(content["text"])
    elif kind == "execute_result":
        answer.text = content["data"].get("text/plain")
    elif kind == "display_data":
        answer.displays.append(content["data"].get("text/plain", ""))
        answer.png = content["data"].get("image/png", answer.png)
    elif kind == "error":
        answer.error = f"{content['ename']}: {content['evalue']}"
    return False


class Worker:
    """The commands, one method each."""

    def __init__(self, kernel_name: str, *, eager: bool) -> None:
        self._kernel_name = kernel_name
        self._kind = EagerContext if eager else RawContext
        self._contexts: dict[int, RawContext] = {}

    def open(self, code: str = "1+1") -> dict[str, Any]:
        started = time.perf_counter()
        context = self._kind(self._kernel_name)
        answer = context.execute(code)
        answer.started = started
        number = id(context)
        self._contexts[number] = context
        return {"id": number, "answer": dataclasses.asdict(answer)}

    def open_many(self, count: int) -> list[int]:
        with ThreadPoolExecutor(4) as threads:
            return [opened["id"] for opened in threads.map(lambda _: self.open(), range(count))]

    def execute(self, number: int, code: str, limit: float | None, patience: float) -> dict[str, Any]:
        return dataclasses.asdict(self._contexts[number].execute(code, limit=limit, patience=patience))

    def load(self, numbers: list[int], seconds: float, minimum: int) -> dict[str, Any]:
        return dataclasses.asdict(run_load([self._contexts[number] for number in numbers], seconds, minimum))

    def pid(self, number: int) -> int:
        return self._contexts[number].pid

    def close(self, number: int) -> None:
        self._contexts.pop(number).close()


def main() -> None:
    """Serve commands until stdin ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.environ.pop("PYTHONPATH", None)  # it served to find this module; kernels must not inherit it
    worker = Worker(sys.argv[1], eager="--eager" in sys.argv[2:])
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        try:
            answer = {"value": getattr(worker, command)(*arguments)}
        except PeerError as error:
            answer = {"error": str(error)}
        except Exception as error:  # the benchmark reports the reason and goes on with the other peers
            answer = {"error": f"{type(error).__name__}: {error}"}
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
