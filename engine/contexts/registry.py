"""Contexts: all of them, one per (id, language), within a limit. Contexts of one id share a working directory."""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from engine.contexts.branches import Brancher
from engine.contexts.checkpoints import Checkpoints
from engine.contexts.context import Context, ContextOptions
from engine.contexts.execution import Execution
from engine.contexts.inheritance import CREATED, Inheritance
from engine.contexts.lifetimes import Lifetimes
from engine.contexts.own_limits import limits_for
from engine.errors import (
    ContextExists,
    ContextNotFound,
    PolyreplError,
    ShuttingDown,
    StorageFull,
    TooManyContexts,
)
from engine.kernels import Kernel, Member, Pool
from engine.languages import Language
from engine.options import Isolation
from engine.settings import AskedLimits
from engine.workspaces import Anchor, RunDir, Workspace, shortage

DELETED = "was deleted"  # why a context ended that its user wanted to go
_REMEMBERED_ENDINGS = 1000
_CULL_INTERVAL = 30.0  # seconds, at most, between looks at what is idle
_RETRY_INTERVAL = 30.0  # seconds between attempts to remove what is left


@dataclass(frozen=True, slots=True)
class _Ending:
    """`left`: to a later context of the same id."""

    reason: str
    left: Inheritance


class ContextListener(Protocol):
    """Whoever wants to know which contexts there are."""

    def context_created(self, context: Context) -> None: ...
    def context_ended(self, context: Context, reason: str, *, asked_for: bool) -> None:
        """Called once for each, when its cells have ended; its kernel and its files go afterwards."""


