"""The engine's requests, working directories and results, over scripted kernels."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import msgspec
import pytest

from engine.errors import (
    ExecutionNotFound,
    ShuttingDown,
    UnknownLanguage,
)
from engine.kernels.provisioners.fake import Die, Say
from engine.models import Stdout
from tests.unit.test_core import READY, SCRIPT, ended, fields, run

pytestmark = pytest.mark.anyio


class TestRequests:
    @pytest.mark.parametrize("context_id", ["", " ", "a/b", "é", "x" * 129, "a\n", "a b", "\0"])
    async def test_a_bad_context_id_is_refused(self, fake_engine, context_id: str):
        fake = await fake_engine()
        assert "context_id" in await fields(fake.engine.execute("x", context_id=context_id))
        assert "context_id" in await fields(fake.engine.create_context(context_id=context_id))

    @pytest.mark.parametrize("context_id", ["a", "A-b_c.d:e~f", "x" * 128, "..", "-"])
    async def test_a_good_context_id_is_used_as_it_is(self, fake_engine, context_id: str):
        fake = await fake_engine()
        assert (await run(fake.engine, "x", context_id=context_id)).context_id == context_id

    async def test_every_bad_environment_variable_is_named_and_no_value_is_told(self, fake_engine):
        fake = await fake_engine()
        wrong = {"1A": "v", "A-B": "v", "": "v", "A=B": "v", "É": "v", "OK": "secret\0value", "GOOD": "v", "A\n": "v"}
        found = await fields(fake.engine.execute("x", env_vars=wrong))
        assert set(found) == {f"env_vars.{name}" for name in wrong if name != "GOOD"}
        assert not any("secret" in error for error in found.values())

    async def test_environment_variables_go_to_the_kernel_beside_the_code_whatever_they_hold(self, fake_engine):
        fake = await fake_engine()
        env_vars = {"A": "\"'\n\\ é 🎉", "_b1": ""}
        await run(fake.engine, "x", env_vars=env_vars)
        ((content, metadata),) = fake.kernels[0].requests
        assert content["code"] == "x"
        assert metadata["env_vars"] == env_vars

    async def test_the_kernel_is_told_the_output_limits_that_the_server_keeps(self, fake_engine):
        fake = await fake_engine(max_stream_bytes=2048, max_item_bytes=4096)
        await run(fake.engine, "x")
        assert fake.kernels[0].requests[0][1]["output_limits"] == {"stream_bytes": 2048, "item_bytes": 4096}

    @pytest.mark.parametrize("language", ["cobol", "py thon", "polyrepl-python"])
    async def test_an_unknown_language_is_refused_with_the_list_of_what_is_allowed(self, fake_engine, language: str):
        fake = await fake_engine()
        with pytest.raises(UnknownLanguage) as caught:
            await fake.engine.execute("x", language=language)
        (wrong,) = caught.value.errors
        assert wrong.field == "language"
        assert "python, py, python3, typescript, ts, javascript, js, node" in wrong.error

    async def test_a_language_that_is_not_installed_is_refused_with_the_reason(self, fake_engine):
        fake = await fake_engine(python="/nonexistent/python")
        error = (await fields(fake.engine.execute("x", language="py")))["language"]
        assert "/nonexistent/python does not run" in error

    async def test_code_of_any_size_and_content_reaches_the_kernel_as_it_is(self, fake_engine):
        fake = await fake_engine()
        for code in ("", "\n", "π = '🎉'", "x" * 1_000_000, "a\r\nb\0"):
            await run(fake.engine, code)
        assert [content["code"] for content, _ in fake.kernels[0].requests][-1] == "a\r\nb\0"


class TestWorkingDirectory:
    async def test_a_context_has_a_private_directory_of_its_own(self, fake_engine):
        fake = await fake_engine()
        contexts = [await fake.engine.create_context() for _ in range(2)]
        first, second = (Path(context.info().cwd) for context in contexts)
        assert first != second
        assert first.is_dir()
        assert first.stat().st_mode & 0o077 == 0

    async def test_a_directory_that_a_request_names_is_used_and_never_removed(self, fake_engine, tmp_path: Path):
        fake = await fake_engine()
        (tmp_path / "project").mkdir()
        context = await fake.engine.create_context(cwd=str(tmp_path / "project"), context_id="c")
        assert context.info().cwd == str(tmp_path / "project")
        await fake.engine.delete_context("c")
        assert (tmp_path / "project").is_dir()

    @pytest.mark.parametrize("cwd", ["relative", "", "/nonexistent", "/etc/hostname", "/tmp/\0", "~", "/" + "x" * 5000])
    async def test_a_directory_that_is_none_is_refused(self, fake_engine, cwd: str):
        fake = await fake_engine()
        assert "cwd" in await fields(fake.engine.create_context(cwd=cwd))

    async def test_the_compatible_apis_default_directory_means_none_where_it_does_not_exist(self, fake_engine):
        fake = await fake_engine()
        context = await fake.engine.create_context(cwd="/home/user")
        assert Path(context.info().cwd).is_dir()

    async def test_making_a_context_that_exists_finds_it(self, fake_engine):
        fake = await fake_engine()
        first = await fake.engine.create_context(context_id="c")
        assert await fake.engine.create_context(context_id="c") is first
        assert len(fake.kernels) == 1


class TestResults:
    async def test_finished_executions_are_kept_within_their_bound(self, fake_engine):
        fake = await fake_engine(max_executions=3)
        ids = [(await run(fake.engine, str(number))).execution_id for number in range(5)]
        for execution_id in ids[:2]:
            with pytest.raises(ExecutionNotFound):
                fake.engine.executions.get(execution_id)
        assert [fake.engine.executions.get(each).status for each in ids[2:]] == ["ok"] * 3

    async def test_a_deleted_contexts_executions_are_forgotten(self, fake_engine):
        fake = await fake_engine()
        result = await run(fake.engine, "x")
        await fake.engine.delete_context("c")
        with pytest.raises(ExecutionNotFound):
            fake.engine.executions.get(result.execution_id)

    async def test_output_is_kept_within_its_limits_whatever_the_cell_prints(self, fake_engine):
        flood = [Say("stream", {"name": "stdout", "text": f"{number:06}" * 100}) for number in range(2_000)]
        fake = await fake_engine({"flood": flood}, max_stream_bytes=10_000, max_output_bytes=100_000)
        execution = await fake.engine.execute("flood", context_id="c")
        result = await ended(execution)
        assert execution.size < 150_000
        assert result.truncated
        assert result.truncated["stdout"].total_bytes == 1_200_000
        assert result.truncated["stdout"].kept_bytes == 10_000
        text = "\n".join(result.logs.stdout)
        assert text.startswith("000000")
        assert text.endswith("001999")
        assert len(msgspec.json.encode(result)) < 12_000

    async def test_json_nested_too_deep_for_an_answer_does_not_hurt_the_execution(self, fake_engine):
        script = {}
        for depth in (100, 250, 300, 500, 900, 950, 990, 1_100):
            raw = b'{"data":{"application/json":' + b"[" * depth + b"]" * depth + b"}}"
            script[str(depth)] = [Say("display_data", raw), READY]  # type: ignore[arg-type]
        fake = await fake_engine(script)
        for code in script:
            result = await run(fake.engine, code, timeout=5)
            assert result.status == "ok", code
            assert result.logs.stdout == ["ready"], code
            msgspec.json.encode(result)

    async def test_executions_are_counted_by_language_and_status(self, fake_engine):
        fake = await fake_engine({"die": [Die()]})
        await run(fake.engine, "x")
        await run(fake.engine, "die")
        text = fake.engine.metrics.render().decode()
        assert 'polyrepl_executions_total{language="python",status="ok"} 1.0' in text
        assert 'polyrepl_executions_total{language="python",status="died"} 1.0' in text
        assert 'polyrepl_kernel_deaths_total{language="python"} 1.0' in text
        assert 'polyrepl_contexts{language="python"} 1.0' in text

    async def test_an_engine_that_was_never_entered_takes_nothing(self, make_fake):
        with pytest.raises(ShuttingDown):
            await make_fake().engine.execute("x")

    async def test_many_contexts_and_calls_at_once_do_not_mix(self, fake_engine):
        fake = await fake_engine(max_contexts=20, queue_size=50)
        executions = [
            (f"{number}-{place}", await fake.engine.execute(f"{number}-{place}", context_id=f"c{number}"))
            for place in range(10)
            for number in range(20)
        ]
        for code, execution in executions:
            result = await ended(execution)
            assert [item.text for item in result.items] == [code]
        assert len(fake.kernels) == 20

    async def test_a_text_event_is_seen_before_the_end(self, fake_engine):
        fake = await fake_engine(SCRIPT)
        execution = await fake.engine.execute("loop", context_id="c")
        async with asyncio.timeout(10), contextlib.aclosing(execution.follow()) as entries:
            async for entry in entries:
                if entry and isinstance(entry[1], Stdout):
                    break
        assert not execution.is_finished
        await fake.engine.interrupt(execution.id)
        await ended(execution)
