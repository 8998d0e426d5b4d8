"""Installers: which one puts packages into a context."""

from __future__ import annotations

from engine.kernels import Tool
from engine.packages.configuration import Configuration
from engine.packages.npm import NpmInstaller
from engine.packages.pip import PipInstaller
from engine.packages.tools import Installer
from engine.packages.variables import Variables
from engine.settings import Settings


def installer_of(
    tool: Tool, settings: Settings, variables: Variables, configuration: Configuration | None
) -> Installer:
    """pip builds packages without a wheel only where it has no credentials: a build sees all that pip does. An isolated build has the
    machine's network, so a server without a token would be open to it, with all contexts."""
    if tool == "npm":
        return NpmInstaller(settings)
    has_secrets = bool(variables.secret) or (configuration is not None and configuration.has_secrets)
    is_open = configuration is not None and settings.secret is None
    return PipInstaller(settings, builds=settings.package_scripts or not (has_secrets or is_open))
