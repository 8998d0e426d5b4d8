"""Make a layer: an environment that gets the packages of one installation, and sees all that its context has already.

Run by the interpreter of the kernels: package_layer.py DIRECTORY [OLDER LAYER, newest first]... Its answer is one line of JSON:
`pip` (the command, or null where there is none), `site` (where the packages go), and `interpreter` and `layers` (names and versions
of what is installed in either)."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
import venv
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path


def main(directory: str, *older: str) -> None:
    """Make the layer and describe it."""
    venv.EnvBuilder(symlinks=True).create(directory)
    site = site_of(directory)
    layers = [site_of(layer) for layer in older]
    interpreter = interpreter_sites()
    # To pip, what these lead to is installed, satisfies requirements, and is outside: it never changes anything there.
    Path(site, "_polyrepl_layers.pth").write_text("".join(f"{place}\n" for place in (*layers, *interpreter)))
    python = os.path.join(directory, "bin", "python")
    pip = pip_arguments()
    answer = {
        "pip": None if pip is None else [python, "-P", *pip],
        "site": site,
        "interpreter": versions(interpreter),
        "layers": versions(layers),
    }
    print(json.dumps(answer))


def site_of(layer: str) -> str:
    return sysconfig.get_path("purelib", "posix_prefix", {"base": layer, "platbase": layer})


def interpreter_sites() -> list[str]:
    """Where this interpreter finds what is not its standard library."""
    standard = sysconfig.get_path("stdlib")
    return [
        entry
        for entry in sys.path
        if os.path.isdir(entry)
        and (os.path.basename(entry) in ("site-packages", "dist-packages") or not entry.startswith(standard))
    ]


def pip_arguments() -> list[str] | None:
    """The interpreter's own pip, or else the one that Python brings to install it from, run where it lies."""
    if find_spec("pip") is not None:
        return ["-m", "pip"]
    ensurepip = find_spec("ensurepip")
    if ensurepip is None or ensurepip.origin is None:
        return None
    wheels = sorted(Path(ensurepip.origin).parent.glob("_bundled/pip-*.whl"))
    return [str(wheels[-1] / "pip")] if wheels else None


def versions(places: list[str]) -> dict[str, str]:
    """By name; of several that have the name, the one that is found first."""
    found: dict[str, str] = {}
    for distribution in distributions(path=places):
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(name, distribution.version)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
