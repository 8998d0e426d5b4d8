"""The house: folders import downward, packages are imported where their concern lies, and files stay readable.

Each test lists all offenders at once. `python -m tests.structure` prints the rooms and what they import."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from tests.structure import (
    ENGINE,
    ROOT,
    Rooms,
    engine_rooms,
    imports,
    modules,
    name_of,
    parsed,
    room_of,
    typescript_rooms,
)

IO = "asyncio anyio socket threading subprocess"
"""What a pure room must not know."""

ENGINE_ROOMS = {  # from the bottom up, one line each: a room imports only rooms above its line, and these packages
    "models": "msgspec",
    "errors": "",
    "settings": "pydantic pydantic_settings",
    "languages": "",
    "validation": "",
    "options": "msgspec",
    "metrics": "prometheus_client",
    "log": "structlog",
    "resources": "",
    "jupyter": "msgspec",
    "output": "msgspec",
    "following": "asyncio",
    "workspaces": f"{IO} msgspec",
    "kernels.channels": f"{IO} zmq",
    "kernels.provisioners": f"{IO} jupyter_client msgspec",
    "kernels.limiting": IO,
    "kernels.isolation": f"{IO} jupyter_client",
    "kernels": f"{IO} zmq jupyter_client jupyter_core msgspec",
    "kernels.remote": f"{IO} httpx websockets jupyter_client msgspec",
    "kernels.checking": f"{IO} jupyter_client msgspec",
    "packages": f"{IO} msgspec",
    "contexts": f"{IO} msgspec",
    "contexts.notebooks": "msgspec",
    "bookkeeping": IO,
    "capabilities": IO,
    "assistance": f"{IO} msgspec",
    "branching": f"{IO} msgspec",
    "installations": IO,
    "core": IO,
    "api.http": f"{IO} starlette pydantic msgspec multipart",
    "api.face": f"{IO} starlette",
    "api.native": f"{IO} starlette pydantic msgspec prometheus_client",
    "api.gateway": f"{IO} starlette pydantic msgspec",
    "api.notebook": f"{IO} starlette msgspec",
    "api.e2b": f"{IO} starlette pydantic msgspec",
    "api.kernelbox": f"{IO} starlette pydantic msgspec",
    "api.code_interpreter": f"{IO} starlette pydantic msgspec",
    "api.mcp": f"{IO} starlette pydantic msgspec mcp",
    "api.dialects": "starlette",
    "api.middleware": f"{IO} starlette",
    "server": f"{IO} starlette uvicorn websockets httptools",
    "cli": f"{IO} click rich prompt_toolkit pygments httpx pydantic pydantic_settings msgspec mcp polyrepl",
}
DIALECTS = {
    "api.face",
    "api.native",
    "api.gateway",
    "api.notebook",
    "api.e2b",
    "api.kernelbox",
    "api.code_interpreter",
    "api.mcp",
}
FACES = (
    {
        "models",
        "jupyter",
        "output",
        "workspaces",
        "kernels",
        "kernels.channels",
        "kernels.checking",
        "kernels.isolation",
        "kernels.limiting",
        "kernels.provisioners",
        "kernels.remote",
    }
    | {"packages", "contexts", "contexts.notebooks", "settings", "server", "api.middleware"}
    | DIALECTS
)
"""Folders of which others import only what `__init__` exports. `api.http` is a shelf, used module by module."""
PAST_THE_FACE = (
    "engine.api.mcp.server.",
    "engine.api.mcp.definitions.",
    "engine.server.server.",
    "engine.kernels.installed.",
)
"""What is loaded only when it is used: it needs an optional package, or takes time."""
WATCHED = set(" ".join(ENGINE_ROOMS.values()).split())
CHILD_OF_A_ROOM = {"api", ""}  # packages that only hold rooms


def upward(rooms: Rooms, order: Iterable[str]) -> list[str]:
    """The arrows that do not point to an earlier room, and the rooms that the order does not name."""
    place = {room: number for number, room in enumerate(order)}
    unknown = [f"{room} has no line" for room in rooms if room not in place]
    arrows = [(room, other) for room, others in rooms.items() for other in others]
    return unknown + [f"{a} imports {b}" for a, b in sorted(arrows) if place.get(b, 0) >= place.get(a, 0)]


def intruders(path: Path) -> list[str]:
    """The files of other folders that a module of the engine imports past the folder's face."""
    own = name_of(path)
    found = []
    for name in imports(path, typing=True):
        parts = name.removeprefix("engine.").split(".")[:-1]  # the last is what is imported
        folder = next(
            (".".join(parts[:depth]) for depth in range(len(parts), 0, -1) if ".".join(parts[:depth]) in FACES), ""
        )
        inside = own == folder or own.startswith(f"{folder}.")
        if folder and len(parts) > folder.count(".") + 1 and not inside:
            found.append(f"{own} imports {name} past the face of {folder}")
    return [each for each in found if not each.split(" imports ")[1].startswith(PAST_THE_FACE)]


