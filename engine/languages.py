"""Languages (layer 1): which name in a request means which language and which kernelspec."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Language:
    """A language of ours. `name` is canonical: contexts are keyed by it, whatever alias a request used."""

    name: str
    kernel_name: str
    aliases: tuple[str, ...] = ()


BUILTIN: tuple[Language, ...] = (
    Language("python", "polyrepl-python", ("py", "python3")),
    Language("typescript", "polyrepl-typescript", ("ts", "javascript", "js", "node")),
    Language("ipykernel", "ipykernel"),
    Language("bun", "polyrepl-bun"),
    Language("deno", "polyrepl-deno"),
)
DEFAULT = "python"


class Languages:
    """The table of names. `kernelspecs` are other installed kernelspecs, offered under their own names.

    `python_kernel`: the kernelspec that python runs on, where it is not our own."""

    def __init__(self, kernelspecs: tuple[str, ...] = (), *, python_kernel: str = BUILTIN[0].kernel_name) -> None:
        taken = {name for language in BUILTIN for name in (language.name, *language.aliases, language.kernel_name)}
        foreign = [Language(name, name) for name in kernelspecs if name not in taken]
        python = replace(BUILTIN[0], kernel_name=python_kernel)
        self.all: tuple[Language, ...] = (python, *BUILTIN[1:], *foreign)
        self._by_name = {name: language for language in self.all for name in (language.name, *language.aliases)}

    def names(self) -> list[str]:
        """Every name and alias."""
        return list(self._by_name)

    def find(self, name: str | None) -> Language | None:
        """The language that a request means, the default one for None; None where no language has that name."""
        return self._by_name.get(DEFAULT if name is None else name)
