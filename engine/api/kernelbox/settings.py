"""The environment variables that KernelBox is configured with, and the settings that they are here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = {
    "KERNELBOX_EXECUTION_TIMEOUT": "kernelbox_timeout",
    "KERNELBOX_OUTPUT_CHAR_LIMIT": "kernelbox_output_chars",
    "KERNELBOX_MAX_RETRIES": "kernelbox_attempts",
    "KERNELBOX_STARTUP_CODE": "kernelbox_startup_code",
    "KERNELBOX_KERNEL_TYPE": "kernelbox_kernel",
    "KERNELBOX_KERNEL_IDLE_TIMEOUT": "context_idle_timeout",
}


def settings_of(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings by name. An empty variable counts as not set."""
    return {name: environment[key] for key, name in _NAMES.items() if environment.get(key)}
