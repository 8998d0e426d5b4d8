"""The engine: plain keywords in, an Execution out. Every dialect of the API, and the command line, stand on this."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Unpack

from engine.assistance import Assistance
from engine.bookkeeping import Bookkeeping
from engine.branching import Branching
from engine.capabilities import Capabilities
from engine.contexts import (
    DELETED,
    Brancher,
    Budgets,
    Context,
    ContextOptions,
    Contexts,
    Execution,
    Executions,
    Keys,
    Request,
)
from engine.errors import (
    ContextExists,
    ShuttingDown,
)
from engine.installations import Installations
from engine.kernels import Backend, KernelSpecs, Local, Pool
from engine.kernels.channels import MakeChannels
from engine.kernels.checking import Checks
from engine.kernels.provisioners import MakeProvisioner, Zygotes
from engine.kernels.remote import RemoteJupyter
from engine.languages import Language, Languages
from engine.metrics import Metrics
from engine.options import DEFAULTS, ExecuteKeywords, ExecuteOptions
from engine.output import OutputLimits
from engine.packages import NATIVE, Hints, Remedies
from engine.settings import AskedLimits, Settings
from engine.validation import check_context_id, check_env_vars, check_text
from engine.workspaces import Files, RunDir


class Engine:
    """Runs code in contexts. Use it as `async with Engine(settings) as engine`.

    `provisioner` and `channels` say how kernels are run and reached; the fake ones (engine.kernels.provisioners.fake) go here."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        provisioner: MakeProvisioner | None = None,
        channels: MakeChannels | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.metrics = Metrics()
        self.budgets = Budgets(self.settings, self.metrics)
        self.backends, self.languages = _places(self.settings, self.metrics, provisioner, channels)
        self.executions = _executions(self.settings)
        self.books = Bookkeeping(self.executions, self.metrics)
        self._limits = _output_limits(self.settings)
        self.capabilities = Capabilities(self.languages, max_output_bytes=self.settings.max_output_bytes)
        self.run_dir: RunDir | None = None
        self._pool: Pool | None = None
        self._contexts: Contexts | None = None
        self._branching: Branching | None = None
        self._installations: Installations | None = None
        self._closed = False
        self._ending: asyncio.Task[None] | None = None

    @property
    def contexts(self) -> Contexts:
        """The contexts that there are. Raises ShuttingDown before the engine has started and after its end."""
        if self._contexts is None:
            raise ShuttingDown
        return self._contexts

    @property
    def is_ready(self) -> bool:
        """Whether it has started and has not ended."""
        return self._contexts is not None and not self._closed

    @property
    def busy(self) -> int:
        """How many contexts run code or start a kernel."""
        return self.contexts.busy

    @property
    def pool(self) -> Pool:
        """The kernels that are kept ready. Raises ShuttingDown as `contexts` does."""
        if self._pool is None:
            raise ShuttingDown
        return self._pool

    @property
    def branching(self) -> Branching:
        """Forks, checkpoints and restores contexts."""
        if self._branching is None or self._closed:
            raise ShuttingDown
        return self._branching

    @property
    def installations(self) -> Installations:
        """Installs packages into contexts."""
        if self._installations is None or self._closed:
            raise ShuttingDown
        return self._installations

    @property
    def assistance(self) -> Assistance:
        """Asks the kernels of contexts: completion, inspection, variables."""
        return Assistance(self.contexts, self.capabilities)

    def prepare(self) -> None:
        """Have python kernels ready to be forked, from now on; otherwise that begins when the first one is asked for."""
        if (zygotes := self.zygotes()) is not None:
            zygotes.current()

    def zygotes(self) -> Zygotes | None:
        """What python kernels are forked from; None where they are spawned."""
        if self.run_dir is None or self._closed:
            raise ShuttingDown
        python = self.check_language("python")
        return python.backend.zygotes(python)

    async def backend_problems(self) -> dict[str, str | None]:
        """What is wrong at the moment with the backends that the settings have languages run on; None if nothing is."""
        if self.run_dir is None or self._closed:
            raise ShuttingDown
        return {backend.name: await backend.check() for backend in self.backends if backend.kernel_names}

    def check_settings(self) -> None:
        """Whether everything that the settings name is there. Raises InvalidRequest that names each wrong setting. Blocks."""
        self.capabilities.check_settings(self.settings, self.backends)

    async def __aenter__(self) -> Engine:
        self.check_settings()
        run_dir = self.run_dir = RunDir(self.settings.run_dir)
        try:
            await self._open(run_dir)
        except BaseException:
            ending = _end(self._contexts, self._pool, self.backends, run_dir)
            self._contexts = self._pool = self.run_dir = None
            await asyncio.shield(ending)
            raise
        return self

    async def _open(self, run_dir: RunDir) -> None:
        kept = [language for name in self.settings.pool_languages if (language := self.languages.find(name))]
        self._pool = Pool(self.settings, kept=kept, run_dir=run_dir, metrics=self.metrics, load=self)
        for backend in self.backends:
            backend.open(run_dir, self._pool)
            await backend.ready()
        brancher = Brancher(self.settings, run_dir=run_dir, metrics=self.metrics)
        options = _context_options(self.settings, self.budgets, self.backends, run_dir)
        self._contexts = _contexts(self.settings, options, run_dir, self._pool, brancher, self.books)
        self.books.watch(self._pool, run_dir)
        self._branching = Branching(self._contexts, brancher, self.capabilities)
        self._installations = Installations(self.settings, self._contexts, run_dir, self.capabilities)
        self._pool.start()
        self._contexts.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every execution, context and kernel; nothing is left behind. Every call waits for the same end."""
        if self.run_dir is None:
            return
        if self._ending is None:
            self._closed = True
            self._ending = asyncio.create_task(_end(self._contexts, self._pool, self.backends, self.run_dir))
        await asyncio.shield(self._ending)

    async def execute(
        self,
        code: str,
        *,
        language: str | None = None,
        context_id: str | None = None,
        options: ExecuteOptions = DEFAULTS,
        remedies: Remedies = NATIVE,
        **keywords: Unpack[ExecuteKeywords],
    ) -> Execution:
        """Queue code in a context and return its Execution at once; `await execution.wait()` or follow its events.

        Without `context_id` a new context is made. Each of the options, which ExecuteOptions describes, can also be given by keyword.
        With an `idempotency_key` that was used before, the earlier execution is returned. `remedies`: the words of the caller's API.

        Raises InvalidRequest, OtherLimits, UnknownLanguage, QueueFull, TooManyBytes, TooManyContexts, IdempotencyConflict, ResultGone,
        NotSupported or ShuttingDown."""
        if self._closed:
            raise ShuttingDown
        found = self.check_language(language)
        check_text("code", code)
        options = options.replace(**keywords).checked()
        most = self.settings.max_timeout
        request = Request(code, self.capabilities.check_timeout(options.timeout, found, most=most), options)
        check_context_id(context_id)
        await self.capabilities.check_usable(found)
        self.capabilities.check_options(found, options)
        key, fingerprint = options.idempotency_key, b""
        if key is not None:
            fingerprint = request.fingerprint(found.name, context_id)
            if (known := self.executions.find_key(key, fingerprint)) is not None:
                return known
        isolation = self.capabilities.isolation(self.contexts, context_id, found, options.isolation, options.network)
        context, is_new = self.contexts.get_or_create(context_id, found, isolation=isolation, limits=options.limits)
        execution = Execution(
            request,
            context_id=context.id,
            language=found.name,
            limits=self._limits,
            max_events=self.settings.max_events,
            find_hint=Hints(context, self.installations.tool_for(found), options, remedies).find,
            listener=self.books,
        )
        self.contexts.submit(execution, context, is_new=is_new)
        self.executions.add(execution, key=key, fingerprint=fingerprint)
        return execution

    async def create_context(
        self,
        *,
        language: str | None = None,
        context_id: str | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        beside: str | None = None,
        labels: Mapping[str, str] | None = None,
        only_new: bool = False,
        limits: AskedLimits | None = None,
        isolation: str | None = None,
        network: str | None = None,
    ) -> Context:
        """Make a context, or find it, and return when its kernel is ready.

        `cwd`: an absolute path of an existing directory; None: a directory of its own, removed with the context. `env`:
        variables of a new context's kernel, from its start on. `beside`: another id, whose working directory a new id shares.
        `labels`: added to its own before its kernel starts. `only_new`: an id that has a context already is refused. `isolation`,
        `network`, `limits`: an existing context must have the same. Raises what `execute` does, ContextExists and KernelStartFailed."""
        found = self.check_language(language)
        check_context_id(context_id)
        if self.run_dir is None:
            raise ShuttingDown
        named = await self.run_dir.named(cwd, self.settings.allowed_cwds)
        self.capabilities.check_cwd(found, named, self.run_dir)
        await self.capabilities.check_usable(found)
        if only_new and any(context.id == context_id for context in self.contexts):
            raise ContextExists(context_id or "")
        wanted = self.capabilities.isolation(self.contexts, context_id, found, isolation, network)
        given = check_env_vars(env)
        context, is_new = self.contexts.get_or_create(context_id, found, named, given, beside, labels, wanted, limits)
        try:
            await context.ready()
        except Exception:
            if is_new:
                self.contexts.discard(context)
            raise
        return context

    async def delete_context(self, context_id: str, language: str | None = None) -> bool:
        """End the contexts of an id, of one language or of all, and forget their executions. Raises ContextNotFound.

        Returns whether all their files are gone. If not, their removal is tried again until the server ends, and at its next start."""
        contexts = self.contexts.get(context_id, self.capabilities.name_of(language))
        await asyncio.wait([self.contexts.end(context, DELETED, asked_for=True) for context in contexts])
        return self.run_dir is None or not any(context.workspace.root in self.run_dir.left for context in contexts)

    async def interrupt(self, execution_id: str) -> Execution:
        """Stop an execution, running or waiting. Raises ExecutionNotFound."""
        execution = self.executions.get(execution_id)
        if not execution.is_finished:
            (context,) = self.contexts.get(execution.context_id, execution.language)
            await context.interrupt(execution)
        return execution

    def files(self, context_id: str, *, language: str | None = None, creates: bool = False) -> Files:
        """The files of a context, which all its languages share. `creates`: it is made where there is none, of that language.

        Raises ContextNotFound, UnknownLanguage, TooManyContexts or ShuttingDown."""
        if creates and language is not None:
            check_context_id(context_id)
            context, _ = self.contexts.get_or_create(context_id, self.check_language(language))
        else:
            context = self.contexts.get(context_id, self.capabilities.name_of(language))[0]
        context.last_activity = datetime.now(UTC)
        return context.language.backend.files(context)

    def check_language(self, language: str | None) -> Language:
        """The language that a name means. Raises UnknownLanguage."""
        return self.capabilities.find(language)


def _places(
    settings: Settings, metrics: Metrics, provisioner: MakeProvisioner | None, channels: MakeChannels | None
) -> tuple[list[Backend], Languages]:
    """Where kernels run, and the languages, each of which points at the place that runs it."""
    kernelspecs = KernelSpecs(settings)
    local = Local(settings, kernelspecs=kernelspecs, metrics=metrics, provisioner=provisioner, channels=channels)
    others: list[Backend] = [RemoteJupyter(settings, metrics=metrics)]
    languages = Languages(
        kernelspecs.foreign(),
        python_kernel=settings.python_kernel,
        local=local,
        others=others,
        only=settings.local_languages,
    )
    return [local, *others], languages


async def _end(contexts: Contexts | None, pool: Pool | None, backends: Iterable[Backend], run_dir: RunDir) -> None:
    """End what there is of an engine, the rest also if one part of it cannot be ended."""
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, run_dir.close)
        for backend in backends:
            stack.push_async_callback(backend.aclose)
        await asyncio.gather(*(each.aclose() for each in (contexts, pool) if each is not None))


def _output_limits(settings: Settings) -> OutputLimits:
    return OutputLimits(
        stream_bytes=settings.max_stream_bytes,
        item_bytes=settings.max_item_bytes,
        items=settings.max_items,
        output_bytes=settings.max_output_bytes,
    )


def _executions(settings: Settings) -> Executions:
    return Executions(
        max_finished=settings.max_executions,
        retained_bytes=settings.retained_bytes,
        total_bytes=settings.total_output_bytes,
        keys=Keys(max_ended=settings.max_idempotency_keys, seconds=settings.idempotency_seconds),
    )


def _contexts(
    settings: Settings, options: ContextOptions, run_dir: RunDir, pool: Pool, brancher: Brancher, listener: Bookkeeping
) -> Contexts:
    return Contexts(
        max_contexts=settings.max_contexts,
        idle_timeout=settings.context_idle_timeout,
        options=options,
        run_dir=run_dir,
        pool=pool,
        brancher=brancher,
        listener=listener,
    )


def _context_options(
    settings: Settings, budgets: Budgets, backends: Sequence[Backend], run_dir: RunDir
) -> ContextOptions:
    return ContextOptions(
        queue_size=settings.queue_size,
        queue_bytes=settings.queue_bytes,
        queues=budgets.queues,
        websockets=budgets.websockets,
        interrupt_grace=settings.interrupt_grace,
        kept_messages=settings.websocket_buffer_bytes,
        observed_timeout=settings.websocket_timeout,
        patience=settings.max_timeout,
        checks=Checks(settings, backends, run_dir),
    )
