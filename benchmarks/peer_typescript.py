"""The other kernels of TypeScript, without a server: the one of `deno jupyter`, and tslab."""

from __future__ import annotations

import json
from pathlib import Path

from .machine import node
from .peer import Context
from .peer_raw import Raw, RawContext


class Deno(Raw):
    """jupyter_client with the kernel that Deno brings."""

    name = "deno"
    about = "raw jupyter_client + the kernel of `deno jupyter`, no server"
    package = "deno"
    kernel_name = "deno"
    worker_options = ("--eager",)
    language = "typescript"
    only = frozenset({"typescript"})

    def start(self, directory: Path, env: dict[str, str]) -> None:
        """Write the kernelspec into a directory that only this peer sees, and start the worker."""
        spec = directory / "jupyter" / "kernels" / self.kernel_name
        spec.mkdir(parents=True)
        content = {"argv": self.argv(), "display_name": self.name, "language": self.language}
        (spec / "kernel.json").write_text(json.dumps(content))
        super().start(directory, {**env, "JUPYTER_PATH": str(directory / "jupyter")})

    def argv(self) -> list[str]:
        """Return what `deno jupyter --install` writes, with Deno's whole path."""
        return [str(self.python.parent / "deno"), "jupyter", "--kernel", "--conn", "{connection_file}"]

    def kernel_pid(self, context: Context) -> int:
        """Ask jupyter_client, which has started the process: a result may be missing in the answer of a cell."""
        assert isinstance(context, RawContext)
        return int(self.server.call(30, "pid", context.number))


class Tslab(Deno):
    """The same client with tslab, on the Node that polyrepl's kernel runs on."""

    name = "tslab"
    about = "raw jupyter_client + tslab, no server"
    package = "tslab"
    kernel_name = "tslab"

    def argv(self) -> list[str]:
        """Return what `tslab install` writes, with whole paths."""
        program = self.python.parent.parent / "lib" / "node_modules" / "tslab" / "bin" / "tslab"
        return [str(node(self.python)), str(program), "kernel", "--config-path", "{connection_file}"]
