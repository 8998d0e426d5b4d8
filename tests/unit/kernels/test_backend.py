"""Backends: a language points at the one that runs it, and a further one needs nothing but its own class."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpec

from engine.core import Engine
from engine.errors import InvalidRequest, KernelStartFailed, NotSupported
from engine.jupyter.messages import Message
from engine.kernels.backend import Backend, FileHolder
from engine.kernels.channels.fake import FakeChannels
from engine.kernels.kernel import Kernel
from engine.kernels.kernelspecs import KernelSpecs
from engine.kernels.local import Local
from engine.kernels.parents import Parents
from engine.kernels.provisioners import Provisioner
from engine.kernels.provisioners.fake import FakeProvisioner, Say, Script
from engine.kernels.provisioners.fork import ForkProvisioner
from engine.kernels.provisioners.program import ProgramProvisioner
from engine.kernels.provisioners.spawn import SpawnProvisioner
from engine.kernels.remote.backend import RemoteJupyter
from engine.kernels.run import Outcome
from engine.languages import Language, Languages
from engine.metrics import Metrics
from engine.settings import Settings
from engine.workspaces.files import Files
from engine.workspaces.run_directory import RunDir
from engine.workspaces.workspace import Workspace

pytestmark = pytest.mark.anyio

ANSWER: Script = {"1": [Say("stream", {"name": "stdout", "text": "from the moon"})]}


class Moon(Backend):
    """A backend as somebody would add one: it runs cobol, and python in the place of the local one."""

    name = "moon"
    title = "the moon"
    where = "on the moon"
    takes_cwd = False
    watches_files = False

    @property
    def kernel_names(self) -> Mapping[str, str]:
        return {"py": "moon python", "cobol": "moon cobol"}

    def spec(self, language: Language) -> KernelSpec:
        return KernelSpec(display_name=language.kernel_name, metadata={})

    def problem(self, language: Language) -> str | None:
        return None

    async def _start(
        self, spec: KernelSpec, language: Language, workspace: Workspace, *, patient: bool
    ) -> tuple[Kernel, str]:
        provisioner = FakeProvisioner.of(ANSWER)(spec)
        kernel = Kernel(spec, provisioner, self.run_dir.new_kernel_dir(), metrics=self._metrics)
        await kernel.start([], channels=FakeChannels, cwd=Path("/"), env={}, timeout=10)
        return kernel, "rocket"

    def files(self, holder: FileHolder) -> Files:
        raise NotImplementedError

    async def aclose(self) -> None:
        return


class Pool:
    def wake(self) -> None:
        return


class Heard:
    def __init__(self) -> None:
        self.text = ""

    def receive(self, message: Message) -> None:
        if message.msg_type == "stream":
            self.text += message.content["text"]


async def test_a_further_backend_takes_its_languages_and_starts_their_kernels(run_dir: RunDir) -> None:
    settings, metrics = Settings(), Metrics()
    local = Local(settings, kernelspecs=KernelSpecs(settings), metrics=metrics)
    moon = Moon(settings, metrics=metrics)
    languages = Languages(local=local, others=[moon])
    python, cobol, typescript = (languages.find(name) or Language(name, "") for name in ("python", "cobol", "ts"))
    assert (python.backend, cobol.backend, typescript.backend) == (moon, moon, local)
    assert (python.name, python.kernel_name, python.aliases) == ("python", "moon python", ("py", "python3"))
    with pytest.raises(KernelStartFailed, match="not been entered"):
        await python.backend.start(python, run_dir.new_workspace("c"))
    moon.open(run_dir, Pool())
    kernel = await python.backend.start(python, run_dir.new_workspace("c"))
    heard = Heard()
    run = await kernel.execute("1", heard.receive, allow_stdin=False, metadata={})
    assert await run.wait(10) is Outcome.DONE
    assert heard.text == "from the moon"
    labels = {"language": "python", "way": "rocket"}
    assert metrics.registry.get_sample_value("polyrepl_kernel_starts_total", labels) == 1
    await kernel.kill()


async def test_a_death_that_nobody_wanted_is_counted_whatever_backend_started_the_kernel(run_dir: RunDir) -> None:
    metrics = Metrics()
    moon = Moon(Settings(), metrics=metrics)
    moon.open(run_dir, Pool())
    python = Language("python", "moon python", placed_on=moon)
    killed, died = [await moon.start(python, run_dir.new_workspace("c")) for _ in range(2)]
    await killed.kill()
    provisioner: Any = died._provisioner
    provisioner.end(7)
    async with asyncio.timeout(10):
        await asyncio.wait({killed.exited, died.exited})
    await asyncio.sleep(0)
    assert metrics.registry.get_sample_value("polyrepl_kernel_deaths_total", {"language": "python"}) == 1


def test_a_language_without_an_engine_runs_nowhere() -> None:
    with pytest.raises(LookupError, match="python runs nowhere"):
        _ = Languages().all[0].backend


async def test_what_a_backend_cannot_do_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    settings = Settings(run_dir=tmp_path / "run", backend="jupyter", jupyter_timeout=7.0, pool_max=0)
    async with Engine(settings) as engine:
        python = engine.check_language("python")
        assert isinstance(python.backend, RemoteJupyter)
        assert python.kernel_name == "jupyter:python3"
        assert python.backend.default_timeout == 7.0
        with pytest.raises(InvalidRequest) as refused:
            await engine.create_context(cwd="/tmp")
        assert refused.value.explanation == "cwd: 'python' runs on a remote Jupyter, which decides that"
        with pytest.raises(NotSupported, match="its kernel runs on a remote Jupyter"):
            await engine.execute("1", files=True)
        assert len(engine.contexts) == 0


async def test_a_kernel_that_is_spawned_as_it_cannot_be_forked_is_confined_no_less(
    run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []

    async def fail(self: Local, provisioner: Any, *args: Any) -> Kernel:
        tried.append(provisioner)
        raise KernelStartFailed("Fake", "refused")

    class Ready:
        def current(self) -> Ready:
            return self

    monkeypatch.setattr(Local, "_run", fail)
    monkeypatch.setattr(Parents, "zygotes", lambda self, spec, *, boxed: Ready())
    settings = Settings(kernel_memory=2**30, kernel_rlimits={"NPROC": 200})
    local = Local(settings, kernelspecs=KernelSpecs(settings), metrics=Metrics())
    local.open(run_dir, Pool())
    try:
        with pytest.raises(KernelStartFailed, match="refused"):
            await local.start(Languages(local=local).all[0], run_dir.new_workspace("c"))
    finally:
        await local.aclose()
    assert [type(each) for each in tried] == [ForkProvisioner, ProgramProvisioner, SpawnProvisioner]
    forked, program, spawned = tried
    assert forked._confinement == program._confinement == spawned._confinement
    limits = spawned._confinement.rlimits
    assert limits["NPROC"] == (200, 200)
    assert limits["DATA"][0] > 2**30


def test_fakes_are_made_by_what_the_engine_takes() -> None:
    made = FakeProvisioner.of({})(KernelSpec())
    assert isinstance(made, Provisioner)
