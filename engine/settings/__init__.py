"""Settings: each is defined once here and can be given as a flag, a `POLYREPL_*` variable or a key of a TOML file."""

from engine.settings.fields import MIB
from engine.settings.isolation import TIERS, Network, Tier, TierName
from engine.settings.settings import Settings, load_settings
from engine.settings.token_file import is_readable_by_others

__all__ = ["MIB", "TIERS", "Network", "Settings", "Tier", "TierName", "is_readable_by_others", "load_settings"]
