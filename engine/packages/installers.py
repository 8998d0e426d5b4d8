"""Installers: which one puts packages into a context."""

from __future__ import annotations

from engine.kernels import Tool
from engine.packages.npm import NpmInstaller
from engine.packages.pip import PipInstaller
from engine.packages.tools import Installer
from engine.packages.variables import Variables
from engine.settings import Settings


def installer_of(tool: Tool, settings: Settings, variables: Variables) -> Installer:
    """pip builds packages without a wheel only where it has no credentials: a build sees all that pip does."""
    if tool == "npm":
        return NpmInstaller(settings)
    return PipInstaller(settings, builds=settings.package_scripts or not variables.secret)
