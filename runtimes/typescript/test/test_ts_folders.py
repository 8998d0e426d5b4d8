"""The folders of the runtime: each imports only those below it, so that no two depend on each other."""

import re
from pathlib import Path

RUNTIME = Path(__file__).resolve().parents[1]
MAX_ROOMS = 12

# Each folder and what it may import, from the top down. "" is `main.mjs`.
FOLDERS = {
    "": {"worker", "context", "shared"},
    "worker": {"transport", "compile", "assist", "shared"},
    "transport": {"shared"},
    "assist": set(),
    "context": {"modules", "display", "values", "shared", "vendor"},
    "modules": {"compile", "shared"},
    "compile": {"shared", "vendor"},
    "display": {"shared"},
    "values": {"shared"},
    "shared": {"vendor"},
    "vendor": set(),
}

# `import ... from '...'`, `import('...')` (also the types in comments), `new URL('...')`, `createRequire(...)('...')`, and
# a name that holds the path: whatever is quoted and begins like a relative path of a module.
PATH = re.compile(r"""['"`](\.\.?/[^'"`\n]*\.[cm]?js)['"`]""")


def sources():
    return [path for path in sorted(RUNTIME.rglob("*.mjs")) if folder_of(path) not in ("vendor", "test")]


def folder_of(path):
    parts = path.relative_to(RUNTIME).parts
    return parts[0] if len(parts) > 1 else ""


def imports(path):
    return [(path.parent / specifier).resolve() for specifier in PATH.findall(path.read_text())]


def arrows():
    """Every import from one folder to another, with the files that have it."""
    found = {}
    for path in sources():
        for imported in imports(path):
            if folder_of(path) != folder_of(imported):
                found.setdefault((folder_of(path), folder_of(imported)), set()).add(path.name)
    return found


def test_folders_import_only_what_their_line_allows():
    offenders = {
        f"{folder or 'main.mjs'} -> {imported}": sorted(files)
        for (folder, imported), files in arrows().items()
        if imported not in FOLDERS.get(folder, ())
    }
    assert offenders == {}


def test_lines_name_only_folders_below_and_nothing_unused():
    order = list(FOLDERS)
    upward = [
        (folder, name) for folder, row in FOLDERS.items() for name in row if order.index(name) <= order.index(folder)
    ]
    unused = [(folder, name) for folder, row in FOLDERS.items() for name in row if (folder, name) not in arrows()]
    assert (upward, unused) == ([], [])


def test_every_imported_file_is_there():
    missing = [f"{path.relative_to(RUNTIME)}: {imported}" for path in sources() for imported in imports(path)
               if not imported.is_file()]  # fmt: skip
    assert missing == []


def test_files_of_a_folder_import_each_other_in_no_circle():
    """Types in comments are free to: they load nothing."""
    graph = {path: {each for each in loaded(path) if each != path} for path in sources()}
    while ends := [path for path, imported in graph.items() if not imported & graph.keys()]:
        for path in ends:
            del graph[path]
    assert [str(path.relative_to(RUNTIME)) for path in graph] == []


def loaded(path):
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    return {(path.parent / specifier).resolve() for specifier in PATH.findall(text)}


def test_the_runtime_has_few_rooms():
    rooms = {folder_of(path) or path.name for path in RUNTIME.rglob("*.mjs")}
    assert rooms == {"main.mjs", "test", *FOLDERS} - {""}
    assert len(rooms) <= MAX_ROOMS


def test_the_readme_has_the_same_table():
    rows = re.findall(
        r"^\| `([a-z]+)(?:/|\.mjs)` \| [^|]+ \| ([^|]*) \|$", (RUNTIME / "README.md").read_text(), re.MULTILINE
    )
    said = {name.replace("main", ""): set(re.findall(r"`([a-z]+)`", row)) for name, row in rows}
    assert said == FOLDERS
