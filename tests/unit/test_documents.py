"""The documents are true: what they name exists, and no file cites a document that is not here."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import engine
from benchmarks.catalogue import MEASUREMENTS

ROOT = Path(__file__).resolve().parents[2]
RECORDS = sorted((ROOT / "docs/adr").glob("0*.md"))
GUIDES = [
    ROOT / name
    for name in (
        "CONTRIBUTING.md",
        "RELEASING.md",
        "SECURITY.md",
        "docs/README.md",
        "docs/adr/README.md",
        "docs/architecture.md",
        "docs/deprecation.md",
        ".github/PULL_REQUEST_TEMPLATE.md",
    )
]
"""Documents about the code, whose every path and name is checked."""

_SKIPPED = {".git", ".hypothesis", "node_modules", "vendor", "static", "__pycache__", "dist", "build"}
_TEXT = {".py", ".pyi", ".md", ".mjs", ".js", ".ts", ".tsx", ".toml", ".yml", ".yaml", ".json", ".txt", ".cfg", ""}
_FENCED = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_DOCUMENT = re.compile(r"(?<![\w*<{$-])((?:[\w.-]+/)*[A-Z][A-Z_-]+\.md)\b")
_MODULE = re.compile(r"\bengine(?:\.[a-z_][a-z0-9_]*)+(?:\.[A-Z]\w*)?(?:\.[a-z_]\w*)?")
_OBJECT = re.compile(r"([A-Z]\w+)(?:\.(\w+))?(?:\(\))?")
_FUNCTION = re.compile(r"(\w+)\(\)")
_MAKE = re.compile(r"(?:`|^ *|&& )make((?: [a-z][a-z-]*)+)", re.MULTILINE)
_IN_STATIC = {"LICENSES.md"}
"""Documents in a folder that is not searched: its other files are not ours."""
_ELSEWHERE = {"InteractiveShell", "KeyboardInterrupt", "Protocol", "DeprecationWarning", "Deprecation", "Sunset"}
"""Names of other packages, of Python and of HTTP."""


def is_skipped(path: Path) -> bool:
    """Whether a file or folder is made, or not ours."""
    return path.name in _SKIPPED or path.name.startswith(".venv") or path.name.endswith("_cache")


@cache
def text_files() -> tuple[Path, ...]:
    """Every text file that is ours."""

    def below(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if is_skipped(path):
                continue
            if path.is_dir():
                yield from below(path)
            elif path.suffix in _TEXT and path != Path(__file__).resolve():
                yield path

    return tuple(below(ROOT))


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code_of(text: str) -> str:
    """What stands in backticks or in blocks of code, line by line."""
    blocks = _FENCED.findall(text)
    return "\n".join([*blocks, *_SPAN.findall(_FENCED.sub("", text))])


@cache
def defined() -> dict[str, set[str]]:
    """Every class of the engine, its clients and its kernels with the names in its body; functions under an empty name."""
    found: dict[str, set[str]] = {"": set()}
    for path in text_files():
        if path.suffix != ".py" or path.relative_to(ROOT).parts[0] not in ("engine", "clients", "runtimes"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found[""].add(node.name)
            elif isinstance(node, ast.ClassDef):
                found.setdefault(node.name, set()).update(_members(node))
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found.update({each.id: set() for each in targets if isinstance(each, ast.Name)} | found)
    return found


def _members(definition: ast.ClassDef) -> set[str]:
    names = {node.name for node in ast.walk(definition) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    for node in ast.walk(definition):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Assign):
            names.update(each.id for each in node.targets if isinstance(each, ast.Name))
    return names


def exists(name: str) -> bool:
    """Whether `engine.a.b.Name` is a module, or something in one."""
    module, rest = name, []
    while module:
        try:
            found: object = importlib.import_module(module)
        except ModuleNotFoundError:
            module, _, last = module.rpartition(".")
            rest.insert(0, last)
            continue
        for each in rest:
            if not hasattr(found, each):
                return False
            found = getattr(found, each)
        return True
    return False


def test_every_path_that_a_guide_names_exists() -> None:
    folders = (path.name for path in ROOT.iterdir() if path.is_dir() and not is_skipped(path))
    tops = "|".join(sorted(map(re.escape, folders)))
    path = re.compile(rf"(?<![\w./-])((?:{tops})/[\w./*-]*)")
    missing = [
        f"{shown(guide)}: {name}"
        for guide in (*GUIDES, *RECORDS)
        for name in path.findall(guide.read_text())
        if "NAME" not in name and not any(ROOT.glob(name.rstrip("./")))
    ]
    assert missing == []


def test_every_object_of_the_engine_that_a_guide_names_exists() -> None:
    missing = [
        f"{shown(guide)}: {name}"
        for guide in (*GUIDES, *RECORDS)
        for name in _MODULE.findall(guide.read_text())
        if not name.endswith((".py", ".md")) and not exists(name)
    ]
    for guide in (ROOT / "docs/architecture.md", *RECORDS):
        for span in _SPAN.findall(_FENCED.sub("", guide.read_text())):
            if (found := _FUNCTION.fullmatch(span)) and found[1] not in defined()[""] | set(defined()):
                missing.append(f"{shown(guide)}: {span}")
            elif (found := _OBJECT.fullmatch(span)) and not span.endswith(".md") and found[1] not in _ELSEWHERE:
                members = defined().get(found[1])
                if members is None or (found[2] and found[2] not in members):
                    missing.append(f"{shown(guide)}: {span}")
    assert missing == []


def test_every_make_target_and_program_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    missing = []
    for document in (path for path in text_files() if path.suffix == ".md"):
        text = document.read_text()
        named = {name for found in _MAKE.findall(text) for name in found.split()}
        missing += [f"{shown(document)}: make {name}" for name in sorted(named - targets)]
        ours = re.findall(r"python -m ((?:benchmarks|engine|tests)[\w.]*)", code_of(text))
        missing += [f"{shown(document)}: python -m {name}" for name in ours if not importlib.util.find_spec(name)]
        for measured in re.findall(r"-m benchmarks [^`\n]*--only((?: [a-z][a-z0-9-]*)+)", text):
            missing += [f"{shown(document)}: --only {each}" for each in measured.split() if each not in MEASUREMENTS]
    assert missing == []


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = [
        f"{shown(document)}: {target}"
        for document in text_files()
        if document.suffix == ".md"
        for target in _LINK.findall(_FENCED.sub("", document.read_text()))
        if "://" not in target and not target.startswith("mailto:") and not (document.parent / target).exists()
    ]
    assert broken == []


def test_no_file_cites_a_document_that_is_not_here() -> None:
    cited = [
        f"{shown(path)}: {name}"
        for path in text_files()
        for name in _DOCUMENT.findall(path.read_text(errors="replace"))
        if not any((base / name).exists() for base in (ROOT, path.parent, *path.parents)) and name not in _IN_STATIC
    ]
    cited += [shown(path) for path in text_files() if "CONTRACTS" in path.read_text(errors="replace")]
    assert cited == []


def test_no_file_has_a_path_of_somebodys_machine() -> None:
    path = re.compile(r"(?<![\w.~-])/(?:work|home/(?!user\b|polyrepl\b|ada\b)\w+|tmp/wt)/")
    found = [
        f"{shown(file)}: {line}" for file in text_files() for line in path.findall(file.read_text(errors="replace"))
    ]
    assert found == []


def test_every_decision_is_in_the_index_and_has_its_headings() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    wrong = []
    for record in RECORDS:
        text = record.read_text()
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        if headings != ["Context", "Decision", "Consequences", "Alternatives"] or len(text.splitlines()) > 60:
            wrong.append(shown(record))
        if f"]({record.name})" not in index:
            wrong.append(f"{shown(record)} is not in the index")
    assert wrong == []


def test_the_guides_are_in_the_index_of_the_documents() -> None:
    index = (ROOT / "docs/README.md").read_text()
    assert [path.name for path in sorted((ROOT / "docs").glob("*.md")) if f"]({path.name})" not in index] == [
        "README.md"
    ]


def test_the_newest_version_of_the_changelog_is_that_of_the_engine() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(.+?)\](?: - \d{4}-\d\d-\d\d)?$", changelog, re.MULTILINE)
    assert versions[:2] == ["Unreleased", engine.__version__]
