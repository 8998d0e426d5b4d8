"""Executions of an engine in this loop: run one to its end, or wait for one of its events."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from engine.contexts import Context, Execution
from engine.core import Engine
from engine.models import Event, Result, Stdout


async def run(
    engine: Engine, code: str = "x", context_id: str | None = "c", *, within: float = 10, **options: Any
) -> Result:
    """Run code to its end, and return its result. `within`: seconds."""
    return await ended(await engine.execute(code, context_id=context_id, **options), within=within)


async def ended(execution: Execution, *, within: float = 10) -> Result:
    """Wait for the end, and return the result."""
    async with asyncio.timeout(within):
        await execution.wait()
    return execution.result()


async def held(engine: Engine, code: str = "loop", context_id: str | None = "c", **options: Any) -> Execution:
    """Start code that prints and then holds; return when it holds."""
    execution = await engine.execute(code, context_id=context_id, **options)
    async with asyncio.timeout(10):
        await printed(execution)
    return execution


def only(engine: Engine, context_id: str = "c") -> Context:
    """The only context of an id."""
    (context,) = engine.contexts.get(context_id)
    return context


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
