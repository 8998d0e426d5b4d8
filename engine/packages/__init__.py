"""Packages: which names are allowed, and how pip and npm install them into a context."""

from engine.packages.configuration import configuration_of
from engine.packages.installation import Installation
from engine.packages.installers import installer_of
from engine.packages.names import MAX_PACKAGES, check_packages, hint_of
from engine.packages.network import network_hint
from engine.packages.variables import tool_variables

__all__ = [
    "MAX_PACKAGES",
    "Installation",
    "check_packages",
    "configuration_of",
    "hint_of",
    "installer_of",
    "network_hint",
    "tool_variables",
]
