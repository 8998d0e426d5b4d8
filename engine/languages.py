"""Languages: which name in a request means which language and which kernelspec."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Language:
    """A language of ours. `name` is canonical: contexts are keyed by it, whatever alias a request used."""

    name: str
    kernel_name: str
    aliases: tuple[str, ...] = ()

    @property
    def is_remote(self) -> bool:
        """Whether its kernels run on the remote Jupyter."""
        return self.kernel_name.startswith(REMOTE)


BUILTIN: tuple[Language, ...] = (
    Language("python", "polyrepl-python", ("py", "python3")),
    Language("typescript", "polyrepl-typescript", ("ts", "javascript", "js", "node")),
    Language("ipykernel", "ipykernel"),
    Language("bun", "polyrepl-bun"),
    Language("deno", "polyrepl-deno"),
)
DEFAULT = "python"

REMOTE = "jupyter:"
"""What a kernel name begins with that is of the remote Jupyter; no name of a kernelspec can hold a colon."""


class Languages:
    """The table of names. `kernelspecs` are other installed kernelspecs, offered under their own names.

    `python_kernel`: the kernelspec that python runs on, where it is not our own. `remote`: languages that run on the remote
    Jupyter, and its kernelspecs; `local`: names of those that run here, None for all others."""

    def __init__(
        self,
        kernelspecs: tuple[str, ...] = (),
        *,
        python_kernel: str = BUILTIN[0].kernel_name,
        remote: Mapping[str, str] | None = None,
        local: Set[str] | None = None,
    ) -> None:
        taken = {name for language in BUILTIN for name in (language.name, *language.aliases, language.kernel_name)}
        foreign = [Language(name, name) for name in kernelspecs if name not in taken]
        python = replace(BUILTIN[0], kernel_name=python_kernel)
        here = (python, *BUILTIN[1:], *foreign)
        self.all: tuple[Language, ...] = _placed(here, remote or {}, local)
        self._by_name = {name: language for language in self.all for name in (language.name, *language.aliases)}

    def names(self) -> list[str]:
        """Every name and alias."""
        return list(self._by_name)

    def find(self, name: str | None) -> Language | None:
        """The language that a request means, the default one for None; None where no language has that name."""
        return self._by_name.get(DEFAULT if name is None else name)


def _placed(here: tuple[Language, ...], remote: Mapping[str, str], local: Set[str] | None) -> tuple[Language, ...]:
    """The languages with those that run elsewhere in their places, and without those that run nowhere."""
    left = dict(remote)
    placed = []
    for language in here:
        names = {language.name, *language.aliases}
        given = next((name for name in left if name in names), None)
        if given is not None:
            placed.append(replace(language, kernel_name=REMOTE + left.pop(given)))
        elif local is None or names & local:
            placed.append(language)
    return (*placed, *(Language(name, REMOTE + kernel) for name, kernel in left.items()))
