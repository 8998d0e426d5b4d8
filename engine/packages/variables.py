"""The variables of package tools: those of kernels, what the server's say of registries, and which of them are secret."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.kernels import Tool, kernel_env
from engine.settings import Settings
from engine.validation import HIDDEN_VARIABLE

# Where the tools find packages, and how they get there; nothing that would install elsewhere.
_PIP_VARIABLES = (
    "INDEX_URL", "EXTRA_INDEX_URL", "NO_INDEX", "FIND_LINKS", "TRUSTED_HOST", "CERT", "CLIENT_CERT", "PROXY", "CONFIG_FILE", "RETRIES",
    "DEFAULT_TIMEOUT", "CACHE_DIR", "CONSTRAINT", "ONLY_BINARY", "NO_BINARY", "PREFER_BINARY", "KEYRING_PROVIDER",
)  # fmt: skip
_NPM_VARIABLES = (
    "registry", "@*", "//*", "userconfig", "globalconfig", "ca", "cafile", "cert", "key", "strict_ssl", "proxy", "https_proxy",
    "noproxy", "cache", "fetch_*", "maxsockets",
)  # fmt: skip
_NETWORK = (
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "ssl_cert_*",
    "requests_ca_bundle",
    "node_extra_ca_certs",
)
_VARIABLES: dict[Tool, tuple[str, ...]] = {
    "pip": (*_NETWORK, *(f"pip_{name.lower()}" for name in _PIP_VARIABLES)),
    "npm": (*_NETWORK, *(f"npm_config_{name}" for name in _NPM_VARIABLES), "npm_token", "node_auth_token"),
}
_SECRET_NAME = re.compile(r"token|_auth|passw|secret|^npm_config_(?:key|cert)$|^npm_config_//", re.IGNORECASE)
CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+(?=@)")
"""Those in a URL."""


@dataclass(frozen=True, slots=True)
class Variables:
    """`plain` are in the environment of every command. `secret` ones are given to the tool alone, and not in its environment."""

    plain: dict[str, str]
    secret: dict[str, str]


def tool_variables(
    tool: Tool, settings: Settings, *, tmp_dir: Path, cache_dir: Path, server_env: Mapping[str, str]
) -> Variables:
    """The variables of a tool, from the settings and the server's environment; nothing of a context."""
    env = kernel_env(settings, spec_env={}, tmp_dir=tmp_dir, state_dir=cache_dir, server_env=server_env)
    env.pop(HIDDEN_VARIABLE, None)  # that of kernels
    caches = {"PIP_CACHE_DIR": str(cache_dir / "pip"), "npm_config_cache": str(cache_dir / "npm")}
    known = {name.lower() for name in server_env}
    found = {
        **{name: place for name, place in caches.items() if name.lower() not in known},
        **{
            name: value
            for name, value in server_env.items()
            if any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in _VARIABLES[tool])
        },
    }
    secret = {name: value for name, value in found.items() if _SECRET_NAME.search(name) or CREDENTIALS.search(value)}
    plain = {name: value for name, value in found.items() if name not in secret}
    return Variables({**plain, **env}, {name: value for name, value in secret.items() if name not in env})
