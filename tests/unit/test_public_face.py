"""The two packages as programs import them: `engine` to embed, `polyrepl` to call a server. Also where the version is stated."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import json
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import engine
import polyrepl
from polyrepl._async import resources as asynchronous_resources
from polyrepl._sync import resources

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "clients" / "python"
PACKAGES = pytest.mark.parametrize("package", [engine, polyrepl], ids=["engine", "polyrepl"])


@PACKAGES
def test_every_public_name_is_there_and_none_is_private(package: ModuleType) -> None:
    assert len(set(package.__all__)) == len(package.__all__)
    assert [name for name in package.__all__ if not hasattr(package, name)] == []
    assert [name for name in package.__all__ if name.startswith("_")] == ["__version__"]
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = package.no_such_name


@PACKAGES
def test_a_star_imports_exactly_the_public_names(package: ModuleType) -> None:
    found: dict[str, Any] = {}
    exec(f"from {package.__name__} import *", found)
    assert set(found) - {"__builtins__"} == set(package.__all__)


def undocumented(package: ModuleType) -> Iterator[str]:
    """The public classes, and methods of their own, without a docstring; a dataclass makes itself one of its signature."""
    for name in package.__all__:
        kind = getattr(package, name)
        if not inspect.isclass(kind):
            continue
        if not kind.__doc__ or kind.__doc__.startswith(f"{name}("):
            yield name
        for method, each in vars(kind).items():
            if not method.startswith("_") and isinstance(each, (FunctionType, property)) and not each.__doc__:
                yield f"{name}.{method}"


@PACKAGES
def test_every_public_name_says_what_it_is(package: ModuleType) -> None:
    assert list(undocumented(package)) == []


@pytest.mark.parametrize("module", [asynchronous_resources, resources], ids=["asynchronous", "plain"])
def test_every_call_of_a_client_says_what_it_does(module: ModuleType) -> None:
    calls = [
        (f"{kind.__name__}.{name}", each)
        for kind in vars(module).values()
        if inspect.isclass(kind) and kind.__module__ == module.__name__
        for name, each in vars(kind).items()
        if not name.startswith("_")
    ]
    assert len(calls) > 20
    assert [name for name, each in calls if not each.__doc__] == []


def test_generated_modules_are_as_their_sources_make_them() -> None:
    made: dict[Path, str] = runpy.run_path(str(CLIENT / "generate.py"))["generated"]()
    assert len(made) > 5
    assert [path.name for path, text in made.items() if path.read_text() != text] == [], (
        "run `make generate`, and commit what it wrote"
    )
    marked = {path for path in (CLIENT / "polyrepl").rglob("*.py") if path.read_text().startswith("# Generated from")}
    assert marked == set(made)


def test_the_client_needs_nothing_of_the_engine_and_no_package_until_it_is_used() -> None:
    own = {"polyrepl", *sys.stdlib_module_names}
    later = {"httpx", "anyio", "IPython"}  # inside functions
    for path in (CLIENT / "polyrepl").rglob("*.py"):
        if path.name == "papermill.py":  # which papermill loads
            continue
        tree = ast.parse(path.read_text())
        at_once = {name for node in tree.body for name in imported(node)}
        assert at_once <= own, path
        assert {name for node in ast.walk(tree) for name in imported(node)} <= own | later, path


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").split(".")[0]}
    return set()


def test_the_version_is_the_same_wherever_it_is_stated() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "runtimes" / "typescript").rglob("*.mjs"))
    stated = {
        "polyrepl.__version__": polyrepl.__version__,
        "clients/typescript/package.json": json.loads((ROOT / "clients/typescript/package.json").read_text())[
            "version"
        ],
        "what the TypeScript kernel says": re.findall(r"^const VERSION = '(.+)';$", sources, re.MULTILINE)[0],
        "the installed package (make .venv/.dev)": importlib.metadata.version("polyrepl"),
    }
    assert stated == dict.fromkeys(stated, engine.__version__)
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()
