"""The environment variables that Jupyter's Kernel Gateway is configured with, and the settings that they are here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = {
    "KG_IP": "host",
    "KG_PORT": "port",
    "KG_AUTH_TOKEN": "token",
    "KG_ALLOW_ORIGIN": "allowed_origins",
    "KG_LIST_KERNELS": "list_kernels",
    "KG_MAX_KERNELS": "max_kernels",
    "KG_DEFAULT_KERNEL_NAME": "default_kernel_name",
    "KG_FORCE_KERNEL_NAME": "force_kernel_name",
    "KG_ENV_WHITELIST": "env_whitelist",
    "KG_ENV_PROCESS_WHITELIST": "kernel_env_allow",
    "KG_SEED_URI": "seed_notebook",
    "KG_ALLOW_NOTEBOOK_DOWNLOAD": "allow_notebook_download",
    "KG_STATIC_PATH": "static_path",
    "KG_WS_PING_INTERVAL_SECS": "websocket_ping_interval",
    "KG_BASE_URL": "base_url",
    "KG_PORT_RETRIES": "port_retries",
    "KG_TRUST_XHEADERS": "trust_proxy_headers",
    "KG_CERTFILE": "tls_cert",
    "KG_KEYFILE": "tls_key",
    "KG_CLIENT_CA": "tls_client_ca",
}
_NOTEBOOK_HTTP = ("kernel_gateway.notebook_http", "notebook-http")
# Those whose value it sends, as it is, in a header.
_HEADERS = {
    "KG_ALLOW_CREDENTIALS": "Access-Control-Allow-Credentials",
    "KG_ALLOW_HEADERS": "Access-Control-Allow-Headers",
    "KG_ALLOW_METHODS": "Access-Control-Allow-Methods",
    "KG_ALLOW_ORIGIN": "Access-Control-Allow-Origin",
    "KG_EXPOSE_HEADERS": "Access-Control-Expose-Headers",
    "KG_MAX_AGE": "Access-Control-Max-Age",
}


def settings_of(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings by name. An empty variable counts as not set, as there."""
    found: dict[str, Any] = {name: environment[key] for key, name in _NAMES.items() if environment.get(key)}
    prespawned = environment.get("KG_PRESPAWN_COUNT", "")
    if environment.get("KG_API") in _NOTEBOOK_HTTP:
        found |= {"notebook": found.pop("seed_notebook", "")}
        if prespawned.isdigit():
            found |= {"notebook_kernels": max(int(prespawned), 1)}
    elif prespawned.isdigit():
        found |= {"pool_min": int(prespawned), "pool_max": max(int(prespawned), 4)}
    headers = {header: environment[key] for key, header in _HEADERS.items() if environment.get(key)}
    return {**found, "gateway_headers": headers} if headers else found
