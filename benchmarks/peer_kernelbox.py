"""KernelBox over HTTP: `POST /kernels`, `POST /kernels/{id}/execute`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from .client import HttpClient
from .peer import Answer, Context, Peer
from .procs import Server, free_port


class KernelBoxContext(Context):
    """A kernel on its own keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._http = HttpClient(port)
        self._path = f"/kernels/{self._http.json('POST', '/kernels', {})['kernel_id']}"

    def execute(self, code: str, *, limit: float | None = None, patience: float = 60.0) -> Answer:
        body: dict[str, Any] = {"code": code}
        if limit is not None:
            body["timeout"] = limit
        started = time.perf_counter()
        result = self._http.json("POST", f"{self._path}/execute", body, timeout=patience)
        error = result["error"]
        displays = [out for out in result["outputs"] if out["kind"] == "display_data"]
        return Answer(
            started,
            time.perf_counter(),
            text=result["return_value"],
            out=[result["output"]],
            err=[result["stderr"]],
            displays=[out["text"] for out in displays],
            png=next((out["data"]["image/png"] for out in reversed(displays) if "image/png" in out["data"]), ""),
            error=None if error is None else f"{error['ename']}: {error['evalue']}",
            status="" if result["status"] == "success" else result["status"],
        )

    def close(self) -> None:
        self._http.json("DELETE", self._path, timeout=20.0)
        self._http.close()


class KernelBox(Peer):
    """KernelBox as shipped, on uvicorn."""

    name = "KernelBox"
    about = "KernelBox as shipped, over HTTP"
    package = "kernelbox"

    def __init__(self, python: Path) -> None:
        self._command = str(python.with_name("kernelbox"))

    def start(self, directory: Path, env: dict[str, str]) -> None:
        self.port = free_port()
        argv = [self._command, "serve", "--host", "127.0.0.1", "--port", str(self.port)]
        self.server = Server(argv, cwd=directory, env={**env, "KERNELBOX_HOME": str(directory)})
        self.server.wait_until(lambda: HttpClient(self.port).request("GET", "/health", timeout=5.0)[0] == 200)

    def open(self, code: str = "1+1") -> tuple[Context, Answer]:
        started = time.perf_counter()
        context = KernelBoxContext(self.port)
        answer = context.execute(code)
        answer.started = started
        return context, answer
