"""Settings: each is defined once here and can be given as a flag, a `POLYREPL_*` variable or a key of a TOML file."""

from engine.settings.fields import MIB
from engine.settings.settings import Settings, load_settings

__all__ = ["MIB", "Settings", "load_settings"]
