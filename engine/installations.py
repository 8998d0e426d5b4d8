"""Installations: those that run, at most one in a context and a few in the server."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence

from engine.capabilities import Capabilities
from engine.contexts import Context, Contexts
from engine.errors import Forbidden, NotSupported, TooManyInstallations
from engine.kernels import Tool
from engine.kernels.provisioners import Confinement
from engine.languages import Language
from engine.log import get_logger
from engine.packages import (
    Installation,
    check_packages,
    configuration_of,
    installer_of,
    tool_variables,
)
from engine.settings import Settings, Tier
from engine.workspaces import RunDir

_NOT_SUPPORTED = "packages can be installed for our own Python and TypeScript kernels"


class Installations:
    """Starts and bounds them."""

    def __init__(self, settings: Settings, contexts: Contexts, run_dir: RunDir, capabilities: Capabilities) -> None:
        self._settings = settings
        self._contexts = contexts
        self._run_dir = run_dir
        self._capabilities = capabilities
        self._server_env = dict(os.environ)
        # Not that of kernels, nor that of other servers.
        self._cache = run_dir.path / f"downloads-{secrets.token_hex(8)}"
        self._running: set[Installation] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(
        self,
        context_id: str,
        packages: Sequence[str],
        *,
        language: str | None = None,
        timeout: float | None = None,
    ) -> Installation:
        """Begin to install packages into a context, of several languages into the oldest that can have some. Seconds; the setting
        package_timeout is the default and the most.

        Raises Forbidden, ContextNotFound, NotSupported, InvalidRequest or TooManyInstallations."""
        if not self._settings.packages:
            raise Forbidden("Packages cannot be installed on this server: its setting packages is false")
        contexts = self._contexts.get(context_id, language)
        context = next(
            (each for each in contexts if self._capabilities.package_tool(each.language) is not None), contexts[0]
        )
        tool = self._capabilities.package_tool(context.language)
        if tool is None:
            raise NotSupported("Installing packages", context.language.name, _NOT_SUPPORTED)
        wanted = check_packages(packages, tool, any_source=self._settings.package_sources == "any")
        # Contexts of one id share their directories, so this counts for all of them.
        if any(each.workspace is context.workspace for each in self._running):
            raise TooManyInstallations(1, context_id)
        if len(self._running) >= self._settings.max_installations:
            raise TooManyInstallations(self._settings.max_installations)
        installation = self._make(context, tool, wanted, timeout)
        self._running.add(installation)
        context.installation = installation
        installation.start(self)
        return installation

    def tool_for(self, language: Language) -> Tool | None:
        """What installs packages for a language; None if nothing may."""
        return self._capabilities.package_tool(language) if self._settings.packages else None

    def _make(self, context: Context, tool: Tool, packages: list[str], timeout: float | None) -> Installation:
        settings = self._settings
        most = settings.package_timeout
        staging = self._run_dir.path / f"install-{secrets.token_hex(8)}"
        isolation = context.language.backend.isolation_of(context.workspace)
        # An isolated tool keeps nothing for the next one, which is another's.
        is_isolated = isolation is not None and isolation.tier is not Tier.NONE
        cache = staging / "tmp" / "downloads" if is_isolated else self._cache
        variables = tool_variables(tool, settings, tmp_dir=staging, cache_dir=cache, server_env=self._server_env)
        configuration = (
            configuration_of(tool, {**variables.plain, **variables.secret}, self._server_env) if is_isolated else None
        )
        return Installation(
            installer_of(tool, settings, variables, configuration),
            packages,
            tool=tool,
            target=context,
            variables=variables,
            run_dir=self._run_dir,
            staging=staging,
            confinement=Confinement.of(settings.kernel_rlimits),
            configuration=configuration,
            timeout=most if timeout is None else min(timeout, most),
        )

    def note_finished(self, installation: Installation) -> None:
        """Note that an installation has its result."""
        self._running.discard(installation)
        installation.target.end_installation(installation)
        result = installation.result
        assert result is not None
        get_logger().info(
            "installation_finished",
            context=installation.context_id,
            tool=installation.tool,
            status=result.status,
            packages=len(result.installed),
            seconds=round(result.duration_ms / 1000, 3),
        )