def strays(path: Path) -> list[str]:
    """The packages that a module imports where its room must not."""
    room = room_of(name_of(path))
    allowed = set(ENGINE_ROOMS.get(room, "").split())
    found = {name.partition(".")[0] for name in imports(path)} & WATCHED
    return [f"{name_of(path)} imports {package}" for package in sorted(found - allowed)]


def test_imports_point_downward():
    rooms = {room: others for room, others in engine_rooms().items() if room not in CHILD_OF_A_ROOM}
    offenders = upward(rooms, ENGINE_ROOMS)
    offenders += [f"{own} imports the dialect {other}" for own in DIALECTS for other in rooms[own] & (DIALECTS - {own})]
    offenders += [
        f"{name_of(path)} imports the fake {name}"
        for path in modules()
        for name in imports(path)
        if ".fake" in name and not name_of(path).endswith(".fake")
    ]
    offenders += [intruder for path in modules() for intruder in intruders(path)]
    runtimes = (path for path in (ROOT / "runtimes").rglob("*.py") if "test" not in path.parts)
    offenders += [
        f"{path.relative_to(ROOT)} imports the server"
        for path in runtimes
        if any(name.partition(".")[0] == "engine" for name in imports(path, relative=True))
    ]
    assert not offenders, "\n".join(offenders)


def test_a_package_is_imported_only_where_its_concern_lies():
    offenders = [stray for path in modules() for stray in strays(path)]
    heavy = {"pydantic", "zmq", "jupyter_client", "starlette", "uvicorn", "rich", "msgspec", "httpx", "mcp"}
    offenders += [
        f"the command line imports {name} before a command needs it"
        for name in imports(ENGINE / "cli/main.py", lazy=False) | imports(ENGINE / "cli/kernels.py", lazy=False)
        if name.partition(".")[0] in heavy
    ]
    assert not offenders, "\n".join(offenders)


def test_the_house_stays_readable():
    offenders = [f"{len(rooms)} rooms in {where}" for where, rooms, most in _crowds() if len(rooms) > most]
    for path in _python_files():
        tree = parsed(path) if path.is_relative_to(ENGINE) else ast.parse(path.read_text())
        lines = len(path.read_text().splitlines())
        where = path.relative_to(ROOT)
        if lines > 400:
            offenders.append(f"{where} has {lines} lines")
        offenders += [
            f"{where}: class {node.name} has {size} lines"
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and (size := (node.end_lineno or 0) - node.lineno + 1) > 250
        ]
        if path.is_relative_to(ENGINE) and not ast.get_docstring(tree):
            offenders.append(f"{where} does not say what it is")
    callables = sum(_callable_parameters(path) for path in modules())
    if callables >= 30:
        offenders.append(f"{callables} parameters in the engine are a Callable")
    assert not offenders, "\n".join(offenders)


def _crowds() -> list[tuple[str, set[str], int]]:
    tops = {name_of(path).partition(".")[0] for path in modules()} - {""}
    api = {name_of(path).split(".")[1] for path in modules(ENGINE / "api") if "." in name_of(path)} | {"static"}
    return [("engine", tops, 25), ("engine/api", api, 12), ("runtimes/typescript", set(typescript_rooms()), 12)]


def _python_files() -> list[Path]:
    folders = ("engine", "clients", "runtimes", "tests", "benchmarks")
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [path for path in found if not {"vendor", "node_modules", ".venv-peers"} & set(path.parts)]


def _callable_parameters(path: Path) -> int:
    functions = [node for node in ast.walk(parsed(path)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    parameters = [
        argument
        for function in functions
        for argument in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    ]
    return sum(
        argument.annotation is not None and "Callable[" in ast.unparse(argument.annotation) for argument in parameters
    )
