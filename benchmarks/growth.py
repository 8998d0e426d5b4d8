"""What many cells leave behind in one context: `python -m benchmarks.growth` runs 20,000 of them over HTTP.

The memory of the kernel's process is read after a forced collection, before and after; cells of every kind take turns
and declare the same few names again, so what grows is what the kernel itself keeps for each cell.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .client import HttpClient
from .machine import ROOT, peers_environment
from .peer_polyrepl import Polyrepl
from .procs import PeerError, adopt_orphans, end_everything, memory

WARM_UP = 2000  # cells after which compilers, caches and heaps have the size that they keep
ALLOWED_MB = 20.0

#: Kinds of cells; `{n}` is the number of the cell, `{name}` one of a few names.
CELLS: dict[str, tuple[str, ...]] = {
    "python": (
        "{name} = {n}\n{name}",
        "def {name}(x):\n    return x + {n}\n{name}(1)",
        "class {name}:\n    number = {n}",
        "print({n}, 'x' * 100)",
        "raise ValueError({n})",
        "import asyncio\n{name} = await asyncio.sleep(0, {n})",
        "[step * {n} for step in range(100)]",
        "1 +",
    ),
    "typescript": (
        "const {name} = {n}; {name}",
        "function {name}(x: number): number {{ return x + {n} }}; {name}(1)",
        "class {name} {{ number = {n} }}; new {name}()",
        "console.log({n}, 'x'.repeat(100))",
        "throw new RangeError('{n}')",
        "const {name}: number = await Promise.resolve({n})",
        "enum {name} {{ First = {n}, Second }}; [{name}.Second]",
        "setTimeout(() => console.log({n}), 0)",
        "import {{ sep as {name} }} from 'node:path'; {name}",
        "1 +",
    ),
}
_COLLECT = {
    "python": "import gc\ngc.collect()\ngc.collect()\n0",
    # The last resort also gives back what the compilers and the young generation keep for a better day.
    "typescript": "require('node:v8').setFlagsFromString('--expose-gc');"
    "require('node:vm').runInNewContext('gc')({ type: 'major', execution: 'sync', flavor: 'last-resort' }); 0",
}
_PID = {"python": "import os\nos.getpid()", "typescript": "process.pid"}


@dataclass(frozen=True, slots=True)
class Size:
    """MB; `kernel` is what the kernel's process holds alone, `server` all of the server's process."""

    cells: int
    kernel: float
    server: float


class Grower:
    """One context and the memory of its processes."""

    def __init__(self, server: Polyrepl, language: str) -> None:
        self._http = HttpClient(server.port)
        self._language = language
        self._server_pid = server.server.pid
        begun = self._http.json("POST", "/execute", {"code": _PID[language], "language": language}, timeout=60.0)
        self._context = begun["context_id"]
        self._kernel_pid = int(begun["items"][0]["text"])
        self._done = 0

    def run(self, count: int) -> None:
        cells = CELLS[self._language]
        for _ in range(count):
            self._done += 1
            code = cells[self._done % len(cells)].format(n=self._done, name=f"name_{self._done % 7}")
            self._execute(code)

    def size(self) -> Size:
        """Collect garbage and look; the smallest of some looks, since a heap is given back bit by bit."""
        found = []
        for _ in range(3):
            self._execute(_COLLECT[self._language])
            found.append(memory([self._kernel_pid]).private)
        return Size(self._done, min(found), memory([self._server_pid]).private)

    def _execute(self, code: str) -> None:
        body = {"code": code, "language": self._language, "context_id": self._context}
        result = self._http.json("POST", "/execute", body, timeout=60.0)
        is_kept = result.get("context_state", "preserved") in ("created", "preserved")
        if result["status"] not in ("ok", "error") or not is_kept:
            msg = f"a cell ended as {result['status']}: {result.get('error')}"
            raise PeerError(msg)

    def close(self) -> None:
        self._http.close()


def main(argv: list[str] | None = None) -> int:
    """Run it on a server of its own and print a table; return 1 where the kernel grew too much."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, metavar="N", help="cells after the warm-up")
    parser.add_argument("--language", default="typescript", choices=CELLS)
    parser.add_argument("--polyrepl", default=str(ROOT / ".venv/bin/polyrepl"), metavar="PATH")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the sizes as JSON")
    options = parser.parse_args(argv)
    adopt_orphans()
    directory = Path(tempfile.mkdtemp(prefix="growth-"))
    server = Polyrepl(options.polyrepl)
    started = time.monotonic()
    sizes = []
    try:
        server.start(directory, peers_environment(directory))
        grower = Grower(server, options.language)
        grower.run(WARM_UP)
        sizes.append(grower.size())
        for _ in range(4):
            grower.run(options.count // 4)
            sizes.append(grower.size())
        grower.close()
    finally:
        server.stop()
        end_everything()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{'cells':>8}{'kernel MB':>12}{'server MB':>12}")
    for size in sizes:
        print(f"{size.cells:>8}{size.kernel:>12.1f}{size.server:>12.1f}")
    growth = sizes[-1].kernel - sizes[0].kernel
    print(f"{options.language}: grew by {growth:.1f} MB over {options.count} cells, {time.monotonic() - started:.0f} s")
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(size) for size in sizes], indent=1) + "\n")
    return 0 if growth < ALLOWED_MB else 1


if __name__ == "__main__":
    sys.exit(main())
