"""After every wait it is asked whether it is still ours: faults that were seen, each as the shortest way to it."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from typing import Any

import pytest

from engine.errors import ContextEnded, KernelStartFailed, PolyreplError, ShuttingDown
from engine.jupyter.messages import Channel
from engine.kernels import preludes_of
from engine.kernels.channels.fake import FakeChannels
from engine.kernels.provisioners.fake import FakeKernel, FakeProvisioner, Hold, Say
from tests.harness.executions import only, run
from tests.harness.waiting import until
from tests.unit.contexts.world import Client, request

pytestmark = pytest.mark.anyio

READY = Say("stream", {"name": "stdout", "text": "ready\n"})
NO_START: dict[str, Any] = {"start fails": []}


def living(kernels: list[FakeKernel]) -> list[FakeKernel]:
    return [kernel for kernel in kernels if not kernel._stopped]


def statuses(client: Client) -> list[str]:
    """The execution states that a client was sent."""
    contents = [json.loads(message.encode(None))["content"] for message in client.sent]
    return [content["execution_state"] for content in contents if "execution_state" in content]


class Slow(FakeChannels):
    """Kernels that come up when `opened` is set, even if nobody waits for them any more."""

    opened: asyncio.Event

    async def open(self) -> None:
        await self.opened.wait()
        await super().open()


@pytest.fixture
def opened() -> asyncio.Event:
    Slow.opened = asyncio.Event()
    return Slow.opened


class TestStartsThatFail:
    async def test_a_context_that_was_there_is_kept_with_its_files_whoever_makes_another_meanwhile(self, fake_engine):
        script: dict[str, Any] = {"hello": [READY]}
        fake = await fake_engine(script)
        await run(fake.engine)
        context = only(fake.engine)
        file = context.workspace.cwd / "file"
        file.write_text("mine")
        fake.kernels[0]._on_death(-9)
        while context.state != "dead":
            await asyncio.sleep(0)
        script |= NO_START
        for steps in range(20):
            creating = asyncio.create_task(fake.engine.create_context(context_id="c"))
            for _ in range(steps):
                await asyncio.sleep(0)
            fake.engine.contexts.get_or_create(f"other {steps}", fake.engine.check_language("python"))
            with pytest.raises(KernelStartFailed):
                await creating
            assert only(fake.engine) is context
            assert file.read_text() == "mine"

    async def test_a_new_context_is_taken_back_also_where_it_made_another_go(self, fake_engine):
        script: dict[str, Any] = {"hello": [READY]}
        fake = await fake_engine(script, max_contexts=1)
        await run(fake.engine)
        script |= NO_START
        with pytest.raises(KernelStartFailed):
            await fake.engine.create_context(context_id="broken")
        assert list(fake.engine.contexts) == []

    async def test_a_new_context_that_another_client_uses_by_now_is_not_its_makers_any_more(self, fake_engine):
        fake = await fake_engine(dict(NO_START))
        creating = asyncio.create_task(fake.engine.create_context(context_id="c"))
        while not list(fake.engine.contexts):
            await asyncio.sleep(0)
        context = only(fake.engine)
        client = Client("s")
        context.observe(client)
        with pytest.raises(KernelStartFailed):
            await creating
        assert only(fake.engine) is context
        assert context.workspace.cwd.is_dir()
        assert client.reason is None


class TestContextsOfTheSameId:
    async def test_a_late_shutdown_of_an_earlier_one_leaves_the_present_one_alone(self, fake_engine):
        fake = await fake_engine()
        await run(fake.engine)
        earlier = only(fake.engine)
        await fake.engine.delete_context("c")
        await run(fake.engine)
        present = only(fake.engine)
        earlier.shut_down()
        assert only(fake.engine) is present
        assert present.workspace.cwd.is_dir()
        assert (await run(fake.engine)).execution_count == 2
        assert len(living(fake.kernels)) == 1

    async def test_what_the_present_one_ran_is_not_forgotten_with_the_earlier_one(self, fake_engine, monkeypatch):
        fake = await fake_engine()
        await run(fake.engine)
        has_run = asyncio.Event()
        kill = FakeProvisioner.kill

        async def kill_late(self: FakeProvisioner, restart: bool = False) -> None:
            await has_run.wait()
            await kill(self, restart)

        monkeypatch.setattr(FakeProvisioner, "kill", kill_late)
        deleting = asyncio.create_task(fake.engine.delete_context("c"))
        await asyncio.sleep(0)
        result = await run(fake.engine)
        has_run.set()
        await deleting
        assert fake.engine.executions.get(result.execution_id).status == "ok"


class TestKernelsThatOnlyDie:
    async def test_a_watched_one_is_replaced_a_few_times_and_then_by_the_next_cell(self, fake_engine):
        fake = await fake_engine()
        await fake.engine.create_context(context_id="c")
        context, client = only(fake.engine), Client("watcher")
        context.observe(client)
        for count in range(1, 5):
            await until(lambda: len(fake.kernels) == count and context._slot.has_living)  # noqa: B023
            fake.kernels[-1]._on_death(1)
        await until(lambda: statuses(client)[-1] == "dead" or len(fake.kernels) > 4)
        assert (len(fake.kernels), context.state) == (4, "dead")
        assert (await run(fake.engine)).status == "ok"
        fake.kernels[-1]._on_death(1)
        await until(lambda: len(fake.kernels) == 6 and context._slot.has_living)


class TestWhatComesTooLate:
    async def test_a_kernel_that_comes_up_after_its_context_is_ended(self, make_fake, opened: asyncio.Event):
        fake = make_fake(channels=Slow)
        async with fake.engine as engine:
            creating = asyncio.create_task(engine.create_context(context_id="c"))
            while not fake.kernels:
                await asyncio.sleep(0)
            deleting = asyncio.create_task(engine.delete_context("c"))
            await asyncio.sleep(0)
            opened.set()
            with pytest.raises(PolyreplError):
                await creating
            await deleting
            assert living(fake.kernels) == []

    async def test_a_file_that_is_sent_to_a_deleted_context_makes_no_directories_again(self, fake_engine):
        fake = await fake_engine()
        await run(fake.engine)
        files = fake.engine.files("c")

        async def parts() -> Any:
            yield b"late"

        deleting = asyncio.create_task(fake.engine.delete_context("c"))
        await asyncio.sleep(0)
        with pytest.raises(ContextEnded):
            await files.write("file", parts())
        await deleting
        assert list(fake.engine.run_dir.contexts.iterdir()) == []

    async def test_a_context_that_was_deleted_does_not_blame_the_server(self, fake_engine):
        fake = await fake_engine()
        await run(fake.engine)
        context = only(fake.engine)
        await fake.engine.delete_context("c")
        for late in (context.ready(), context.restart()):
            with pytest.raises(ContextEnded, match="'c' was deleted"):
                await late

    async def test_a_start_that_fails_as_its_context_is_deleted_says_that_it_was(self, fake_engine):
        class Robbed:
            async def start(self, *_: Any) -> Any:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    raise KernelStartFailed("python", "No such file or directory") from None

        fake = await fake_engine()
        await run(fake.engine)
        slot = only(fake.engine)._slot
        starting = slot.replace(Robbed())
        await until(lambda: slot._stopping is None)
        await fake.engine.delete_context("c")
        with pytest.raises(ContextEnded, match="'c' was deleted"):
            await slot.settled(starting)

    async def test_a_client_that_shuts_its_kernel_down_in_turn_gets_one_answer(self, fake_engine):
        fake = await fake_engine()
        await run(fake.engine)
        client = Client("session")
        only(fake.engine).observe(client)
        only(fake.engine).relays.relay(client, request("shutdown_request", Channel.SHELL))
        await until(lambda: client.reason is not None)
        sent = [json.loads(message.encode(None)) for message in client.sent]
        replies = [message["content"] for message in sent if message["msg_type"] == "shutdown_reply"]
        assert (replies, client.done) == ([{"status": "ok", "restart": False}], 1)

    async def test_variables_that_are_set_too_late_do_not_stay_in_the_kernel(self, fake_engine, monkeypatch):
        monkeypatch.setattr("engine.kernels.silent._TIMEOUT", 0.05)
        script: dict[str, Any] = {preludes_of("python", {"A": "b"}).before: [Hold()]}
        fake = await fake_engine(script)
        await fake.engine.create_context(context_id="c", language="ipykernel")
        result = await run(fake.engine, language="ipykernel", env_vars={"A": "b"})
        assert (result.status, result.error.name, result.context_state) == ("error", "NotSupported", "lost")
        assert living(fake.kernels) == []

    async def test_a_kept_execution_keeps_no_kernel(self, fake_engine):
        fake = await fake_engine()
        result = await run(fake.engine)
        kernel = weakref.ref(only(fake.engine).kernel)
        await only(fake.engine).restart()
        fake.kernels.clear()
        await until(lambda: gc.collect() >= 0 and kernel() is None)
        assert fake.engine.executions.get(result.execution_id).status == "ok"

    async def test_whoever_ends_the_engine_a_second_time_waits_for_the_same_end(self, fake_engine):
        fake = await fake_engine(pool_max=1, pool_min=1, pool_languages=["python"])
        await until(lambda: fake.kernels)
        first = asyncio.create_task(fake.engine.aclose())
        await asyncio.sleep(0)
        first.cancel()
        await fake.engine.aclose()
        assert first.cancelled()
        assert (living(fake.kernels), fake.engine.run_dir.path.exists()) == ([], False)
        with pytest.raises(ShuttingDown):
            fake.engine.prepare()

    async def test_a_server_that_shuts_down_says_so(self, make_fake):
        fake = make_fake()
        async with fake.engine as engine:
            await run(engine)
            context = only(engine)
        with pytest.raises(ShuttingDown):
            await context.ready()


class TestQueue:
    async def test_every_execution_that_comes_with_a_restart_ends(self, fake_engine):
        fake = await fake_engine({"loop": [READY, Hold()]})
        for steps in range(10):
            running = await fake.engine.execute("loop", context_id="c")
            while running.journal.last < 2:
                await asyncio.sleep(0)
            fake.kernels[-1].release()  # the worker is about to look for what comes next
            for _ in range(steps):
                await asyncio.sleep(0)
            restarting = asyncio.create_task(only(fake.engine).restart())
            executing = asyncio.create_task(fake.engine.execute("x", context_id="c"))
            async with asyncio.timeout(60):
                await restarting
                for execution in (running, await executing):
                    await execution.wait()

    async def test_work_that_cannot_be_started_does_not_hold_up_what_comes_after_it(self, fake_engine, monkeypatch):
        fake = await fake_engine()
        context, _ = fake.engine.contexts.get_or_create("c", fake.engine.check_language("python"))

        async def start(*_: object) -> None:
            raise ValueError("a fault in the engine")

        with monkeypatch.context() as broken:
            broken.setattr(context.language.backend, "start", start)
            with pytest.raises(ValueError, match="a fault"):
                async with context.turn(5):
                    raise AssertionError("there is no kernel")
        assert (await run(fake.engine)).status == "ok"


class TestNames:
    """A user may raise an error with any name; what decides is who made it."""

    @pytest.mark.parametrize("name", ["KernelStartFailed", "InternalError"])
    async def test_a_users_error_with_a_name_of_ours_is_no_error_of_the_server(self, api, name: str):
        error = Say("error", {"ename": name, "evalue": "mine", "traceback": [name]})
        fake = await api({"fail": [error]})
        response = await fake.client.post("/execute", json={"code": "fail"})
        assert (response.status_code, response.json()["error"]["name"]) == (200, name)

    async def test_a_kernel_that_cannot_be_started_is_one(self, api):
        fake = await api(NO_START)
        response = await fake.client.post("/execute", json={"code": "x"})
        assert (response.status_code, response.json()["error"]["name"]) == (500, "KernelStartFailed")

    async def test_a_users_timeout_error_is_not_the_timeout(self, api):
        error = Say("error", {"ename": "TimeoutError", "evalue": "mine", "traceback": ["TimeoutError: mine"]})
        fake = await api({"fail": [error], "loop": [Hold()]})
        response = await fake.client.post("/execute/async", json={"code": "fail"})
        assert '{"type":3,"data":"TimeoutError: mine"}' in response.text
        response = await fake.client.post("/execute/async", json={"code": "loop", "timeout_ms": 50})
        assert '{"type":3,"data":"timeout"}' in response.text
