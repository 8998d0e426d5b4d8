"""The engine: plain keywords in, an Execution out. Every dialect of the API, and the command line, stand on this."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from engine.api.gateway.sessions import Sessions
from engine.api.http.seed import Seed
from engine.assistance import Assistance
from engine.branching import Branching
from engine.capabilities import Capabilities
from engine.contexts.branches import Brancher, Checkpoints
from engine.contexts.context import Context, ContextOptions
from engine.contexts.executions import Execution, Executions, Request
from engine.contexts.files import FileLimits, Files, LocalFiles
from engine.contexts.registry import DELETED, Contexts
from engine.contexts.variables import listing_of
from engine.errors import (
    FieldError,
    InvalidRequest,
    KernelStartFailed,
    KernelTimeout,
    MessageError,
    NotSupported,
    ShuttingDown,
    VariablesUnavailable,
)
from engine.installations import Installations
from engine.kernels.kernel import Kernel
from engine.kernels.kernelspecs import KernelSpecs
from engine.kernels.launcher import Launcher, MakeChannels, MakeProvisioner
from engine.kernels.pool import Pool
from engine.kernels.provisioners.zygotes import Zygotes
from engine.kernels.remote.files import RemoteFiles
from engine.languages import Language, Languages
from engine.log import get_logger
from engine.metrics import Metrics
from engine.models import VariableList
from engine.output.buffers import OutputLimits
from engine.settings import Settings
from engine.validation import check_context_id, check_cwd, check_env_vars, check_text
from engine.workspaces.run_directory import RunDir, Workspace

_CULL_INTERVAL = 30.0  # seconds, at most
_TURN_WAIT = 3.0  # seconds that a question between cells waits for running ones
_VARIABLES_WAIT = 5.0  # seconds; a kernel gives its slow values up long before


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
        self.sessions = Sessions()
        self.seed = Seed(self.settings.seed_notebook)
        self.kernelspecs = KernelSpecs(self.settings)
        self.languages = Languages(
            self.kernelspecs.foreign(),
            python_kernel=self.settings.python_kernel,
            remote=self.settings.remote_languages,
            local=self.settings.local_languages,
        )
        self.executions = Executions(
            max_finished=self.settings.max_executions, retained_bytes=self.settings.retained_bytes
        )
        self._make_launcher = partial(
            Launcher,
            self.settings,
            kernelspecs=self.kernelspecs,
            metrics=self.metrics,
            provisioner=provisioner,
            channels=channels,
        )
        self._limits = OutputLimits(
            stream_bytes=self.settings.max_stream_bytes,
            item_bytes=self.settings.max_item_bytes,
            items=self.settings.max_items,
            output_bytes=self.settings.max_output_bytes,
        )
        self._file_limits = FileLimits(
            file_bytes=self.settings.max_file_bytes,
            files=self.settings.max_context_files,
            bytes=self.settings.max_context_bytes,
        )
        self.capabilities = Capabilities(self.languages, self.kernelspecs)
        self._culler: asyncio.Task[None] | None = None
        self.run_dir: RunDir | None = None
        self._launcher: Launcher | None = None
        self._pool: Pool | None = None
        self._contexts: Contexts | None = None
        self._branching: Branching | None = None
        self._installations: Installations | None = None
        self._closed = False

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
    def has_room(self) -> bool:
        """Whether a new context would be taken."""
        return self.contexts.has_room

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
        """Completes and inspects code in contexts."""
        return Assistance(self.contexts, name_of=lambda language: self.check_language(language).name)

    def describe_zygote(self) -> str:
        """One line for operators: ready, starting, idle or off, or why python kernels are spawned instead of forked."""
        zygotes = self.zygotes()
        return "off" if zygotes is None else zygotes.describe()

    def prepare(self) -> None:
        """Have python kernels ready to be forked, from now on; otherwise that begins when the first one is asked for."""
        if (zygotes := self.zygotes()) is not None:
            zygotes.current()

    def zygotes(self) -> Zygotes | None:
        """What python kernels are forked from; None where they are spawned."""
        if self._launcher is None:
            raise ShuttingDown
        return self._launcher.zygotes(self.check_language("python").kernel_name)

    async def remote_problem(self) -> str | None:
        """What is wrong with the remote Jupyter at the moment; None where it answers, or no language runs there."""
        if self._launcher is None:
            raise ShuttingDown
        return await self._launcher.remote_problem()

    async def __aenter__(self) -> Engine:
        self.run_dir = RunDir(self.settings.run_dir)
        self._launcher = self._make_launcher(run_dir=self.run_dir)
        options = ContextOptions(
            queue_size=self.settings.queue_size,
            interrupt_grace=self.settings.interrupt_grace,
            kept_messages=self.settings.websocket_buffer_bytes,
            observed_timeout=self.settings.websocket_timeout,
            kernel_limits={"stream_bytes": self._limits.stream_share, "item_bytes": self._limits.item_share},
        )
        kept = [language for name in self.settings.pool_languages if (language := self.languages.find(name))]
        self._pool = Pool(
            self.settings,
            kept=kept,
            start_kernel=self._start_pooled,
            run_dir=self.run_dir,
            metrics=self.metrics,
            busy=lambda: self.contexts.busy,
            is_current=self._launcher.is_current,
        )
        self._launcher.on_change = self._pool.wake
        brancher = Brancher(self.settings, run_dir=self.run_dir, launcher=self._launcher, metrics=self.metrics)
        self._contexts = Contexts(
            max_contexts=self.settings.max_contexts,
            idle_timeout=self.settings.context_idle_timeout,
            run_dir=self.run_dir,
            make=partial(
                Context,
                options=options,
                start_kernel=self._launcher.start,
                make_checkpoints=partial(Checkpoints, brancher),
                on_finished=self._note_finished,
            ),
            on_created=self._note_created,
            on_ended=self._note_ended,
            on_deleted=lambda context: self.executions.forget_context(context.id, context.language.name),
            take=self._pool.take,
        )
        self._branching = Branching(self._contexts, brancher, can_branch=self.capabilities.can_branch)
        self._installations = Installations(
            self.settings, self._contexts, self.run_dir, tool_of=self.capabilities.package_tool
        )
        self._pool.start()
        self._culler = asyncio.create_task(self._cull())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every execution, context and kernel; nothing is left behind. May be called again."""
        if self._closed or self._contexts is None:
            return
        self._closed = True
        if self._culler is not None:
            self._culler.cancel()
            await asyncio.wait({self._culler})
        await asyncio.gather(self._contexts.aclose(), self.pool.aclose())
        if self._launcher is not None:
            await self._launcher.aclose()
        if self.run_dir is not None:
            await asyncio.to_thread(self.run_dir.close)

    async def execute(
        self,
        code: str,
        *,
        language: str | None = None,
        context_id: str | None = None,
        env_vars: Mapping[str, str] | None = None,
        timeout: float | None = None,
        stdin: Sequence[str] | None = None,
        interactive: bool = False,
        variables: bool = False,
        checkpoint: bool = False,
        rolls_back: bool = False,
        data: bool = False,
        files: bool | None = None,
        idempotency_key: str | None = None,
    ) -> Execution:
        """Queue code in a context and return its Execution at once; `await execution.wait()` or follow its events.

        No `context_id`: a new context. `timeout`: seconds, the setting default_timeout where None. `stdin`: lines that input()
        gets, then end of input; `interactive`: input requests become events that `Execution.provide_input` answers.
        `variables`: the result tells which variables the code made, changed and removed. `checkpoint`: the state before the code
        is kept, and the result names it; `rolls_back`: the context returns to that state when the code fails, or its kernel dies.
        `data`: items of tables and plots also carry their values, where the kernel can tell them.
        `files`: the result tells which files the code made, changed and deleted; None: where that costs nothing to speak of.
        With an `idempotency_key` that was used before, the execution of that time is returned.

        Raises InvalidRequest, UnknownLanguage, QueueFull, TooManyContexts, IdempotencyConflict, NotSupported or ShuttingDown."""
        if self._closed:
            raise ShuttingDown
        found = self.check_language(language)
        check_text("code", code)
        for number, line in enumerate(stdin or ()):
            check_text(f"stdin.{number}", line)
        request = Request(
            code=code,
            timeout=self.check_timeout(timeout, found),
            env_vars=check_env_vars(env_vars),
            stdin=None if stdin is None else tuple(stdin),
            interactive=interactive,
            variables=variables,
            checkpoint=checkpoint,
            rolls_back=rolls_back,
            data=data,
            files=files,
        )
        check_context_id(context_id)
        await self.capabilities.check_usable(found)
        if request.env_vars:
            self.capabilities.check_env_vars(found)
        if variables:
            self.capabilities.check_variables(found)
        if checkpoint or rolls_back:
            self.branching.check_support(found)
        if files and found.is_remote:
            raise NotSupported("files", found.name, "its kernel runs on a remote Jupyter")
        fingerprint = b""
        if idempotency_key is not None:
            fingerprint = request.fingerprint(found.name, context_id)
            known = self.executions.find_key(idempotency_key, fingerprint)
            if known is not None:
                return known
        context = self.contexts.get_or_create(context_id or str(uuid.uuid4()), found)
        execution = Execution(
            request,
            context_id=context.id,
            language=found.name,
            limits=self._limits,
            max_events=self.settings.max_events,
            find_hint=self.installations.find_hint(context.id, found),
        )
        context.submit(execution)
        self.executions.add(execution, key=idempotency_key, fingerprint=fingerprint)
        return execution

    async def create_context(
        self,
        *,
        language: str | None = None,
        context_id: str | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        beside: str | None = None,
    ) -> Context:
        """Make a context, or find it, and return when its kernel is ready.

        `cwd`: an absolute path of an existing directory; None: a directory of its own, removed with the context. `env`:
        variables of a new context's kernel, from its start on. `beside`: another id, whose working directory a new id shares.
        Raises what `execute` raises, and KernelStartFailed."""
        found = self.check_language(language)
        check_context_id(context_id)
        path = check_cwd(cwd)
        if path is not None and found.is_remote:
            raise InvalidRequest(FieldError("cwd", f"{found.name!r} runs on a remote Jupyter, which decides that"))
        await self.capabilities.check_usable(found)
        known = len(self.contexts)
        context = self.contexts.get_or_create(context_id or str(uuid.uuid4()), found, path, check_env_vars(env), beside)
        try:
            await context.ready()
        except KernelStartFailed:
            if len(self.contexts) > known:
                self.contexts.end(context, "could not be started", asked_for=True)
            raise
        return context

    async def delete_context(self, context_id: str, language: str | None = None) -> None:
        """End the contexts of an id, of one language or of all, and forget their executions. Raises ContextNotFound."""
        name = None if language is None else self.check_language(language).name
        contexts = self.contexts.get(context_id, name)
        await asyncio.wait([self.contexts.end(context, DELETED, asked_for=True) for context in contexts])

    async def interrupt(self, execution_id: str) -> Execution:
        """Stop an execution, running or waiting. Raises ExecutionNotFound."""
        execution = self.executions.get(execution_id)
        if not execution.is_finished:
            (context,) = self.contexts.get(execution.context_id, execution.language)
            await context.interrupt(execution)
        return execution

    async def variables(
        self, context_id: str, *, language: str | None = None, limit: int = 200, after: str = "", match: str = ""
    ) -> VariableList:
        """What a context's user has named, `limit` names from `after` on that contain `match`; of several languages the
        oldest that can tell. Waits a while for running cells.

        Raises ContextNotFound, UnknownLanguage, NotSupported, ContextBusy, VariablesUnavailable or KernelDied."""
        name = None if language is None else self.check_language(language).name
        contexts = self.contexts.get(context_id, name)
        able = [context for context in contexts if self.capabilities.tells_variables(context.language)]
        if not able:
            self.capabilities.check_variables(contexts[0].language)
        content = {"limit": limit, "after": after, "match": match}
        try:
            reply = await able[0].ask("variables_request", content, patience=_TURN_WAIT, timeout=_VARIABLES_WAIT)
            return VariableList(items=[], total=0, truncated=False) if reply is None else listing_of(reply)
        except (KernelTimeout, MessageError) as error:
            raise VariablesUnavailable(context_id, error.message) from None

    def files(self, context_id: str, *, language: str | None = None, creates: bool = False) -> Files:
        """The files of a context, which all its languages share. `creates`: it is made where there is none, of that language.

        Raises ContextNotFound, UnknownLanguage, TooManyContexts or ShuttingDown."""
        found = None if language is None else self.check_language(language)
        if creates and found is not None:
            check_context_id(context_id)
            context = self.contexts.get_or_create(context_id, found)
        else:
            context = self.contexts.get(context_id, found.name if found else None)[0]
        context.last_activity = datetime.now(UTC)
        if context.language.is_remote:
            root = self.settings.jupyter_file_root or ""
            return RemoteFiles(context, root=root, max_file_bytes=self.settings.max_file_bytes)
        return LocalFiles(context.id, context.workspace, self._file_limits)

    def check_language(self, language: str | None) -> Language:
        """The language that a name means. Raises UnknownLanguage."""
        return self.capabilities.find(language)

    def check_timeout(self, timeout: float | None, language: Language | None = None) -> float:
        """Raises InvalidRequest for what is not above 0 and at most the setting max_timeout. Seconds."""
        if timeout is None:
            is_remote = language is not None and language.is_remote
            return (self.settings.jupyter_timeout if is_remote else None) or self.settings.default_timeout
        if not 0 < timeout <= self.settings.max_timeout:
            most = round(self.settings.max_timeout * 1000)
            raise InvalidRequest(FieldError("timeout_ms", f"must be between 1 and {most}"))
        return timeout

    async def _start_pooled(self, language: Language, workspace: Workspace) -> Kernel:
        assert self._launcher is not None
        problem = await self.capabilities.problem(language)
        if problem is not None:
            raise KernelStartFailed(language.kernel_name, problem)
        return await self._launcher.start(language, workspace, patient=True)

    def _note_finished(self, execution: Execution) -> None:
        seconds = execution.duration or 0.0
        self.metrics.note_ended(execution.language, execution.status, seconds)
        if execution.was_truncated:
            self.metrics.output_truncated.inc()
        get_logger().debug(
            "execution_finished",
            execution=execution.id,
            context=execution.context_id,
            status=execution.status,
            seconds=round(seconds, 4),
            bytes=execution.size,
        )
        self.executions.note_finished(execution)
        self.pool.note_free_core()

    def _note_created(self, context: Context) -> None:
        self.metrics.contexts.labels(context.language.name).inc()
        get_logger().info("context_created", context=context.id, language=context.language.name)

    def _note_ended(self, context: Context, reason: str) -> None:
        self.sessions.note_ended(context.id, context.language.name)
        self.metrics.contexts.labels(context.language.name).dec()
        self.metrics.contexts_ended.labels(context.language.name).inc()
        get_logger().info("context_ended", context=context.id, language=context.language.name, reason=reason)

    async def _cull(self) -> None:
        interval = min(_CULL_INTERVAL, self.settings.context_idle_timeout / 4)
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(interval)
                self.contexts.cull()
