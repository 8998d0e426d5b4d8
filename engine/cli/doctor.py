"""`polyrepl doctor`: what works on this machine, and why the rest does not."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine import __version__
from engine.core import Engine
from engine.errors import InvalidRequest, KernelStartFailed
from engine.kernels import ROOT_WARNING, Limiter, missing_modules
from engine.kernels.provisioners import open_pidfd
from engine.settings import Settings
from engine.workspaces import RunDir

_UNISOLATED = "code in contexts can do everything that this user can"
_NEEDED = ("python", "typescript")
_DATA = (
    "numpy", "pandas", "matplotlib", "PIL", "scipy", "sklearn", "plotly", "altair", "sympy", "bs4", "ipywidgets", "networkx", "openpyxl",
    "pyarrow", "yaml", "requests", "seaborn", "tabulate", "tqdm",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    works: bool
    detail: str
    needed: bool = False


def show(settings: Settings) -> int:
    """Print the findings; returns 1 where something needed does not work."""
    findings = examine(settings)
    table = Table(title=f"polyrepl {__version__}", title_justify="left", box=None)
    for heading in ("", "what", "detail"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        mark = "[green]ok[/]" if finding.works else "[red]no[/]" if finding.needed else "[yellow]--[/]"
        table.add_row(mark, finding.name, Text(finding.detail))
    Console(highlight=False).print(table)
    return 1 if any(finding.needed and not finding.works for finding in findings) else 0


def examine(settings: Settings) -> list[Finding]:
    """Look at everything that the engine depends on."""
    return [
        Finding("machine", True, f"{platform.platform()}, {os.cpu_count()} cores, uid {os.getuid()}"),
        *_languages(settings),
        *_trials(settings),
        _pool(settings),
        _run_dir(settings),
        _pidfd(),
        _accelerators(),
        _data_packages(settings),
        Finding("access", True, _access(settings)),
        *_isolation(settings),
        *_limits(settings),
    ]


def _isolation(settings: Settings) -> list[Finding]:
    """Try all of it for real."""
    if settings.backend != "local":
        return []
    bare = settings.model_copy(update={"pool_max": 0, "isolation_required": None})
    try:
        detail = asyncio.run(_try_isolation(bare))
    except InvalidRequest as error:
        return [Finding("isolation", False, error.explanation, needed=True)]
    except (KernelStartFailed, OSError) as error:
        return [Finding("isolation", False, str(error))]
    is_isolated = not detail.startswith("none")
    if not is_isolated:
        detail += "; " + (f"this is root: {ROOT_WARNING}" if os.geteuid() == 0 else _UNISOLATED)
    return [Finding("isolation", is_isolated, detail)]


async def _try_isolation(settings: Settings) -> str:
    async with Engine(settings) as engine:
        isolator = next(filter(None, (backend.isolator for backend in engine.backends)))
        return isolator.describe()


def _limits(settings: Settings) -> list[Finding]:
    if settings.backend != "local":
        return []
    limiter = Limiter(settings, memory=None)
    limiter.open()
    found = Finding("limits", True, f"contexts are limited by {limiter.describe()}")
    limiter.close()
    return [found]


def _languages(settings: Settings) -> list[Finding]:
    findings = []
    for info in Engine(settings).capabilities.infos():
        names = ", ".join((info.name, *info.aliases))
        version = f" {info.version}" if isinstance(info.version, str) else ""
        detail = f"kernelspec {info.kernel}{version} ({names})" if info.available else f"{info.reason} ({names})"
        findings.append(Finding(f"language {info.name}", info.available, detail, needed=info.name in _NEEDED))
    return findings


def _trials(settings: Settings) -> list[Finding]:
    """What has to be started to see whether it works; nothing is with settings that no server takes."""
    try:
        Engine(settings).check_settings()
    except InvalidRequest as error:
        return [Finding("settings", False, error.explanation, needed=True)]
    return [_zygote(settings), *backend_findings(settings)]


def _zygote(settings: Settings) -> Finding:
    """Start one for real."""
    if not settings.zygote:
        return Finding("forked kernels", True, "off: the setting zygote is false")
    try:
        works, detail = asyncio.run(_try_zygote(settings))
    except (KernelStartFailed, OSError) as error:
        works, detail = False, str(error)
    return Finding("forked kernels", works, detail if works else f"python kernels are spawned instead: {detail}")


async def _try_zygote(settings: Settings) -> tuple[bool, str]:
    async with Engine(settings.model_copy(update={"pool_max": 0})) as engine:
        zygotes = engine.zygotes()
        if zygotes is None:
            return (
                False,
                f"not on {platform.system()} with the kernelspec {engine.check_language('python').kernel_name}",
            )
        zygote = await zygotes.settled()
        if zygote is None:
            return False, zygotes.describe().removeprefix("fallback: ")
        greeting = zygote.greeting
        ready = f"zygote ready in {zygote.boot_seconds * 1000:.0f} ms with {', '.join(greeting.preloaded) or 'nothing'}"
        huge = greeting.huge_page_bytes // 2**20
        pages = (
            f"{huge} MiB in huge pages"
            if huge
            else "no huge pages (they need Linux 6.1): forks take up to half as long again"
        )
        without = [f"without {name}: {reason}" for name, reason in greeting.failed.items()]
        return True, "; ".join([ready, pages, *without])


def backend_findings(settings: Settings) -> list[Finding]:
    """Ask every backend for real that the settings have languages run on."""
    engine = Engine(settings.model_copy(update={"pool_max": 0}))
    used = [backend for backend in engine.backends if backend.kernel_names]
    problems = asyncio.run(_backend_problems(engine)) if used else {}
    findings = []
    for backend in used:
        problem = problems[backend.name]
        findings.append(
            Finding(
                backend.title, problem is None, problem or backend.describe(), needed=settings.backend == backend.name
            )
        )
    return findings


async def _backend_problems(engine: Engine) -> dict[str, str | None]:
    async with engine:
        return await engine.backend_problems()


def _pool(settings: Settings) -> Finding:
    if not settings.pool_max:
        return Finding("warm pool", True, "off: pool_max is 0")
    engine = Engine(settings)
    found = {name: engine.languages.find(name) for name in settings.pool_languages}
    problems = [
        wrong.error for wrong in engine.capabilities.wrong_settings(settings) if wrong.field == "pool_languages"
    ]
    for language in filter(None, found.values()):
        problem = language.backend.problem(language)
        problems += [f"none for {language.name}: {problem}"] if problem else []
    least = min(settings.pool_min, settings.pool_max)
    sizes = f"{least} to {settings.pool_max} kernels ready of each: {', '.join(found) or 'those in use'}"
    return Finding("warm pool", not problems, "; ".join([sizes, *problems]))


def _run_dir(settings: Settings) -> Finding:
    try:
        run_dir = RunDir(settings.run_dir)
    except OSError as error:
        return Finding("run directory", False, str(error), needed=True)
    path = run_dir.path.parent
    run_dir.close()
    return Finding("run directory", True, f"{path}, private")


def _pidfd() -> Finding:
    try:
        os.close(open_pidfd(os.getpid()))
    except OSError as error:
        return Finding("death watch by pidfd", False, f"{error.strerror}; a thread per kernel waits instead")
    return Finding("death watch by pidfd", True, "a kernel's death is noticed at once")


def _accelerators() -> Finding:
    missing = [name for name in ("uvloop", "httptools") if importlib.util.find_spec(name) is None]
    detail = "uvloop, httptools" if not missing else f"without {', '.join(missing)} the server is slower"
    return Finding("accelerators", not missing, detail)


def _data_packages(settings: Settings) -> Finding:
    missing = missing_modules(settings.python, _DATA)
    if missing is None:
        return Finding("data packages", False, f"{settings.python} does not run")
    detail = f"missing: {', '.join(missing)}; pip install 'polyrepl[data]'" if missing else "all installed"
    return Finding("data packages", not missing, f"{detail} ({settings.python})")


def _access(settings: Settings) -> str:
    token = "a token is required" if settings.secret else "no token: anyone on this machine may run code"
    return f"{settings.host}:{settings.port}, {token}"
