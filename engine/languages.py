"""Languages: which name in a request means which language, which kernelspec, and which backend runs it."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.kernels import Backend


@dataclass(frozen=True, slots=True)
class Language:
    """A language of ours. `name` is canonical: contexts are keyed by it, whatever alias a request used.

    `kernel_name`: its kernel as users see it and as its backend knows it. `placed_on`: that backend."""

    name: str
    kernel_name: str
    aliases: tuple[str, ...] = ()
    placed_on: Backend | None = field(default=None, repr=False, compare=False)

    @property
    def backend(self) -> Backend:
        """Where its kernels run. Raises LookupError for a language that no engine has placed."""
        if self.placed_on is None:
            msg = f"the language {self.name} runs nowhere"
            raise LookupError(msg)
        return self.placed_on


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

    `python_kernel`: the kernelspec that python runs on, if it is not our own. `local` runs all languages but those of `others`;
    `only`: names of the languages that `local` may run, None for all."""

    def __init__(
        self,
        kernelspecs: Sequence[str] = (),
        *,
        python_kernel: str = BUILTIN[0].kernel_name,
        local: Backend | None = None,
        others: Sequence[Backend] = (),
        only: Set[str] | None = None,
    ) -> None:
        taken = {name for language in BUILTIN for name in (language.name, *language.aliases, language.kernel_name)}
        foreign = [Language(name, name) for name in kernelspecs if name not in taken]
        python = replace(BUILTIN[0], kernel_name=python_kernel)
        known = [replace(language, placed_on=local) for language in (python, *BUILTIN[1:], *foreign)]
        self.all: tuple[Language, ...] = tuple(_placed(known, others, only))
        self._by_name = {name: language for language in self.all for name in (language.name, *language.aliases)}

    def names(self) -> list[str]:
        """Every name and alias."""
        return list(self._by_name)

    def find(self, name: str | None) -> Language | None:
        """The language that a request means, the default one for None; None if no language has that name."""
        return self._by_name.get(DEFAULT if name is None else name)


def _placed(known: Sequence[Language], others: Sequence[Backend], only: Set[str] | None) -> list[Language]:
    """The languages with those that run elsewhere in their places, and without those that run nowhere."""
    left = {name: (kernel, backend) for backend in others for name, kernel in backend.kernel_names.items()}
    placed = []
    for language in known:
        names = {language.name, *language.aliases}
        given = next((name for name in left if name in names), None)
        if given is not None:
            kernel_name, backend = left.pop(given)
            placed.append(replace(language, kernel_name=kernel_name, placed_on=backend))
        elif only is None or names & only:
            placed.append(language)
    return [*placed, *(Language(name, kernel, placed_on=backend) for name, (kernel, backend) in left.items())]
