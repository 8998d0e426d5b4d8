"""A program of a user, which a strict mypy accepts: nothing that the two packages give is untyped. It is not run."""

from typing import assert_type

import engine
import polyrepl
from engine import Engine, Settings
from polyrepl import UNSET, AsyncClient, AsyncEventStream, Client, EventStream, Item, Result


async def embedded() -> engine.Result:
    async with Engine(Settings(max_contexts=2)) as running:
        execution = await running.execute("6 * 7", language="python", context_id="typed")
        assert_type(execution, engine.Execution)
        await execution.wait()
        try:
            running.contexts.get("nobody")
        except engine.ContextNotFound as error:
            assert_type(error.context_id, str)
        return execution.result()


def called(client: Client) -> str:
    result = client.run_code("6 * 7", context_id="typed", timeout=10, on_stdout=print)
    assert_type(result, Result)
    assert_type(result.items, list[Item])
    if result.error is not UNSET:
        assert_type(result.error, polyrepl.ErrorInfo)
    with client.stream("print(1)") as events:
        assert_type(events, EventStream)
        for event in events:
            match event:
                case polyrepl.Stdout(text=text):
                    assert_type(text, str)
                case polyrepl.ItemAdded(item=item):
                    assert_type(item, Item)
                case polyrepl.Done(status=status) if status == "ok":
                    pass
    try:
        assert_type(client.contexts.fork("typed"), polyrepl.BranchInfo)
        assert_type(client.files.download("typed", "file"), bytes)
    except polyrepl.QueueFull as error:
        assert_type(error.retry_after, float | None)
    except polyrepl.CannotBranch as error:
        assert_type(error.obstacles, list[polyrepl.Obstacle])
    assert_type(polyrepl.__version__, str)
    return result.text or ""


async def called_asynchronously() -> str:
    async def answer(request: polyrepl.InputRequest) -> str:
        return request.prompt

    async with AsyncClient() as client:
        result = await client.run_code("input()", on_input=answer)
        assert_type(result, Result)
        async with client.stream("print(1)") as events:
            assert_type(events, AsyncEventStream)
            async for event in events:
                assert_type(event, polyrepl.Event)
        assert_type(await client.contexts.list(), list[polyrepl.ContextInfo])
        return result.stdout
