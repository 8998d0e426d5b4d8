"""Environment of one cell in kernels that do not read ours: cells that set variables, and put them back. Pure.

A JVM cannot change its environment: there they are system properties, as at E2B.

They run silently and without history, before and after the user's cell, whose source they never touch. Both can be run again where
an interrupt stopped them half-way; what the cell itself assigned stays; no name of the user's is taken."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Preludes(NamedTuple):
    """Source of the cell before, and of the one after."""

    before: str
    after: str


# Old values wait in an attribute of sys.
_PYTHON_SET = """\
import os, sys
if not hasattr(sys, '_polyrepl_env'):
    sys._polyrepl_env = {name: os.environ.get(name) for name in given}
os.environ.update(given)"""
_PYTHON_PUT_BACK = """\
import os, sys
for name, old in getattr(sys, '_polyrepl_env', {}).items():
    if os.environ.get(name) == given[name]:
        if old is None: del os.environ[name]
        else: os.environ[name] = old
sys.__dict__.pop('_polyrepl_env', None)"""


def _python(env: Mapping[str, str]) -> Preludes:
    given = {"given": dict(env)}
    return Preludes(f"exec({_PYTHON_SET!r}, {given!r})", f"exec({_PYTHON_PUT_BACK!r}, {given!r})")


# Old values wait in an option. `Sys.setenv` takes names as arguments only.
_R_SET = """\
if (is.null(getOption("polyrepl.env"))) options(polyrepl.env = Sys.getenv(names(given), unset = NA, names = TRUE))
do.call(Sys.setenv, given)"""
_R_PUT_BACK = """\
old <- getOption("polyrepl.env")
for (name in names(old)) if (identical(Sys.getenv(name, unset = NA), enc2native(given[[name]]))) {
if (is.na(old[[name]])) Sys.unsetenv(name) else do.call(Sys.setenv, as.list(old[name])) }
options(polyrepl.env = NULL)"""


def _r(env: Mapping[str, str]) -> Preludes:
    pairs = ", ".join(f"{name} = {_r_text(value)}" for name, value in _backticked(env))
    given = f"given <- list({pairs})"
    before, after = (f"invisible(local({{\n{given}\n{code}\n}}))" for code in (_R_SET, _R_PUT_BACK))
    return Preludes(before, after)


def _backticked(env: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(f"`{name}`", value) for name, value in env.items()]


def _r_text(value: str) -> str:
    return '"' + "".join(_r_character(character) for character in value) + '"'


def _r_character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if " " <= character <= "~":
        return character
    return f"\\U{ord(character):08x}" if ord(character) > 0xFFFF else f"\\u{ord(character):04x}"


# Old values wait under a symbol. Both parts are expressions whose value is undefined.
_JAVASCRIPT_SET = """\
globalThis[key] ??= Object.fromEntries(Object.keys(given).map((name) => [name, process.env[name] ?? null]));
Object.assign(process.env, given);"""
_JAVASCRIPT_PUT_BACK = """\
for (const [name, old] of Object.entries(globalThis[key] ?? {})) if (process.env[name] === given[name]) {
if (old === null) delete process.env[name]; else process.env[name] = old; }
delete globalThis[key];"""


def _javascript(env: Mapping[str, str]) -> Preludes:
    arguments = f"(Symbol.for('polyrepl.env'), {json.dumps(dict(env))})"
    before, after = (
        f"void ((key, given) => {{\n{code}\n}}){arguments};" for code in (_JAVASCRIPT_SET, _JAVASCRIPT_PUT_BACK)
    )
    return Preludes(before, after)


# Bash may read its input from a terminal, with completion and a history: values are written in short lines of printable ASCII,
# between two that stop and start the history. Old values wait in variables of our own.
_BASH_CHUNK = 250  # characters of a value in one line: 4 bytes of UTF-8 each, 4 characters for each byte, 4096 at most
_BASH_OFF = "case $SHELLOPTS in *history*) _polyrepl_history=1; set +o history;; esac"
_BASH_ON = 'if [ -n "${_polyrepl_history-}" ]; then unset _polyrepl_history; set -o history; fi'
_BASH_KEEP = """\
if [ -z "${_polyrepl_set_NAME+x}" ]; then _polyrepl_was_NAME=$(declare -p NAME 2>/dev/null); \
if [ -n "${NAME+x}" ]; then _polyrepl_old_NAME=$NAME; fi; fi"""
_BASH_SET = """\
_polyrepl_set_NAME=$_polyrepl_new; unset _polyrepl_new; export NAME="$_polyrepl_set_NAME" || _polyrepl_failed=1"""
_BASH_PUT_BACK = """\
if [ -n "${_polyrepl_set_NAME+x}" ] && [ "${NAME-}" = "$_polyrepl_set_NAME" ]; then \
if [ -n "${_polyrepl_old_NAME+x}" ]; then NAME=$_polyrepl_old_NAME; else unset NAME; fi; \
case ${_polyrepl_was_NAME%%=*} in "declare -"*x*" NAME"|"") ;; *) export -n NAME;; esac; fi; \
unset _polyrepl_set_NAME _polyrepl_old_NAME _polyrepl_was_NAME"""
_BASH_ENDED = '[ -z "${_polyrepl_failed-}" ]'


def _bash(env: Mapping[str, str]) -> Preludes:
    before = [_BASH_OFF, "unset _polyrepl_failed"]
    after = [_BASH_OFF]
    for name, value in env.items():
        before += [_BASH_KEEP.replace("NAME", name), *_bash_value(value), _BASH_SET.replace("NAME", name)]
        after.append(_BASH_PUT_BACK.replace("NAME", name))
    return Preludes("\n".join([*before, _BASH_ON, _BASH_ENDED]), "\n".join([*after, _BASH_ON, "true"]))


def _bash_value(value: str) -> list[str]:
    texts = [value[start : start + _BASH_CHUNK] for start in range(0, len(value), _BASH_CHUNK)]
    return ["_polyrepl_new=", *(f"_polyrepl_new+=$'{_bash_text(text)}'" for text in texts)]


def _bash_text(text: str) -> str:
    """For between $' and ': letters, digits and a few others as they are, all other bytes in octal."""
    plain = "_-./:=,@% "
    return "".join(
        character if character.isascii() and (character.isalnum() or character in plain) else _octal(character)
        for character in text
    )


def _octal(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogatepass"))


# Old values wait in properties of our own. Blocks leave no names behind.
_JAVA_SET = """\
if (System.getProperty("polyrepl.set." + name) == null && System.getProperty(name) != null) \
System.setProperty("polyrepl.old." + name, System.getProperty(name));
System.setProperty("polyrepl.set." + name, value);
System.setProperty(name, value);"""
_JAVA_PUT_BACK = """\
String old = System.getProperty("polyrepl.old." + name);
if (System.getProperty("polyrepl.set." + name) != null && value.equals(System.getProperty(name))) \
{ if (old == null) System.clearProperty(name); else System.setProperty(name, old); }
System.clearProperty("polyrepl.set." + name);
System.clearProperty("polyrepl.old." + name);"""


def _java(env: Mapping[str, str]) -> Preludes:
    pairs = [f"String name = {_java_text(name)}, value = {_java_text(value)};" for name, value in env.items()]
    before, after = ("\n".join(f"{{\n{pair}\n{code}\n}}" for pair in pairs) for code in (_JAVA_SET, _JAVA_PUT_BACK))
    return Preludes(before, after)


def _java_text(value: str) -> str:
    """Units of UTF-16 are escaped before Java reads a literal: what it could end is written in octal."""
    units = value.encode("utf-16-be", "surrogatepass")
    return '"' + "".join(_java_unit(high << 8 | low) for high, low in zip(units[::2], units[1::2], strict=True)) + '"'


def _java_unit(unit: int) -> str:
    if chr(unit) in '"\\' or unit < 0x20:
        return f"\\{unit:03o}"
    return chr(unit) if unit <= 0x7E else f"\\u{unit:04x}"


_MAKERS: dict[str, Callable[[Mapping[str, str]], Preludes]] = {
    "python": _python,
    "bash": _bash,
    "r": _r,
    "javascript": _javascript,
    "typescript": _javascript,
    "java": _java,
}
LANGUAGES = tuple(_MAKERS)


def preludes_of(language: str, env: Mapping[str, str]) -> Preludes | None:
    """The cells for a kernel of this language, as its kernelspec names it; None where it cannot be done."""
    make = _MAKERS.get(language.lower())
    return None if make is None else make(env)
