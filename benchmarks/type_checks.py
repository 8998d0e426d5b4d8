"""What a type check costs: `python -m benchmarks.type_checks`. CPU of the checker for each cell, its memory, and its start.

Cells of several contexts, each with earlier cells, as a model would send them. CPU time does not depend on how busy the machine is.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

from engine import Engine, Settings

from .procs import cpu_ms, descendants, memory

_CONTEXTS = 5
CELLS = (
    "interface Row {{ id: number; name: string; score?: number }}\n"
    "const rows{n}: Row[] = [{{ id: {n}, name: 'a' }}, {{ id: 2, name: 'b', score: 3 }}]",
    "const total{n} = rows{n}.reduce((sum, row) => sum + (row.score ?? 0), 0)\nconsole.log(total{n})",
    "import {{ readFileSync }} from 'node:fs'\nconst text{n} = readFileSync('/etc/hostname', 'utf8').trim()\ntext{n}.lenght",
    "const best{n} = rows{n}.find((row) => row.id === {n})\nbest{n}.name.toUpperCase()",
    "async function load{n}(url: string) {{ const r = await fetch(url); return r.json() as Promise<Row[]> }}\nload{n}('x').length",
)


async def measure(cells: int, language: str, run_dir: Path) -> None:
    settings = Settings(run_dir=run_dir, pool_max=0, preload=[], check_timeout=120.0)
    async with Engine(settings) as engine:

        async def check(number: int) -> None:
            code = CELLS[number // _CONTEXTS % len(CELLS)].format(n=number // _CONTEXTS // len(CELLS))
            context = f"c{number % _CONTEXTS}"
            execution = await engine.execute(code, language=language, context_id=context, check=True)
            await execution.wait()
            result = execution.result()
            assert not result.unchecked, result.unchecked

        started = time.perf_counter()
        await check(0)
        first = time.perf_counter() - started
        checker = [
            pid for pid in descendants(os.getpid()) if b"checker/main.mjs" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        print(
            f"start: {cpu_ms(checker):.0f} ms of CPU, {first:.2f} s until the first answer, {memory(checker).pss:.0f} MiB"
        )
        for number in range(1, _CONTEXTS * len(CELLS)):
            await check(number)
        before = cpu_ms(checker)
        for number in range(_CONTEXTS * len(CELLS), _CONTEXTS * len(CELLS) + cells):
            await check(number)
        each = (cpu_ms(checker) - before) / cells
        print(f"{cells} cells in {_CONTEXTS} contexts: {each:.1f} ms of CPU each, {memory(checker).pss:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--language", default="typescript")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="checks-") as directory:
        os.chmod(directory, 0o711)
        asyncio.run(measure(arguments.cells, arguments.language, Path(directory) / "run"))


if __name__ == "__main__":
    main()
