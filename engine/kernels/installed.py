"""Our kernels in a user's own Jupyter: kernelspecs that start them with the interpreters that this program would use."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_core.paths import SYSTEM_JUPYTER_PATH, jupyter_data_dir

from engine.kernels.kernelspecs import KernelSpecs
from engine.languages import Language
from engine.settings import Settings

NAME = re.compile(r"[A-Za-z0-9_.-]+")


class KernelsError(Exception):
    """What was asked for is not done; the message says why, and what would help."""


@dataclass(frozen=True, slots=True)
class InstalledKernel:
    """A kernelspec of ours in somebody's Jupyter. `problem`: why it does not work any more."""

    name: str
    display_name: str
    directory: Path
    problem: str | None


def data_directory(*, user: bool = False, sys_prefix: bool = False, prefix: Path | None = None) -> Path:
    """The data directory of Jupyter that these choices mean: the user's own where none is made. Raises KernelsError."""
    if user + sys_prefix + (prefix is not None) > 1:
        raise KernelsError("--user, --sys-prefix and --prefix exclude each other")
    if prefix is not None or sys_prefix:
        return (Path(sys.prefix) if prefix is None else prefix.absolute()) / "share" / "jupyter"
    return Path(jupyter_data_dir())


def install(
    settings: Settings,
    language: Language,
    directory: Path,
    *,
    name: str | None = None,
    display_name: str | None = None,
    force: bool = False,
) -> Path:
    """Put the kernel of a language into a data directory of Jupyter; returns where its kernelspec is.

    A kernelspec of ours is replaced, anybody else's only with `force`. Raises KernelsError, or OSError."""
    name = name or language.kernel_name
    if not NAME.fullmatch(name):
        raise KernelsError(f"the name {name!r} is not one for a kernelspec; allowed: letters, digits, _ . and -")
    specs = KernelSpecs(settings)
    problem = specs.problem(language.kernel_name)
    if problem is not None:
        raise KernelsError(f"{language.name} does not work here: {problem}")
    there = _read(directory / "kernels" / name.lower())
    if there is not None and not _is_ours(there) and not force:
        raise KernelsError(
            f"{directory / 'kernels' / name.lower()} is a kernelspec of somebody else: --force replaces it"
        )
    spec = specs.find(language.kernel_name)
    content = {
        **{key: value for key, value in spec.to_dict().items() if value},
        "argv": _absolute(specs.command(spec, "{connection_file}", memory=settings.kernel_memory)),
        "display_name": display_name or spec.display_name,
    }
    with tempfile.TemporaryDirectory(prefix="polyrepl-") as source:
        Path(source).chmod(0o755)  # it becomes the kernelspec's
        Path(source, "kernel.json").write_text(json.dumps(content, indent=1) + "\n")
        target = directory / "kernels" / name.lower()
        manager = KernelSpecManager(ensure_native_kernel=False, user_kernel_dir=str(directory / "kernels"))
        manager.install_kernel_spec(source, kernel_name=name, user=True)
    return target


def _absolute(command: list[str]) -> list[str]:
    """With the ways back in paths resolved, so that people can read them; the interpreter may be a link that has a meaning."""
    program, *rest = command
    return [
        str(Path(program).absolute()),
        *(str(Path(part).resolve()) if part.startswith("/") else part for part in rest),
    ]


def installed(directory: Path | None = None) -> list[InstalledKernel]:
    """Our kernels in a data directory of Jupyter, or in all that this Jupyter looks into."""
    if directory is None:
        prefix = Path(sys.prefix) / "share" / "jupyter"
        places = dict.fromkeys((Path(jupyter_data_dir()), prefix, *map(Path, SYSTEM_JUPYTER_PATH)))
    else:
        places = dict.fromkeys((directory,))
    found = []
    for place in places:
        for path in sorted(place.glob("kernels/*")):
            content = _read(path)
            if content is not None and _is_ours(content):
                found.append(InstalledKernel(path.name, str(content.get("display_name", "")), path, _problem(content)))
    return found


def remove(name: str, directory: Path) -> Path:
    """Remove a kernel of ours; returns where it was. Raises KernelsError where there is none, or it is somebody else's."""
    manager = KernelSpecManager(ensure_native_kernel=False, kernel_dirs=[str(directory / "kernels")])
    path = directory / "kernels" / name.lower()
    content = _read(path) if NAME.fullmatch(name) else None
    if content is None:
        raise KernelsError(f"no kernelspec {name!r} in {directory / 'kernels'}")
    if not _is_ours(content):
        raise KernelsError(f"{path} is a kernelspec of somebody else")
    try:
        return Path(manager.remove_kernel_spec(name))
    except NoSuchKernel:
        raise KernelsError(f"no kernelspec {name!r} in {directory / 'kernels'}") from None


def _read(path: Path) -> dict[str, object] | None:
    try:
        content = json.loads((path / "kernel.json").read_text())
    except (OSError, ValueError):
        return {} if path.exists() else None
    return content if isinstance(content, dict) else {}


def _is_ours(content: dict[str, object]) -> bool:
    metadata = content.get("metadata")
    return isinstance(metadata, dict) and "polyrepl" in metadata


def _problem(content: dict[str, object]) -> str | None:
    argv = content.get("argv")
    paths = [str(part) for part in argv if str(part).startswith("/")] if isinstance(argv, list) else []
    missing = [path for path in paths if not Path(path).exists()]
    return f"{missing[0]} is gone: install it again" if missing else None
