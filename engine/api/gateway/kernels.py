"""The gateway dialect's view of the core: contexts as Jupyter kernels, languages as kernelspecs.

The id of a context is the id of its kernel; where an id has contexts of several languages, those after the oldest are `id~language`."""

from __future__ import annotations

import asyncio
import contextlib
import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.api.gateway.seed import Seed
from engine.contexts import Context
from engine.core import Engine
from engine.errors import (
    ContextExists,
    ContextNotFound,
    FieldError,
    Forbidden,
    InvalidRequest,
    KernelStartFailed,
    TooManyContexts,
    UnknownLanguage,
)
from engine.languages import Language

_JUPYTER_NAMES = {"python": "python3"}  # what notebooks have in their metadata
_SEED_TIMEOUT = 300.0  # seconds, at most, for each cell of the seed
_RESOURCES = re.compile(r"logo-[\w.-]+|kernel\.(js|css)")


def kernel_id(engine: Engine, context: Context) -> str:
    oldest = engine.contexts.get(context.id)[0]
    return context.id if oldest is context else f"{context.id}~{context.language.name}"


def find_context(engine: Engine, wanted: str) -> Context:
    """The context behind a kernel id. Raises ContextNotFound."""
    try:
        return engine.contexts.get(wanted)[0]
    except ContextNotFound:
        context_id, _, language = wanted.rpartition("~")
        if not context_id:
            raise
        return engine.contexts.get(context_id, language)[0]


def check_alive(engine: Engine, context: Context) -> None:
    """Raises ContextNotFound for a context that has ended, also when there is a new one of its id."""
    if all(each is not context for each in engine.contexts):
        raise ContextNotFound(context.id)


async def end_kernel(engine: Engine, context: Context, reason: str) -> None:
    """End a context that nobody has ended yet."""
    with contextlib.suppress(ContextNotFound):
        check_alive(engine, context)
        await asyncio.wait({engine.contexts.end(context, reason, asked_for=True)})


def spec_name(language: Language) -> str:
    return _JUPYTER_NAMES.get(language.name, language.name)


def last_activity_of(context: Context) -> datetime:
    return max(filter(None, (context.last_activity, context.observers.last_activity)))


def timestamp(moment: datetime) -> str:
    """A moment in UTC as Jupyter's servers write it."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def kernel_model(engine: Engine, context: Context) -> dict[str, Any]:
    return {
        "id": kernel_id(engine, context),
        "name": spec_name(context.language),
        "last_activity": timestamp(last_activity_of(context)),
        "execution_state": context.state,
        "connections": len(context.observers),
    }


def find_language(engine: Engine, name: str | None) -> Language:
    """The language that a kernel name means, by the settings for none and for all. Raises UnknownLanguage."""
    settings = engine.settings
    return named(engine, settings.force_kernel_name or name or settings.default_kernel_name)


def named(engine: Engine, name: str) -> Language:
    """The language of a kernelspec's name, whatever name is forced. Raises UnknownLanguage."""
    for language in engine.languages.all:
        if name in (spec_name(language), language.kernel_name):
            return language
    return engine.check_language(name)


def kernelspecs(engine: Engine) -> dict[str, Any]:
    """All that can be started here. Starts interpreters to see whether they work: call it in a thread."""
    usable = [each for each in engine.languages.all if each.backend.problem(each) is None]
    return {spec_name(language): spec_model(engine, language) for language in usable}


def spec_model(engine: Engine, language: Language) -> dict[str, Any]:
    spec = language.backend.spec(language)
    name = spec_name(language)
    resources = {}
    for path in sorted(Path(spec.resource_dir).iterdir()):
        if _RESOURCES.fullmatch(path.name):
            told = path.stem if path.name.startswith("logo-") else path.name
            resources[told] = f"{engine.settings.base_url}/kernelspecs/{name}/{path.name}"
    return {"name": name, "spec": spec.to_dict(), "resources": resources}


