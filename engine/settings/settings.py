"""All settings in one value, and where they are read from."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from engine.settings.contexts import Contexts, Outputs
from engine.settings.dialects import Gateway, KernelBox, Mcp
from engine.settings.isolation import Isolation
from engine.settings.kernels import Kernels, Packages, Remote
from engine.settings.limits import ContextLimits
from engine.settings.serving import Logging, Serving


# The last base comes first in the list of settings.
class Settings(
    Logging,
    Outputs,
    ContextLimits,
    Contexts,
    Isolation,
    Mcp,
    KernelBox,
    Gateway,
    Packages,
    Remote,
    Kernels,
    Serving,
    BaseSettings,
):
    """What a server or an engine is run with. Seconds and bytes throughout; a list is also read from "a,b,c"."""

    model_config = SettingsConfigDict(env_prefix="POLYREPL_", extra="forbid", frozen=True)
    _aliases: ClassVar[Mapping[str, Any]] = {}  # settings from the variables of other programs

    if TYPE_CHECKING:
        # Without pydantic's plugin, as users have it, a type checker sees no default in `Field(default, ...)`.
        def __init__(self, **values: Any) -> None: ...

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        """What one setting says of another. A default gives way to what is set."""
        contradictions = [
            (
                "notebook_kernels",
                "max_contexts",
                self.notebook is not None and self.notebook_kernels > self.max_contexts,
            ),
            ("jupyter_timeout", "max_timeout", (self.jupyter_timeout or 0) > self.max_timeout),
            ("default_timeout", "max_timeout", self.default_timeout > self.max_timeout),
            ("pool_min", "max_kernels", self.pool_max > 0 and self.pool_min > _or_no_limit(self.max_kernels)),
            ("pool_min", "pool_max", self.pool_min > self.pool_max > 0),
        ]
        for larger, limit, is_there in contradictions:
            if is_there and larger in self.model_fields_set:
                name = "pool_min (KG_PRESPAWN_COUNT)" if limit == "max_kernels" else larger
                msg = f"{name} is larger than {limit}"
                raise ValueError(msg)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of precedence: flags, environment, other programs' variables, TOML file."""
        aliases = InitSettingsSource(settings_cls, dict(cls._aliases))
        return init_settings, env_settings, aliases, TomlConfigSettingsSource(settings_cls)


def _or_no_limit(limit: int | None) -> float:
    return math.inf if limit is None else limit


def load_settings(config: Path | None = None, *, aliases: Mapping[str, Any] | None = None, **flags: Any) -> Settings:
    """Read the settings. Order of precedence: `flags`, POLYREPL_* variables, `aliases`, the TOML file `config`.

    `aliases`: settings from the variables of other programs, as `engine.api.dialects` reads them.
    Raises pydantic.ValidationError that names each wrong setting, OSError for an unreadable file, or ValueError for one that is no TOML."""
    if config is not None and not config.is_file():
        msg = f"{config} is a directory, not a settings file" if config.is_dir() else f"no such settings file: {config}"
        raise FileNotFoundError(msg)

    class LoadedSettings(Settings):
        model_config = SettingsConfigDict(toml_file=config)
        _aliases: ClassVar[Mapping[str, Any]] = aliases or {}

    try:
        return LoadedSettings(**flags)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{config} is not a TOML file: {error}"
        raise ValueError(msg) from None
