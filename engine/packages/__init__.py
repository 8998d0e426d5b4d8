"""Packages: which names are allowed, and how pip and npm install them into a context."""

from engine.packages.installation import Installation
from engine.packages.names import MAX_PACKAGES, check_packages, hint_of
from engine.packages.tools import installer_env, installer_of

__all__ = ["MAX_PACKAGES", "Installation", "check_packages", "hint_of", "installer_env", "installer_of"]