async def start_kernel(
    engine: Engine, seed: Seed, *, name: str | None, env: Mapping[str, str] | None, wanted_id: str | None
) -> Context:
    """Make a context with a kernel that is ready, and run the seed in it.

    Raises Forbidden at the limit, UnknownLanguage, InvalidRequest, ContextExists or KernelStartFailed."""
    language = find_language(engine, name)
    await engine.capabilities.check_usable(language)  # first: what is counted now has to hold until the kernel is there
    most = engine.settings.max_kernels
    if most is not None and len(engine.contexts) >= most:
        raise ResourceLimit
    if wanted_id is not None and any(context.id == wanted_id for context in engine.contexts):
        raise ContextExists(wanted_id)
    chosen = wanted_id or str(uuid.uuid4())
    try:
        context = await engine.create_context(language=language.name, context_id=chosen, env=env, only_new=True)
    except TooManyContexts:
        raise ResourceLimit from None
    await _run_seed(engine, seed, context)
    check_alive(engine, context)
    return context


class ResourceLimit(Forbidden):
    """There are as many kernels as there may be."""

    def __init__(self) -> None:
        super().__init__("Resource Limit")


def check_env(engine: Engine, env: object) -> dict[str, str] | None:
    """The variables of a request that a kernel gets: those that begin with KERNEL_, and those that the setting lists.

    Raises InvalidRequest."""
    if env is None:
        return None
    if not isinstance(env, dict):
        raise InvalidRequest(FieldError("env", "must be an object"), message="env must be an object")
    allowed = engine.settings.env_whitelist
    taken = {
        name: value
        for name, value in env.items()
        if (name.startswith("KERNEL_") or name in allowed or "*" in allowed) and name != "KERNEL_GATEWAY"
    }
    for name, value in taken.items():
        if not isinstance(value, str):
            raise InvalidRequest(FieldError(f"env.{name}", "must be a string"), message=f"env.{name} must be a string")
    return taken


def check_settings(engine: Engine, seed: Seed) -> None:
    """Look whether kernels can be started as the settings say; it blocks. Raises InvalidRequest or KernelStartFailed."""
    settings = engine.settings
    for field in ("default_kernel_name", "force_kernel_name"):
        name = getattr(settings, field)
        try:
            if name is not None and field in settings.model_fields_set:
                named(engine, name)
        except UnknownLanguage as error:
            raise InvalidRequest(FieldError(field, error.errors[0].error)) from None
    seed.read()


async def _run_seed(engine: Engine, seed: Seed, context: Context) -> None:
    timeout = min(_SEED_TIMEOUT, engine.settings.max_timeout)
    try:
        for code in await seed.cells():
            check_alive(engine, context)  # code for an id that has ended would make a new context
            execution = await engine.execute(
                code, language=context.language.name, context_id=context.id, timeout=timeout
            )
            await execution.wait()
            if execution.status != "ok":
                why = f"{execution.error.name}: {execution.error.value}" if execution.error else execution.status
                raise KernelStartFailed(context.language.kernel_name, f"the seed notebook failed: {why}")
    except BaseException:
        engine.contexts.end(context, "failed in its seed notebook", asked_for=True)
        raise


def resource_file(engine: Engine, name: str, file: str) -> Path | None:
    """Raises UnknownLanguage or KernelStartFailed."""
    language = find_language(engine, name)
    spec = language.backend.spec(language)
    path = Path(spec.resource_dir) / file
    is_told = _RESOURCES.fullmatch(file) or file == "kernel.json"
    return path if is_told and path.is_file() else None


def check_kernel_id(wanted: object) -> str | None:
    """An id that a request asks for: a uuid, as Jupyter's are. Raises InvalidRequest."""
    if wanted is None:
        return None
    try:
        return str(uuid.UUID(str(wanted)))
    except ValueError:
        raise InvalidRequest(FieldError("kernel_id", "must be a uuid"), message="kernel_id must be a uuid") from None
