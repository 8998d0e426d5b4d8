"""What this machine can do with each language: whether its kernel can run here, and what of our contract it honours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from engine.contexts import Context
from engine.errors import FieldError, InvalidRequest, NotSupported, UnknownLanguage
from engine.kernels import Backend, Tool, honours, package_tool, preludes_of
from engine.languages import BUILTIN, Language, Languages
from engine.models import LanguageInfo
from engine.options import ExecuteOptions, Isolation
from engine.settings import Settings
from engine.workspaces import Anchor, RunDir

_NO_BRANCHES = "a process of its kernel cannot be copied; one of our Python kernel can"


class Capabilities:
    """The languages of the table. What was once found usable is not looked at again."""

    def __init__(self, languages: Languages, *, max_output_bytes: int) -> None:
        self._languages = languages
        self._max_output_bytes = max_output_bytes
        self._usable: set[str] = set()

    def find(self, name: str | None) -> Language:
        """The language that a name means, the default one for None. Raises UnknownLanguage."""
        found = self._languages.find(name)
        if found is None:
            raise UnknownLanguage(name or "", allowed=self.names())
        return found

    def name_of(self, name: str | None) -> str | None:
        """The name that contexts of a language are known by; None, for all languages, stays None. Raises UnknownLanguage."""
        return None if name is None else self.find(name).name

    def names(self) -> list[str]:
        """Every name that a request may use on this machine."""
        names: list[str] = []
        for language in self._languages.all:
            if language.backend.problem(language) is None:
                names += [language.name, *language.aliases]
        return names

    def infos(self) -> list[LanguageInfo]:
        """All languages, available or not. Starts interpreters to ask their versions: call it in a thread."""
        infos = []
        for language in self._languages.all:
            info = LanguageInfo(
                name=language.name, aliases=list(language.aliases), kernel=language.kernel_name, available=True
            )
            problem = language.backend.problem(language)
            if problem is not None:
                info.available, info.reason = False, problem
            else:
                info.display_name = language.backend.spec(language).display_name
                version = language.backend.version(language)
                if version is not None:
                    info.version = version
            infos.append(info)
        return infos

    async def problem(self, language: Language) -> str | None:
        """Why this machine cannot run the language; None where it can."""
        if language.name in self._usable:
            return None
        problem = await asyncio.to_thread(language.backend.problem, language)
        if problem is None:
            self._usable.add(language.name)
        return problem

    async def check_usable(self, language: Language) -> None:
        """Raises UnknownLanguage with the reason where this machine cannot run the language."""
        problem = await self.problem(language)
        if problem is not None:
            allowed = await asyncio.to_thread(self.names)
            raise UnknownLanguage(language.name, allowed=allowed, reason=problem)

    def wrong_settings(self, settings: Settings) -> list[FieldError]:
        """The settings that name a language that there is not: the field, the name and what is allowed."""
        # Another backend offers fewer languages. What is only not offered is no mistake.
        known = [*self._languages.names(), *(name for each in BUILTIN for name in (each.name, *each.aliases))]
        named = {"pool_languages": settings.pool_languages, "kernelbox_kernel": [settings.kernelbox_kernel]}
        return [
            FieldError(field, f"{name!r} is not a known language; allowed: {', '.join(dict.fromkeys(known))}")
            for field, names in named.items()
            for name in names
            if name not in known
        ]

    def check_settings(self, settings: Settings, backends: Iterable[Backend]) -> None:
        """Raises InvalidRequest that names each setting for which there is nothing. Blocks."""
        wrong = [*self.wrong_settings(settings), *(each for backend in backends for each in backend.wrong_settings())]
        # Looked at last: it makes the directory.
        if not wrong and (problem := RunDir.problem(settings.run_dir)) is not None:
            wrong = [FieldError("run_dir", problem)]
        if wrong:
            raise InvalidRequest(*wrong, message="; ".join(f"{each.field}: {each.error}" for each in wrong))

    def isolation(
        self,
        contexts: Iterable[Context],
        context_id: str | None,
        language: Language,
        tier: str | None,
        network: str | None,
    ) -> Isolation | None:
        """What a request says of the isolation of its context; None: nothing, or as it is by default.

        Raises InvalidRequest that names field, value and what is allowed, also if the context is there and has another."""
        wanted = language.backend.resolve_isolation(tier, network)
        for context in contexts if tier is not None or network is not None else ():
            has = context.language.backend.isolation_of(context.workspace)
            if context.id != context_id or has is None:
                continue
            for field, asked, found in (("isolation", tier, has.tier.label), ("network", network, has.network)):
                if asked not in (None, found):
                    error = f"{asked!r} is asked for, and context {context_id!r} has {found!r}"
                    raise InvalidRequest(FieldError(field, error))
        return wanted

    def can_branch(self, language: Language) -> bool:
        return honours(language.backend.spec(language), "fork")

    def check_branching(self, language: Language) -> None:
        """Raises NotSupported where a process of the kernel cannot be copied."""
        if not self.can_branch(language):
            raise NotSupported("Branching", language.name, _NO_BRANCHES)

    def package_tool(self, language: Language) -> Tool | None:
        return package_tool(language.backend.spec(language))

    def tells_variables(self, language: Language) -> bool:
        return honours(language.backend.spec(language), "variables")

    def check_variables(self, language: Language) -> None:
        """Raises NotSupported where the kernel cannot tell them."""
        if not self.tells_variables(language):
            raise NotSupported("Listing variables", language.name, "only our Python and TypeScript kernels tell them")

    def check_timeout(self, timeout: float | None, language: Language, *, most: float) -> float:
        """Seconds that an execution may run; without `timeout`, the default of where the language runs.

        Raises InvalidRequest for what is not above 0 and at most `most`, the setting max_timeout."""
        if timeout is None:
            return language.backend.default_timeout
        if not 0 < timeout <= most:
            raise InvalidRequest(FieldError("timeout_ms", f"must be between 1 and {round(most * 1000)}"))
        return timeout

    def check_cwd(self, language: Language, named: Anchor | None, run_dir: RunDir) -> None:
        """Raises InvalidRequest for a working directory that the place decides where the language runs."""
        if named is not None and not language.backend.takes_cwd:
            raise InvalidRequest(
                FieldError("cwd", f"{language.name!r} runs {language.backend.where}, which decides that")
            )
        if named is not None and language.backend.isolator is not None:
            language.backend.isolator.check_cwd(named.path, run_dir)

    def check_options(self, language: Language, options: ExecuteOptions) -> None:
        """Raises InvalidRequest or NotSupported for an option that the kernel of this language does not support."""
        if (options.max_output_bytes or 0) > self._max_output_bytes:
            raise InvalidRequest(FieldError("max_output_bytes", f"must be at most {self._max_output_bytes}"))
        if options.env_vars:
            self.check_env_vars(language)
        if options.variables:
            self.check_variables(language)
        if options.checkpoint or options.rolls_back:
            self.check_branching(language)
        if options.files and not language.backend.watches_files:
            raise NotSupported("files", language.name, f"its kernel runs {language.backend.where}")

    def check_env_vars(self, language: Language) -> None:
        """Raises InvalidRequest where the kernel neither reads them nor has a prelude that sets them."""
        spec = language.backend.spec(language)
        # Of a remote kernelspec the language is known once a kernel of it has been started.
        if not honours(spec, "env_vars") and spec.language and preludes_of(spec.language, {}) is None:
            raise InvalidRequest(FieldError("env_vars", f"not supported by the kernel of {language.name!r}"))
