"""Executions of an engine in this loop: run one to its end, or wait for one of its events."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from engine.contexts.execution import Execution
from engine.core import Engine
from engine.models import Event, Result, Stdout


async def run(engine: Engine, code: str, *, context_id: str = "c", **options: Any) -> Result:
    execution = await engine.execute(code, context_id=context_id, **options)
    await execution.wait()
    return execution.result()


async def printed(execution: Execution) -> None:
    """Return once the cell has printed something."""
    await event(execution, Stdout)


async def event(execution: Execution, kind: type[Event], *, count: int = 1) -> Event:
    """The first event of this kind, or a later one."""
    async with asyncio.timeout(30), contextlib.aclosing(execution.follow()) as events:
        async for found in events:
            count -= found is not None and isinstance(found[1], kind)
            if found is not None and not count:
                return found[1]
    raise AssertionError(f"no {kind.__name__} came")


def text_of(result: Result) -> object:
    return result.items[0].text if result.items else None


def the_execution(engine: Engine) -> Execution:
    """The only one."""
    (execution,) = engine.executions._by_id.values()
    return execution
