"""Settings of kernels on this machine, checked against what is there."""

from __future__ import annotations

import os

from engine.errors import FieldError
from engine.kernels.kernelspecs import KernelSpecs
from engine.settings import Settings
from engine.validation import IS_ENV_NAME


def wrong_settings(settings: Settings, kernelspecs: KernelSpecs) -> list[FieldError]:
    """The settings of kernels that name something that is not there."""
    given = settings.model_fields_set
    wrong = []
    for field, others in (
        ("kernelspecs", {"*"}),
        ("tcp_kernelspecs", set(Settings.model_fields["tcp_kernelspecs"].default)),
    ):
        if field in given:
            installed = kernelspecs.installed()
            wrong += [
                FieldError(field, f"no kernelspec {name!r} is installed; installed: {', '.join(installed)}")
                for name in getattr(settings, field)
                if name not in others and name not in installed
            ]
    wrong += [
        FieldError("preload", f"{name!r} is no name of a module; allowed: names such as numpy or os.path")
        for name in settings.preload
        if not all(part.isidentifier() for part in name.split("."))
    ]
    wrong += [
        FieldError("kernel_env", f"{name!r} is no name of a variable; allowed: letters, digits and _")
        for name in settings.kernel_env
        if not IS_ENV_NAME.fullmatch(name)
    ]
    wrong += [
        FieldError(field, f"{path!r} is not there; allowed: what is on this machine")
        for field, paths in (
            ("read_only_mounts", [source for source, _ in settings.mounts]),
            ("devices", [str(device) for device in settings.devices]),
        )
        for path in paths
        if not os.path.exists(path)
    ]
    return wrong
