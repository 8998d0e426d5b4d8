"""The command line. Everything heavy is imported by the command that needs it, so that `--help` stays quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from engine import __version__
from engine.cli.kernels import kernels

if TYPE_CHECKING:
    from engine.settings import Settings


class _SettingsCommand(click.Command):
    """A command with one flag per setting, made from the settings' own definitions when the command is used."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *_setting_options()]


def _setting_options() -> list[click.Parameter]:
    from engine.settings import Settings

    options: list[click.Parameter] = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f" [default: {_shown(field.default)}]"
        options.append(
            click.Option(
                ["--" + name.replace("_", "-"), name],
                metavar="VALUE",
                help=f"{field.description}{default}",
                default=None,
            )
        )
    return options


def _shown(default: Any) -> str:
    if isinstance(default, list):
        return ",".join(map(str, default)) or "none"
    return str(default) if default != {} else "none"


def _load(config: Path | None, flags: dict[str, Any], *, aliases: Mapping[str, Any] | None = None) -> Settings:
    """`aliases`: settings by the variables of other programs, for what serves their APIs."""
    from pydantic import ValidationError

    from engine.settings import load_settings

    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return load_settings(config, aliases=aliases, **given)
    except (ValidationError, OSError, ValueError) as error:
        raise click.ClickException(_explain(error)) from None


def _aliases() -> dict[str, Any]:
    from engine.api.dialects import settings_of

    return settings_of(os.environ)


def _explain(error: Exception) -> str:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    problems = []
    for found in error.errors():
        name = ".".join(map(str, found["loc"]))
        problem = str(found["msg"]).removeprefix("Value error, ")
        if found["type"] == "extra_forbidden":
            problem = "there is no such setting"
        problems.append(f"{name}: {problem}" if name else problem)
    return "; ".join(problems)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="polyrepl")
def main() -> None:
    """Run code in many languages: a REPL execution engine on Jupyter kernels."""


_CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), envvar="POLYREPL_CONFIG", help="TOML file with settings."
)


@main.command(cls=_SettingsCommand)
@_CONFIG
def serve(config: Path | None, **flags: Any) -> None:
    """Serve the HTTP API.

    Each setting can also be given as POLYREPL_<NAME> or in the TOML file; flags win over variables, variables over the file."""
    from engine.log import configure, get_logger
    from engine.server import run_server
    from engine.settings import is_readable_by_others

    settings = _load(config, flags, aliases=_aliases())
    configure(settings.log_level, settings.log_format)
    if flags.get("token"):
        get_logger().warning(
            "token_on_command_line", remedy="Other users see it in ps. Use POLYREPL_TOKEN or --token-file."
        )
    if settings.token_file is not None and is_readable_by_others(settings.token_file):
        get_logger().warning("token_file_readable_by_others", remedy=f"chmod 600 {settings.token_file}")
    sys.exit(run_server(settings))


