"""The layers of DESIGN.md: imports point down, pure modules stay pure, and files stay readable."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "engine"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "settings", "resources", "log", "metrics", "models", "rlimits"),
    ("client",),
    (
        "remedies",
        "languages",
        "messages",
        "remote_messages",
        "remote_losses",
        "remote_replay",
        "remote_cells",
        "preludes",
        "notebook",
        "notebook_requests",
        "frames",
        "mime",
        "packages",
        "checks",
        "tools",
        "labels",
    ),
    (
        "outputs",
        "normalizer",
        "variables",
        "channels",
        "kernelspecs",
        "remote",
        "journal",
        "rundir",
        "environment",
        "memory",
        "copying",
        "directories",
        "file_changes",
        "installers",
        "connection",
        "websocket",
        "seeds",
    ),
    ("provisioners", "installed_kernels", "capabilities"),
    ("kernel",),
    ("executions", "launcher", "pool", "branches", "turns", "endings", "silent", "installing", "observers", "relays"),
    ("context", "contexts", "branching", "files", "remote_files", "installations", "assistance", "sessions"),
    ("core", "notebook_kernels"),
    ("api",),
    ("app", "server", "wire"),
    ("cli", "cli_kernels", "terminal", "doctor", "repl_sessions", "repl_prompt", "repl", "stdio"),
)
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
PURE = {
    "models",
    "labels",
    "packages",
    "variables",
    "languages",
    "messages",
    "frames",
    "preludes",
    "notebook",
    "notebook_requests",
    "remote_messages",
    "remote_losses",
    "remote_replay",
    "mime",
    "remedies",
    "outputs",
    "normalizer",
    "journal",
    "errors",
}
DIALECTS = {
    "notebook_http",
    "assistance",
    "execute",
    "contexts",
    "branches",
    "variables",
    "packages",
    "files",
    "operations",
    "gateway",
    "e2b",
    "kernelbox",
    "code_interpreter",
}

MODULES = sorted(path for path in ENGINE.rglob("*.py"))


def name_of(path: Path) -> str:
    """As it is imported: `api.execute`, `channels` for its __init__."""
    parts = path.relative_to(ENGINE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path, *, lazy: bool = True) -> frozenset[str]:
    """Full names of what a file imports; with `lazy`, also inside functions. What only a type checker reads is left out."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if not lazy and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
            else:
                assert not path.is_relative_to(ENGINE), f"{path}: relative import"
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return frozenset(found)


def uses(path: Path, package: str, *, lazy: bool = True) -> bool:
    return any(name == package or name.startswith(package + ".") for name in imports(path, lazy=lazy))


def parametrized(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


def test_every_module_has_a_layer():
    assert {name_of(path).split(".")[0] for path in MODULES} - {""} == set(LAYER)


@parametrized([path for path in MODULES if name_of(path)])
def test_imports_point_down(path: Path):
    own = name_of(path).split(".")[0]
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "engine" or parts[1] not in LAYER:
            continue
        assert LAYER[parts[1]] <= LAYER[own], f"{own} imports {parts[1]}"


def test_no_modules_import_each_other_in_a_circle():
    names = {name_of(path): path for path in MODULES if name_of(path)}

    def targets(name: str) -> set[str]:
        found = {
            each.removeprefix("engine.") for each in imports(names[name], lazy=False) if each.startswith("engine.")
        }
        return {other for each in found for other in (each, each.rpartition(".")[0]) if other in names} - {name}

    done: set[str] = set()

    def walk(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join((*above, name))
        if name not in done:
            for target in targets(name):
                walk(target, (*above, name))
            done.add(name)

    for name in names:
        walk(name, ())


@parametrized([path for path in MODULES if name_of(path) in PURE])
def test_a_pure_module_knows_no_loop_no_socket_and_no_http(path: Path):
    for package in ("asyncio", "anyio", "zmq", "jupyter_client", "starlette", "socket", "threading", "subprocess"):
        assert not uses(path, package), package


def allowed(package: str, path: Path) -> bool:
    name = name_of(path)
    top = name.split(".")[0]
    match package:
        case "starlette":
            return top in ("api", "app")
        case "uvicorn":
            return top in ("server", "wire")
        case "pydantic" | "pydantic_settings":
            return top in ("settings", "api") or top == "cli"
        case "zmq" | "jupyter_client" | "jupyter_core":
            return name == "channels.zmq" or top in (
                "kernelspecs",
                "installed_kernels",
                "provisioners",
                "kernel",
                "launcher",
            )
        case "click":
            return top in ("cli", "cli_kernels")
        case _:
            return top in ("terminal", "doctor", "repl")


@pytest.mark.parametrize(
    "package",
    ["starlette", "uvicorn", "pydantic", "pydantic_settings", "zmq", "jupyter_client", "jupyter_core", "click", "rich"],
)
def test_a_package_is_imported_only_where_its_concern_lies(package: str):
    users = [path for path in MODULES if uses(path, package)]
    assert users
    assert [name_of(path) for path in users if not allowed(package, path)] == []


def test_the_command_line_imports_nothing_heavy_until_a_command_needs_it():
    found = imports(ENGINE / "cli.py", lazy=False) | imports(ENGINE / "cli_kernels.py", lazy=False)
    top = {name.split(".")[0] for name in found}
    assert not top & {
        "pydantic",
        "pydantic_settings",
        "zmq",
        "jupyter_client",
        "starlette",
        "uvicorn",
        "rich",
        "msgspec",
    }
    assert {name for name in imports(ENGINE / "cli.py", lazy=False) if name.startswith("engine")} == {
        "engine.__version__",
        "engine.cli.kernels.kernels",
    }


def test_no_dialect_imports_another():
    for own in DIALECTS:
        names = imports(ENGINE / "api" / f"{own}.py")
        for other in DIALECTS - {own}:
            assert not any(name.startswith(f"engine.api.{other}.") or name == f"engine.api.{other}" for name in names)
            assert f"engine.api.{other}" not in names


@parametrized([path for path in MODULES if name_of(path).split(".")[0] == "client"])
def test_the_client_shares_only_values_and_errors_with_the_server(path: Path):
    shared = ("engine.client", "engine.models", "engine.errors", "engine.__version__")
    ours = {name for name in imports(path) if name.startswith("engine")}
    assert not {name for name in ours if not name.startswith(shared)}
    assert not {"httpx", "asyncio", "anyio"} & {name.split(".")[0] for name in imports(path, lazy=False)}


def test_the_fakes_are_not_used_by_the_engine():
    users = [
        name_of(path) for path in MODULES if any(name.rpartition(".")[0].endswith(".fake") for name in imports(path))
    ]
    assert set(users) <= {"provisioners.fake", "channels.fake"}


def runtime_files(*suffixes: str) -> list[Path]:
    return sorted(
        path
        for path in (ROOT / "runtimes").rglob("*")
        if path.suffix in suffixes and not {"node_modules", "vendor", "test", "tests"} & set(path.parts)
    )


@parametrized(runtime_files(".py"))
def test_code_that_runs_inside_kernels_imports_nothing_of_the_server(path: Path):
    assert not uses(path, "engine")


@parametrized([*MODULES, *runtime_files(".py", ".mjs", ".ts"), *sorted((ROOT / "tests").rglob("*.py"))])
def test_a_file_has_fewer_than_500_lines(path: Path):
    assert len(path.read_text().splitlines()) < 500


@parametrized(MODULES)
def test_a_module_says_in_a_sentence_what_it_is(path: Path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring or name_of(path) == ""
