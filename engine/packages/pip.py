"""pip: installs into a new environment that sees what the context has, whose packages are then moved into the context's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.models import PackageInfo
from engine.packages.tools import Outcome, Run, ToolMissing, located, read_answer
from engine.resources import data_dir
from engine.settings import Settings
from engine.workspaces import Workspace

_QUIET = ("--no-input", "--disable-pip-version-check", "--no-color", "--no-warn-script-location")


class _Prepared(msgspec.Struct):
    """What `package_staging.py prepare` answers."""

    python: str
    pip: str | None


class _Committed(msgspec.Struct):
    """What `package_staging.py commit` answers."""

    installed: dict[str, str]
    replaced: list[str]


class PipInstaller:
    """`builds`: whether packages without a wheel may be built, which runs their code with all that pip has."""

    def __init__(self, settings: Settings, *, builds: bool) -> None:
        self._python = str(settings.python)
        self._builds = builds
        self._program = str(data_dir() / "runtimes" / "python" / "package_staging.py")

    async def install(self, packages: Sequence[str], workspace: Workspace, staging: Path, run: Run) -> Outcome:
        environment = str(workspace.packages / "python")
        await run([self._python, "-P", self._program, "prepare", str(staging), environment], shown=False)
        prepared = read_answer(staging / "prepared.json", _Prepared)
        if prepared.pip is None:
            raise ToolMissing(f"pip is not installed: {self._python} -m ensurepip, or install it as your system has it")
        # -I: no directory and no variable of anybody adds code to pip.
        pip = [prepared.python, "-I", self._program, "run", prepared.pip, "builds" if self._builds else "wheels"]
        wheels = () if self._builds else ("--prefer-binary",)
        wanted = located(packages, workspace)
        await run(
            [*pip, "install", "--no-user", "--progress-bar", "off", *_QUIET, *wheels, "--", *wanted], trusted=True
        )
        await run([self._python, "-P", self._program, "commit", str(staging), environment], shown=False)
        committed = read_answer(staging / "committed.json", _Committed)
        found = [PackageInfo(name, version) for name, version in committed.installed.items()]
        return Outcome(sorted(found, key=lambda package: package.name.lower()), committed.replaced)
