"""The engine: what it refuses by field, repeated requests, and working directories."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.errors import (
    IdempotencyConflict,
    InvalidRequest,
    UnknownLanguage,
)
from tests.harness.executions import ended, run
from tests.unit.test_core import fields

pytestmark = pytest.mark.anyio


async def test_the_variables_of_a_request_are_bounded_together(fake_engine):
    fake = await fake_engine()
    for env in ({"A": "x" * 600_000, "B": "x" * 600_000}, {"A" * 1_100_000: ""}):
        with pytest.raises(InvalidRequest) as caught:
            await fake.engine.create_context(env=env)
        assert [wrong.field for wrong in caught.value.errors] == ["env_vars"]
    assert not len(fake.engine.contexts)


class TestIdempotency:
    async def test_the_same_request_with_the_same_key_is_the_same_execution(self, fake_engine):
        fake = await fake_engine()
        first = await fake.engine.execute("x", idempotency_key="k")
        again = await fake.engine.execute("x", idempotency_key="k", language="py")
        assert again is first
        await ended(first)
        assert await fake.engine.execute("x", idempotency_key="k") is first
        assert len(fake.kernels[0].requests) == 1

    async def test_requests_at_the_same_moment_are_one_execution(self, fake_engine):
        fake = await fake_engine()
        made = await asyncio.gather(*(fake.engine.execute("x", idempotency_key="k") for _ in range(5)))
        assert len(set(made)) == 1

    @pytest.mark.parametrize(
        "change", [{"code": "y"}, {"timeout": 3}, {"env_vars": {"A": "1"}}, {"context_id": "d"}, {"language": "ts"}]
    )
    async def test_a_different_request_with_the_same_key_is_refused(self, fake_engine, change: dict[str, Any]):
        fake = await fake_engine()
        await fake.engine.execute("x", idempotency_key="k")
        options = {"code": "x", **change}
        with pytest.raises(IdempotencyConflict):
            await fake.engine.execute(options.pop("code"), idempotency_key="k", **options)

    async def test_a_key_of_a_refused_request_is_free(self, fake_engine):
        fake = await fake_engine()
        with pytest.raises(InvalidRequest):
            await fake.engine.execute("x", idempotency_key="k", timeout=-1)
        assert (await run(fake.engine, "y", idempotency_key="k")).status == "ok"


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

    async def test_only_the_directories_that_are_allowed_may_be_named(self, fake_engine, tmp_path: Path):
        for name in ("allowed", "other"):
            (tmp_path / name).mkdir()
        fake = await fake_engine(allowed_cwds=[tmp_path / "allowed"])
        assert "cwd" in await fields(fake.engine.create_context(cwd=str(tmp_path / "other")))
        context = await fake.engine.create_context(cwd=str(tmp_path / "allowed"))
        assert context.info().cwd == str(tmp_path / "allowed")

    async def test_making_a_context_that_exists_finds_it(self, fake_engine):
        fake = await fake_engine()
        first = await fake.engine.create_context(context_id="c")
        assert await fake.engine.create_context(context_id="c") is first
        assert len(fake.kernels) == 1