@main.command()
@click.option("-l", "--language", help="Language, or an alias of it. Default: what the file's name says, or python.")
@click.option("-t", "--timeout", type=float, default=30.0, show_default=True, help="Seconds the code may run.")
@click.option(
    "-s", "--save", type=click.Path(path_type=Path), help="Directory to save images to, or .ipynb file for a notebook."
)
@click.option("--allow-errors", is_flag=True, help="Run all cells of a notebook, also after one that fails.")
@click.option("-e", "--env", "env_vars", multiple=True, metavar="NAME=VALUE", help="Environment variable; repeatable.")
@click.option(
    "-p", "--package", "packages", multiple=True, metavar="NAME", help="Package of pip or npm to install; repeatable."
)
@click.option("--check", is_flag=True, help="Check the types, too. TypeScript and JavaScript only.")
@_CONFIG
@click.argument("code", required=False)
def run(
    language: str | None,
    timeout: float,
    save: Path | None,
    allow_errors: bool,
    env_vars: tuple[str, ...],
    packages: tuple[str, ...],
    check: bool,
    config: Path | None,
    code: str | None,
) -> None:
    """Run CODE, or the file of that name, once and show its output. Without CODE, or for -, run standard input.

    The cells of a notebook run one after the other, each in its language, up to the first that fails.

    Exit status: 0 ok, 1 the code failed, 2 it could not be run, 124 it took too long; or that with which the code exits."""
    from engine.cli.run import run_once
    from engine.cli.source import SourceMissing, read_source
    from engine.options import ExecuteOptions

    settings = _load(
        config, {"log_level": "error", "max_timeout": max(timeout, 3600.0), "pool_max": 0, "zygote": False}
    )
    variables = dict(pair.partition("=")[::2] for pair in env_vars)
    options = ExecuteOptions(timeout=timeout, env_vars=variables, check=check)
    try:
        source = read_source(code)
    except SourceMissing as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    saves_notebook = source.is_notebook and save is not None and save.suffix == ".ipynb"
    if save is not None and save.is_dir() == saves_notebook and save.exists():
        raise click.BadParameter(f"{save} is {'a directory' if saves_notebook else 'a file'}", param_hint="--save")
    if source.is_notebook:
        from engine.cli.replay import run_notebook

        status = run_notebook(
            settings,
            source.code,
            code or "",
            language=language,
            options=options,
            packages=packages,
            save=save,
            allows_errors=allow_errors,
        )
        sys.exit(status)
    if allow_errors:
        raise click.UsageError("--allow-errors is for notebooks")
    language = language or source.language or "python"
    sys.exit(run_once(settings, source, language=language, options=options, packages=packages, save=save))


@main.command(cls=_SettingsCommand)
@_CONFIG
def mcp(config: Path | None, **flags: Any) -> None:
    """Serve MCP on standard input and output, for programs that start it themselves.

    The same tools are at /mcp of `polyrepl serve`. Settings are given as to serve."""
    from engine.api.mcp import is_installed

    if not is_installed():
        raise click.ClickException("MCP needs a package that is not installed: pip install 'polyrepl[mcp]'")
    from engine.cli.mcp import serve_stdio

    serve_stdio(_load(config, {"log_level": "warning", **{k: v for k, v in flags.items() if v is not None}}))


@main.command()
@_CONFIG
def doctor(config: Path | None) -> None:
    """Show what works on this machine, and why the rest does not. Exit status 1 where python or typescript does not."""
    from engine.cli.doctor import show

    sys.exit(show(_load(config, {}, aliases=_aliases())))


@main.command()
@click.option("-l", "--language", default="python", show_default=True, help="Language, or an alias of it.")
@click.option("--url", help="Server whose contexts are used. Default: an engine of its own, in this process.")
@click.option("--token", envvar="POLYREPL_TOKEN", help="Token of that server.")
@click.option("-c", "--context", "context_id", help="Id of the context. One on a server stays when the REPL is left.")
@click.option("-t", "--timeout", type=float, default=3600.0, show_default=True, help="Seconds a cell may run.")
@click.option("-s", "--save", type=click.Path(file_okay=False, path_type=Path), help="Directory to save images to.")
@_CONFIG
def repl(config: Path | None, **options: Any) -> None:
    """Read code from the terminal and run it, line after line.

    Tab completes, Ctrl-C stops what runs, Alt-Enter begins a new line, exit() or Ctrl-D leaves."""
    from engine.cli.repl import run_repl

    timeout = options["timeout"]
    settings = _load(
        config, {"log_level": "error", "max_timeout": max(timeout, 3600.0), "pool_max": 0, "zygote": False}
    )
    sys.exit(run_repl(settings, **options))


@main.command()
@click.option(
    "-f",
    "--format",
    "vendor",
    type=click.Choice(["openai", "anthropic", "mcp"]),
    default="openai",
    show_default=True,
    help="API that takes them.",
)
def tools(vendor: Literal["openai", "anthropic", "mcp"]) -> None:
    """Print the tools that a model can be given, as JSON for the API of a vendor."""
    import json

    from engine.api.mcp.definitions import definitions

    click.echo(json.dumps(definitions(vendor), indent=2))


main.add_command(kernels)
