"""What npm is shown of a working directory, and how what it installed gets there. A program of its own, which has a deadline.

    npm_staging.py prepare DIRECTORY STAGING
    npm_staging.py commit DIRECTORY STAGING

`prepare` writes a `package.json` and a `package-lock.json` into STAGING that hold nothing but names and versions of the registry.
`commit` moves what npm installed there into `node_modules` of DIRECTORY, and writes STAGING/committed.json: `installed` and `replaced`,
pairs of name and version. Code of the context may change DIRECTORY at any time: it is opened by descriptors, and no link is followed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_PACKAGE_BYTES = 1024 * 1024
MAX_LOCK_BYTES = 8 * 1024 * 1024
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies", "overrides")
_NAME = r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[A-Za-z0-9~-][A-Za-z0-9._~-]*"
_IS_NAME = re.compile(_NAME)
_OF_REGISTRY = re.compile(rf"(?:npm:{_NAME}@)?[A-Za-z0-9.^~<>=*|+ -]*")
_PLACE = re.compile(rf"node_modules/{_NAME}(?:/node_modules/{_NAME})*")

Json = dict[str, Any]


def prepare(directory: str, staging: str) -> None:
    """Write what npm has to know of the packages that are there."""
    with _opened(directory) as root:
        package = _read_json(root, "package.json", MAX_PACKAGE_BYTES)
        lock = _read_json(root, "package-lock.json", MAX_LOCK_BYTES)
    shown = {kind: _of_registry(package.get(kind)) for kind in _KINDS}
    _write(Path(staging, "package.json"), {"private": True, **{kind: shown[kind] for kind in _KINDS if shown[kind]}})
    packages = {place: entry for place, entry in _entries(lock).items() if _is_from_registry(entry)}
    if packages:
        root_entry = {kind: shown[kind] for kind in _KINDS if shown[kind]}
        _write(
            Path(staging, "package-lock.json"),
            {"lockfileVersion": 3, "requires": True, "packages": {"": root_entry, **packages}},
        )


def commit(directory: str, staging: str) -> None:
    """Move what is new into the directory, and name it in the `package.json` and the lock there."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it takes a moment, and half of it helps nobody
    made = _entries(json.loads(_text_of(Path(staging, "package-lock.json"))))
    with _opened(directory) as root:
        package = _read_json(root, "package.json", MAX_PACKAGE_BYTES)
        lock = _read_json(root, "package-lock.json", MAX_LOCK_BYTES)
        known = _entries(lock)
        before = {place: _version_at(root, place) for place in made}
        changed = {
            place
            for place, entry in made.items()
            if before[place] != entry.get("version") or known.get(place, {}).get("integrity") != entry.get("integrity")
        }
        changed = {
            place for place in changed if os.path.isdir(os.path.join(staging, place))
        }  # optional ones may be missing
        _move(root, staging, sorted({_top(place) for place in changed}))
        wanted = json.loads(_text_of(Path(staging, "package.json")))
        for kind in _KINDS[:-1]:
            old = found if isinstance(found := package.get(kind), dict) else {}
            new = {name: _absolute(spec, staging) for name, spec in wanted.get(kind, {}).items()}
            kept = {name: spec for name, spec in old.items() if name not in _of_registry(old)}
            if merged := {**kept, **new}:
                package[kind] = dict(sorted(merged.items()))
            else:
                package.pop(kind, None)
        tops = {_top(place) for place in made}
        others = {place: entry for place, entry in known.items() if _top(place) not in tops}
        ours = {
            place: {**entry, **({"resolved": _absolute(entry["resolved"], staging)} if "resolved" in entry else {})}
            for place, entry in made.items()
        }
        named = {kind: package[kind] for kind in ("name", "version", *_KINDS[:-1]) if kind in package}
        lock = {
            **{name: package[name] for name in ("name", "version") if name in package},
            "lockfileVersion": 3,
            "requires": True,
            "packages": {"": named, **dict(sorted({**others, **ours}.items()))},
        }
        _replace(root, "package.json", package)
        _replace(root, "package-lock.json", lock)
    names = {place: str(made[place].get("name") or place.rpartition("node_modules/")[2]) for place in changed}
    answer = {
        "installed": sorted({(names[place], str(made[place].get("version", ""))) for place in changed}),
        "replaced": sorted({names[place] for place in changed if before[place] is not None}),
    }
    _write(Path(staging, "committed.json"), answer)


def _of_registry(dependencies: object) -> dict[str, str]:
    """Those that name a version or a range, and no URL, file or repository."""
    if not isinstance(dependencies, dict):
        return {}
    return {
        name: spec
        for name, spec in dependencies.items()
        if _IS_NAME.fullmatch(name) and isinstance(spec, str) and _OF_REGISTRY.fullmatch(spec)
    }


