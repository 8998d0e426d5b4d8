"""Settings: each is defined once here and can be given as a flag, a `POLYREPL_*` variable or a key of a TOML file."""

from engine.settings.fields import MIB
from engine.settings.isolation import TIERS, Network, Tier, TierName
from engine.settings.limits import LIMIT_NAMES, AskedLimits, LimitName, Limits, problems_of
from engine.settings.settings import Settings, load_settings
from engine.settings.token_file import is_readable_by_others

__all__ = [
    "LIMIT_NAMES",
    "MIB",
    "TIERS",
    "AskedLimits",
    "LimitName",
    "Limits",
    "Network",
    "Settings",
    "Tier",
    "TierName",
    "is_readable_by_others",
    "load_settings",
    "problems_of",
]
