"""`polyrepl kernels`: our kernels for JupyterLab, nbclient and whatever else starts kernelspecs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.group()
def kernels() -> None:
    """Put our kernels into your own Jupyter, list them, and remove them."""


def _places(command: Any) -> Any:
    """The options that say which Jupyter is meant."""
    for option in (
        click.option("--prefix", type=click.Path(file_okay=False, path_type=Path), help="That of this prefix."),
        click.option("--sys-prefix", is_flag=True, help="That of the Python environment that polyrepl is in."),
        click.option("--user", is_flag=True, help="That of this user (the default)."),
    ):
        command = option(command)
    return command


@kernels.command()
@click.option(
    "-l", "--language", "languages", multiple=True, help="Language, repeatable. Default: python and typescript."
)
@click.option("--name", help="Name of the kernelspec, for one language. Default: polyrepl-<language>.")
@click.option("--display-name", help="Name that people see, for one language.")
@click.option("--force", is_flag=True, help="Replace also a kernelspec of this name that is not ours.")
@click.option("--python", type=click.Path(path_type=Path), help="Interpreter for the python kernel. Default: this one.")
@click.option("--node", type=click.Path(path_type=Path), help="Node for the typescript kernel. Default: the wheel's.")
@_places
def install(
    languages: tuple[str, ...],
    name: str | None,
    display_name: str | None,
    force: bool,
    python: Path | None,
    node: Path | None,
    **place: Any,
) -> None:
    """Install kernels into a Jupyter, so that its notebooks can use them."""
    from engine.kernels.installed import KernelsError, data_directory
    from engine.kernels.installed import install as install_kernel
    from engine.languages import Languages
    from engine.settings import Settings

    wanted = languages or ("python", "typescript")
    if (name or display_name) and len(wanted) != 1:
        raise click.UsageError("--name and --display-name are for one --language")
    given = {key: value.absolute() for key, value in (("python", python), ("node", node)) if value is not None}
    try:
        settings = Settings(**given)
        for each in wanted:
            language = Languages().find(each)
            if language is None:
                raise KernelsError(f"{each!r} is not a language of ours")
            directory = data_directory(**place)
            path = install_kernel(settings, language, directory, name=name, display_name=display_name, force=force)
            click.echo(f"{language.name}: {path}")
    except (KernelsError, OSError) as error:
        raise click.ClickException(str(error)) from None


@kernels.command("list")
@_places
def list_kernels(**place: Any) -> None:
    """List our kernels in a Jupyter, or in all places that Jupyter looks into."""
    from engine.kernels.installed import KernelsError, data_directory, installed

    try:
        found = installed(data_directory(**place) if any(place.values()) else None)
    except KernelsError as error:
        raise click.ClickException(str(error)) from None
    for kernel in found:
        problem = f" - {kernel.problem}" if kernel.problem else ""
        click.echo(f"{kernel.name}\t{kernel.display_name}\t{kernel.directory}{problem}")
    if not found:
        click.echo("none: polyrepl kernels install")


@kernels.command()
@click.argument("names", nargs=-1, required=True)
@_places
def remove(names: tuple[str, ...], **place: Any) -> None:
    """Remove kernels of ours, by NAMES, from a Jupyter."""
    from engine.kernels.installed import KernelsError, data_directory
    from engine.kernels.installed import remove as remove_kernel

    try:
        for name in names:
            click.echo(f"removed {remove_kernel(name, data_directory(**place))}")
    except (KernelsError, OSError) as error:
        raise click.ClickException(str(error)) from None