def _entries(lock: Json) -> dict[str, Json]:
    """The packages of a lock by place, without the project itself and what lies elsewhere."""
    packages = lock.get("packages")
    if not isinstance(packages, dict):
        return {}
    return {
        place: entry
        for place, entry in packages.items()
        if isinstance(entry, dict) and not entry.get("link") and _PLACE.fullmatch(place)
    }


def _is_from_registry(entry: Json) -> bool:
    resolved = entry.get("resolved", "https:")
    return isinstance(resolved, str) and resolved.startswith(("https:", "http:"))


def _top(place: str) -> str:
    """The package directly in `node_modules` that a place belongs to."""
    return place.removeprefix("node_modules/").partition("/node_modules/")[0]


def _absolute(spec: str, staging: str) -> str:
    """A file as it is named from anywhere."""
    if not spec.startswith("file:"):
        return spec
    return f"file:{os.path.normpath(os.path.join(os.path.realpath(staging), spec.removeprefix('file:')))}"


def _move(root: int, staging: str, tops: list[str]) -> None:
    """Have packages in `node_modules`: brought beside it first, then each put into its place by a rename."""
    with _below(root, ("node_modules",), make=True) as modules:
        with contextlib.suppress(FileNotFoundError):  # npm makes it anew from what is there
            os.unlink(".package-lock.json", dir_fd=modules)
        aside = f".polyrepl-{secrets.token_hex(4)}"
        os.mkdir(aside, 0o700, dir_fd=modules)
        try:
            with _below(modules, (aside,)) as beside:
                for number, top in enumerate(tops):
                    shutil.move(os.path.join(staging, "node_modules", top), f"/proc/self/fd/{beside}/{number}")
                for number, top in enumerate(tops):
                    *scope, name = top.split("/")
                    with _below(modules, tuple(scope), make=True) as place:
                        with contextlib.suppress(FileNotFoundError):
                            os.rename(name, f"{number}-old", src_dir_fd=place, dst_dir_fd=beside)
                        os.rename(str(number), name, src_dir_fd=beside, dst_dir_fd=place)
        finally:
            shutil.rmtree(aside, ignore_errors=True, dir_fd=modules)
        _link_programs(modules, Path(staging, "node_modules", ".bin"))


def _link_programs(modules: int, programs: Path) -> None:
    if not programs.is_dir():
        return
    with _below(modules, (".bin",), make=True) as place:
        for program in programs.iterdir():
            if program.is_symlink():
                beside = f".{secrets.token_hex(4)}"
                os.symlink(os.readlink(program), beside, dir_fd=place)
                os.replace(beside, program.name, src_dir_fd=place, dst_dir_fd=place)


def _version_at(root: int, place: str) -> str | None:
    """The version of what is at a place; None where nothing is, or nothing that says."""
    try:
        with _below(root, tuple(place.split("/"))) as directory:
            version = _read_json(directory, "package.json", MAX_PACKAGE_BYTES).get("version")
    except (OSError, SystemExit):
        return None
    return version if isinstance(version, str) else None


@contextlib.contextmanager
def _opened(directory: str) -> Iterator[int]:
    """The working directory; the path to it may hold links, as the operator or a request named it."""
    fd = os.open(directory, _DIRECTORY & ~os.O_NOFOLLOW)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _below(root: int, names: tuple[str, ...], *, make: bool = False) -> Iterator[int]:
    fd = os.dup(root)
    try:
        for name in names:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=fd)
            below = os.open(name, _DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _read_json(root: int, name: str, most: int) -> Json:
    """An object in a regular file; an empty one where there is no file. Ends the program where it is anything else."""
    try:
        fd = os.open(name, _FILE, dir_fd=root)
    except FileNotFoundError:
        return {}
    except OSError as error:
        sys.exit(f"error: {name} of the working directory cannot be read: {error.strerror}")
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        sys.exit(f"error: {name} of the working directory is not a regular file")
    with open(fd, "rb") as file:
        text = file.read(most + 1)
    if len(text) > most:
        sys.exit(f"error: {name} of the working directory is larger than {most} bytes")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        sys.exit(f"error: {name} of the working directory is not a JSON object")
    return value


def _replace(root: int, name: str, value: Json) -> None:
    """Have a file with this JSON, in one step."""
    beside = f".{name}-{secrets.token_hex(4)}"
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=root)
    with open(fd, "w", encoding="utf-8", errors="surrogatepass") as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    os.replace(beside, name, src_dir_fd=root, dst_dir_fd=root)


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _write(path: Path, value: Json) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


if __name__ == "__main__":
    try:
        {"prepare": prepare, "commit": commit}[sys.argv[1]](*sys.argv[2:])
    except OSError as failure:
        sys.exit(f"error: {failure.filename or 'the working directory'}: {failure.strerror}")