class Contexts:
    """All contexts, within a limit. Changes are made synchronously; what they end is closed in the background.

    Invariants: `_by_key` has the one living context of each (id, language), and `_workspaces` the directories of the ids that have
    any. A context is in `_by_key` until it is ended, and is ended once: a later `end` returns the end that is under way, and never
    touches the context that has its key by then. What is in `_closing` still has a kernel or files."""

    def __init__(
        self,
        *,
        max_contexts: int,
        idle_timeout: float,
        options: ContextOptions,
        run_dir: RunDir,
        pool: Pool,
        brancher: Brancher,
        listener: ContextListener,
    ) -> None:
        self._max_contexts = max_contexts
        self._idle_timeout = idle_timeout
        self._options = options
        self._run_dir = run_dir
        self._pool = pool
        self._brancher = brancher
        self._listener = listener
        self._by_key: dict[tuple[str, str], Context] = {}
        self._workspaces: dict[str, Workspace] = {}
        self._endings: OrderedDict[tuple[str, str], _Ending] = OrderedDict()
        self._lifetimes = Lifetimes(self)
        self._closing: dict[Context, asyncio.Task[None]] = {}
        self._tending: list[asyncio.Task[None]] = []
        self._closed = False

    def __repr__(self) -> str:
        return f"<Contexts {'CLOSED' if self._closed else 'OPEN'}, {len(self)} of {self._max_contexts}>"

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Context]:
        return iter(list(self._by_key.values()))

    def get(self, context_id: str, language: str | None = None) -> list[Context]:
        """The contexts of an id, oldest first. Raises ContextNotFound, which tells how it ended where that is known."""
        found = [context for context in self if context.id == context_id and language in (None, context.language.name)]
        if not found:
            endings = [end.reason for (ended_id, _), end in self._endings.items() if ended_id == context_id]
            raise ContextNotFound(context_id, ended=endings[-1] if endings else None)
        return found

    def get_or_create(
        self,
        context_id: str | None,
        language: Language,
        cwd: Anchor | None = None,
        env: dict[str, str] | None = None,
        beside: str | None = None,
        labels: Mapping[str, str] | None = None,
        isolation: Isolation | None = None,
        limits: AskedLimits | None = None,
    ) -> tuple[Context, bool]:
        """The context of (id, language), made where there is none, and whether it was. `labels`: added to its own at once.

        `env`: variables of its kernel from the start. `isolation`: what the request asked for. `limits`: what it may take;
        contexts of one id have the same. `beside`: another id, whose working directory a new id shares.
        Raises InvalidRequest, OtherLimits, TooManyContexts, StorageFull or ShuttingDown."""
        context_id = context_id or str(uuid.uuid4())
        key = context_id, language.name
        joined = self._workspaces.get(context_id) or (self._workspaces.get(beside) if beside else None)
        own_limits = limits_for(context_id, language, joined, limits)
        context = self._by_key.get(key)
        if context is not None:
            context.labels |= labels or {}
            return context, False
        if self._closed:
            raise ShuttingDown
        if joined is not None:
            joined.users.add(key)  # first, so that making room cannot take its files away
        try:
            self._make_room()
        except TooManyContexts:
            if joined is not None:
                joined.users.discard(key)
            raise
        # A pooled kernel was started in a directory of its own, and as the settings say: it is for contexts that bring nothing else.
        is_usual = joined is None and cwd is None and not (env or isolation or limits)
        member = self._pool.take(language) if is_usual else None
        workspace = joined or self._new_workspace(context_id, cwd, member, isolation=isolation)
        for each in (context_id, beside or context_id):
            self._workspaces.setdefault(each, workspace)
        workspace.env.update(env or {})
        workspace.limits = own_limits if joined is None else joined.limits
        context = self._add(context_id, language, workspace, member.kernel if member else None)
        context.labels |= labels or {}
        return context, True

    def submit(self, execution: Execution, context: Context, *, is_new: bool) -> None:
        """Queue an execution. A context that is new, made for it, goes if it is refused. Raises what `Context.submit` raises."""
        try:
            context.submit(execution)
        except PolyreplError:
            if is_new:  # nobody else knows it: nothing was awaited since it was made
                self.undo(context, "was refused its first execution")
            raise

    def add_branch(self, context_id: str, source: Context) -> Context:
        """A new context to become a copy of another: with directories of its own, but for a working directory that its user named.

        Raises ContextExists, TooManyContexts, StorageFull or ShuttingDown."""
        if self._closed:
            raise ShuttingDown
        if context_id in self._workspaces:
            raise ContextExists(context_id)
        self._make_room(keep=source)
        named = source.workspace.named
        shared = named.shared() if named is not None else None
        return self._add(context_id, source.language, self._new_workspace(context_id, shared, None, source.workspace))

    def _add(self, context_id: str, language: Language, workspace: Workspace, kernel: Kernel | None = None) -> Context:
        key = context_id, language.name
        workspace.users.add(key)
        context = self._by_key[key] = Context(
            context_id,
            language,
            workspace,
            options=self._options,
            owner=self,
            checkpoints=Checkpoints(self._brancher, context_id=context_id, language=language, workspace=workspace),
            kernel=kernel,
        )
        ending = self._endings.pop(key, None)
        if ending is not None:
            context.inheritance = ending.left
        self._lifetimes.begin(context)
        self._listener.context_created(context)
        return context

    def _new_workspace(
        self,
        context_id: str,
        cwd: Anchor | None,
        member: Member | None,
        source: Workspace | None = None,
        isolation: Isolation | None = None,
    ) -> Workspace:
        """`source`: that of the context of which it is to be a branch."""
        try:
            if member is not None:
                workspace = member.workspace
            elif source is not None:
                workspace = self._run_dir.new_workspace(context_id, cwd, source.slot, source.isolation)
                workspace.limits = source.limits
            else:
                workspace = self._run_dir.new_workspace(context_id, cwd, isolation=isolation)
        except OSError as error:
            what = "the files of this context"
            raise shortage(error, what) or StorageFull(error.strerror or "they cannot be made", what=what) from None
        self._workspaces[context_id] = workspace
        return workspace

    @property
    def has_room(self) -> bool:
        """Whether a new context would be taken, if need be in the place of an idle one."""
        return len(self._by_key) < self._max_contexts or any(context.can_go for context in self)

    @property
    def busy(self) -> int:
        """How many run code or start a kernel."""
        return sum(not context.is_idle for context in self._by_key.values())

    def _make_room(self, keep: Context | None = None) -> None:
        if len(self._by_key) < self._max_contexts:
            return
        idle = [context for context in self if context.can_go and context is not keep]
        if not idle:
            raise TooManyContexts(self._max_contexts)
        self.end(min(idle, key=lambda context: context.last_activity), "was evicted to make room for another")

    def end(
        self, context: Context, reason: str, *, asked_for: bool = False, error: PolyreplError | None = None
    ) -> asyncio.Task[None]:
        """Take a context out, now, and close it in the background; the task is done when nothing of it is left.

        `asked_for`: its user wanted this, so a later context of the same id has lost nothing. `error`: what its clients are told."""
        key = context.id, context.language.name
        if self._by_key.get(key) is not context:
            return self._closing.get(context) or context.end(reason)
        del self._by_key[key]
        self._lifetimes.end(context)
        workspace = context.workspace
        workspace.users.discard(key)
        is_last = not workspace.users
        if is_last:
            workspace.close()
            self._workspaces = {each: kept for each, kept in self._workspaces.items() if kept is not workspace}
        self._remember(key, _Ending(reason, CREATED if asked_for else context.inheritance.lost(f"it {reason}")))
        ending = context.end(reason, error)
        self._listener.context_ended(context, reason, asked_for=asked_for)
        task = self._closing[context] = asyncio.create_task(self._close(ending, workspace.root if is_last else None))
        task.add_done_callback(lambda _: self._closing.pop(context))
        return task

    def discard(self, context: Context) -> None:
        """End a context that its maker could not start, unless somebody else uses it by now."""
        if not context.is_used:
            self.undo(context, "could not be started")

    def undo(self, context: Context, reason: str) -> None:
        """End a context that its maker could not make. What its id has lost before is still to be told."""
        key, left = (context.id, context.language.name), context.inheritance
        if self._by_key.get(key) is context:
            self.end(context, reason, asked_for=True)
            if left.loss is not None:
                self._remember(key, _Ending(reason, left))

    def _remember(self, key: tuple[str, str], ending: _Ending) -> None:
        self._endings[key] = ending
        self._endings.move_to_end(key)
        if len(self._endings) > _REMEMBERED_ENDINGS:
            self._endings.popitem(last=False)

    async def _close(self, ending: asyncio.Task[None], root: Path | None) -> None:
        await asyncio.wait({ending})
        if root is not None:
            await self._run_dir.remove(root)
        ending.result()

    def cull(self) -> None:
        """End every context that has been idle for longer than the idle timeout."""
        now = datetime.now(UTC)
        for context in self:
            if context.can_go and (now - context.last_activity).total_seconds() >= self._idle_timeout:
                self.end(context, f"was ended after {self._idle_timeout:g} s without activity")

    def start(self) -> None:
        """Begin to end the contexts that are idle for too long, and to remove what could not be removed with its context."""
        interval = min(_CULL_INTERVAL, self._idle_timeout / 4)
        self._tending = [asyncio.create_task(_cull(self, interval)), asyncio.create_task(_retry(self._run_dir))]

    async def aclose(self) -> None:
        """End all contexts, and what checks their cells."""
        self._closed = True
        await _stop(self._tending)
        for context in self:
            self.end(context, "was ended with the server", error=ShuttingDown())
        if self._closing:
            await asyncio.wait(self._closing.values())
        await self._options.checks.aclose()


async def _stop(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def _cull(contexts: Contexts, interval: float) -> None:
    while True:
        await asyncio.sleep(interval)
        contexts.cull()


async def _retry(run_dir: RunDir) -> None:
    while True:
        await asyncio.sleep(_RETRY_INTERVAL)
        await run_dir.retry()
