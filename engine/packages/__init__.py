"""Packages: which names are allowed, how pip and npm install them into a context, and hints for errors that they would help with."""

from engine.packages.configuration import configuration_of
from engine.packages.hints import NATIVE, NO_INPUT, Hints, Remedies, traceback_with_hint
from engine.packages.installation import Installation
from engine.packages.installers import installer_of
from engine.packages.names import MAX_PACKAGES, check_packages
from engine.packages.variables import tool_variables

__all__ = [
    "MAX_PACKAGES",
    "NATIVE",
    "NO_INPUT",
    "Hints",
    "Installation",
    "Remedies",
    "check_packages",
    "configuration_of",
    "installer_of",
    "tool_variables",
    "traceback_with_hint",
]
