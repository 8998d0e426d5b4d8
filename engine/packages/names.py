"""Packages: which names a request may give to pip or npm, and what an error that misses one says of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.errors import FieldError, InvalidRequest
from engine.kernels import Tool
from engine.packages.missing import missing_distribution

MAX_PACKAGES = 50
MAX_LENGTH = 300  # characters of one
# PEP 508 without URLs and markers; versions as PEP 440 has them.
_PIP_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_PIP_VERSION = r"(?:===?|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+"
_PIP = re.compile(
    rf"{_PIP_NAME}(?:\s*\[\s*{_PIP_NAME}(?:\s*,\s*{_PIP_NAME})*\s*\])?(?:\s*{_PIP_VERSION}(?:\s*,\s*{_PIP_VERSION})*)?"
)
# A scope or none, a name, and a version, a range or a tag.
_NPM_NAME = r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[A-Za-z0-9~-][A-Za-z0-9._~-]*"
_NPM = re.compile(rf"{_NPM_NAME}(?:@[A-Za-z0-9.^~<>=*|+ -]+)?")
_ELSEWHERE = re.compile(r"(?:(?:git\+)?https?://|git\+ssh://|file:|\.{0,2}/)\S+")

_LOOKED_AT = 8192  # characters of an error
_NPM_IMPORTED = r"(?:@[\w~.-]++/)?[\w~][\w~.-]*+"
# As Node and Bun say it, and as Deno does of a name and of an "npm:" specifier.
_NPM_MISSING = re.compile(
    rf"Cannot find (?:package|module) '({_NPM_IMPORTED})[^':]*+'"
    rf"|Import \"({_NPM_IMPORTED})[^\":]*+\" not a dependency"
    rf"|Could not find a matching package for 'npm:/?({_NPM_IMPORTED})[^']*+'"
)
_NPM_CODES = re.compile(
    r"\b(?:ERR_)?MODULE_NOT_FOUND\b|\bResolveMessage\b|^Cannot find package |^Import \"|^Could not find a matching package "
)


def check_packages(packages: Sequence[str], tool: Tool, *, any_source: bool) -> list[str]:
    """The packages as they are given to the tool. `any_source`: also URLs, git and files.

    Raises InvalidRequest that names every wrong one."""
    if not 1 <= len(packages) <= MAX_PACKAGES:
        raise InvalidRequest(FieldError("packages", f"must name between 1 and {MAX_PACKAGES} packages"))
    wanted = [package.strip() for package in packages]
    errors = [
        FieldError(f"packages.{index}", problem)
        for index, package in enumerate(wanted)
        if (problem := _problem(package, tool, any_source=any_source)) is not None
    ]
    if errors:
        raise InvalidRequest(*errors)
    return wanted


def _problem(package: str, tool: Tool, *, any_source: bool) -> str | None:
    if not package:
        return "is empty"
    if len(package) > MAX_LENGTH:
        return f"must be at most {MAX_LENGTH} characters"
    if package.startswith("-"):
        return f"{package[:100]!r} is an option of {tool}, not a package"
    if not package.isprintable():
        return "holds a control character"
    if (_PIP if tool == "pip" else _NPM).fullmatch(package):
        return None
    if _ELSEWHERE.fullmatch(package):
        if any_source:
            return None
        return "a URL or a file is not allowed here (setting package_sources); allowed: names of the registry"
    example = "name, name==1.2, name[extra]>=1" if tool == "pip" else "name, name@1.2, @scope/name@^1"
    return f"{package[:100]!r} is not a package of the registry; allowed: {example}"


def missing_package(tool: Tool, name: str, value: str, traceback: str = "") -> tuple[str, str] | None:
    """What an error of this name says is missing: the module, and the package that has it. None where it is another error,
    or where no package would help: a file, or a part of the language itself."""
    if tool == "pip":
        return missing_distribution(name, value)
    found = _NPM_MISSING.match(value)
    if found is None or not (_NPM_CODES.search(value) or _NPM_CODES.search(traceback) or _NPM_CODES.search(name)):
        return None
    package = found[1] or found[2] or found[3]
    return package, package


def package_hint(tool: Tool, error: tuple[str, str, str], install: str) -> str | None:
    """How to install what an error (its name, value and traceback) says is missing. `install`: the call, with {package} in it."""
    name, value, traceback = error
    missing = missing_package(tool, name, value[:_LOOKED_AT], traceback[-_LOOKED_AT:])
    if missing is None:
        return None
    module, package = missing
    what = f"{module!r} is not installed in this context" + (f"; package {package}" if package != module else "")
    return f"{what}. To install it: {install.replace('{package}', package)}"
