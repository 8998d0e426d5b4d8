"""The application that a server runs: an engine, and what its dialects keep. One start and one end."""

from __future__ import annotations

import asyncio

from engine.api.dialects import Surfaces
from engine.api.native import Readiness
from engine.api.notebook import NotebookKernels, load_notebook
from engine.core import Engine
from engine.errors import ShuttingDown


class Application:
    """Parts start in one order and end in the other: the notebook, the engine, then the dialects, whose clients get their answers.

    Making one reads the notebook. Raises BadNotebook."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.surfaces = Surfaces(engine.settings)
        notebook = load_notebook(engine.settings)
        self.notebook = None if notebook is None else NotebookKernels(engine, notebook)
        served = self.surfaces.dialects if notebook is None else []
        self.dialects = {dialect.name: dialect.open(engine) for dialect in served}
        self._closing: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Look whether all can be served as the settings say; it may block. Raises PolyreplError."""
        for state in self.dialects.values():
            state.check()

    async def start(self) -> None:
        """Begin to take requests. When a part fails, nothing stays behind."""
        try:
            await self.engine.__aenter__()
            if self.notebook is not None:
                self.notebook.start()
        except BaseException:
            await self.aclose()
            raise

    async def served(self) -> None:
        """Return when every part can answer. Raises PolyreplError when one never will: ShuttingDown at the end of the server."""
        if self._closing is not None:
            raise ShuttingDown
        self.engine.prepare()
        if self.notebook is not None:
            await self.notebook.ready()

    async def aclose(self) -> None:
        """End everything. Every call waits for the same end."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self.notebook is not None:
            await self.notebook.aclose()
        await self.engine.aclose()
        await asyncio.gather(*(state.aclose() for state in self.dialects.values()))

    async def readiness(self) -> Readiness:
        """What operators are told: each part, and whether requests should come here."""
        engine, notebook = self.engine, self.notebook
        checks = {"engine": "ok" if engine.is_ready else "shutting down"}
        room = engine.is_ready and (notebook is not None or engine.contexts.has_room)
        checks["contexts"] = "ok" if room else "all contexts are busy"
        ready = all(state == "ok" for state in checks.values())
        if engine.is_ready:
            if notebook is not None:
                checks["notebook"] = notebook.describe()
                ready = ready and checks["notebook"] == "ok"
            checks["pool"] = engine.pool.describe()
            checks["zygote"] = "off" if (zygotes := engine.zygotes()) is None else zygotes.describe()
            for backend, problem in (await engine.backend_problems()).items():
                checks[backend] = problem or "ok"
                ready = ready and (problem is None or engine.settings.backend != backend)
        readiness = Readiness("ok" if ready else "unavailable", checks)
        for isolator in filter(None, (backend.isolator for backend in engine.backends)):
            readiness.isolation = isolator.default.tier.label
        return readiness

    def describe(self, url: str) -> dict[str, str]:
        """What is served where, for the log."""
        if self.notebook is None:
            return {"url": url, "docs": f"{url}/docs"}
        return {"url": url, "notebook": self.notebook.notebook.name, "docs": f"{url}/_api/spec/swagger.json"}
