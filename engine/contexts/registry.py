"""Contexts: all of them, one per (id, language), within a limit. Contexts of one id share a working directory."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from engine.contexts.context import Context
from engine.errors import ContextExists, ContextNotFound, ShuttingDown, TooManyContexts
from engine.kernels.pool import Member
from engine.languages import Language
from engine.workspaces.run_directory import RunDir, Workspace

DELETED = "was deleted"  # why a context ended that its user wanted to go
_REMEMBERED_ENDINGS = 1000


@dataclass(frozen=True, slots=True)
class _Ending:
    reason: str
    asked_for: bool


class Contexts:
    """All contexts, within a limit. Changes are made synchronously; what they end is closed in the background."""

    def __init__(
        self,
        *,
        max_contexts: int,
        idle_timeout: float,
        run_dir: RunDir,
        make: Callable[[str, Language, Workspace], Context],
        on_created: Callable[[Context], None],
        on_ended: Callable[[Context, str], None],
        on_deleted: Callable[[Context], None],
        take: Callable[[Language], Member | None] = lambda language: None,
    ) -> None:
        self._max_contexts = max_contexts
        self._idle_timeout = idle_timeout
        self._run_dir = run_dir
        self._make = make
        self._on_created = on_created
        self._on_ended = on_ended
        self._on_deleted = on_deleted
        self._take = take
        self._by_key: dict[tuple[str, str], Context] = {}
        self._workspaces: dict[str, Workspace] = {}
        self._endings: OrderedDict[tuple[str, str], _Ending] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

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
        context_id: str,
        language: Language,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        beside: str | None = None,
    ) -> Context:
        """The context of (id, language), made where there is none. Raises TooManyContexts or ShuttingDown.

        `env`: variables of its kernel from the start. `beside`: another id, whose working directory a new id shares."""
        key = context_id, language.name
        context = self._by_key.get(key)
        if context is not None:
            return context
        if self._closed:
            raise ShuttingDown
        joined = self._workspaces.get(context_id) or (self._workspaces.get(beside) if beside else None)
        if joined is not None:
            joined.users.add(key)  # first, so that making room cannot take its files away
        try:
            self._make_room()
        except TooManyContexts:
            if joined is not None:
                joined.users.discard(key)
            raise
        # A pooled kernel was started in a directory of its own, and without `env`: it is for contexts that bring neither.
        member = self._take(language) if joined is None and cwd is None and not env else None
        workspace = joined or self._new_workspace(context_id, cwd, member)
        for each in (context_id, beside or context_id):
            self._workspaces.setdefault(each, workspace)
        workspace.env.update(env or {})
        context = self._add(context_id, language, workspace)
        context.kernel = member.kernel if member else None
        return context

    def add_branch(self, context_id: str, source: Context) -> Context:
        """A new context to become a copy of another: with directories of its own, but for a working directory that its user named.

        Raises ContextExists, TooManyContexts or ShuttingDown."""
        if self._closed:
            raise ShuttingDown
        if context_id in self._workspaces:
            raise ContextExists(context_id)
        self._make_room(keep=source)
        shared = None if source.workspace.is_own else source.workspace.cwd
        return self._add(context_id, source.language, self._new_workspace(context_id, shared, None))

    def _add(self, context_id: str, language: Language, workspace: Workspace) -> Context:
        workspace.users.add((context_id, language.name))
        context = self._make(context_id, language, workspace)
        context.shut_down = partial(self.end, context, "was shut down by its client", asked_for=True)
        self._by_key[context_id, language.name] = context
        ending = self._endings.pop((context_id, language.name), None)
        if ending is not None and not ending.asked_for:
            context.note_lost_state()
        self._on_created(context)
        return context

    def _new_workspace(self, context_id: str, cwd: Path | None, member: Member | None) -> Workspace:
        workspace = member.workspace if member else self._run_dir.new_workspace(context_id, cwd)
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

    def end(self, context: Context, reason: str, *, asked_for: bool = False) -> asyncio.Task[None]:
        """Take a context out, now, and close it in the background; the task is done when nothing of it is left.

        `asked_for`: its user wanted this, so a later context of the same id has lost nothing."""
        key = context.id, context.language.name
        self._by_key.pop(key, None)
        workspace = self._workspaces.get(context.id)
        if workspace is not None:
            workspace.users.discard(key)
            if not workspace.users:
                self._workspaces = {each: kept for each, kept in self._workspaces.items() if kept is not workspace}
            else:
                workspace = None
        self._endings[key] = _Ending(reason, asked_for)
        if len(self._endings) > _REMEMBERED_ENDINGS:
            self._endings.popitem(last=False)
        self._on_ended(context, reason)
        task = asyncio.create_task(self._close(context, reason, workspace, asked_for=asked_for))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task

    async def _close(self, context: Context, reason: str, workspace: Workspace | None, *, asked_for: bool) -> None:
        await context.aclose(reason)
        if asked_for:
            self._on_deleted(context)
        if workspace is not None:
            await asyncio.to_thread(self._run_dir.remove, workspace.root)

    def cull(self) -> None:
        """End every context that has been idle for longer than the idle timeout."""
        now = datetime.now(UTC)
        for context in self:
            if context.can_go and (now - context.last_activity).total_seconds() >= self._idle_timeout:
                self.end(context, f"was ended after {self._idle_timeout:g} s without activity")

    async def aclose(self) -> None:
        """End all contexts."""
        self._closed = True
        for context in self:
            self.end(context, "was ended with the server")
        if self._closing:
            await asyncio.wait(self._closing)
