"""A kernel's process and the channels to it: launched or adopted, watched, ended and released. What is begun is always released."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from jupyter_client.kernelspec import KernelSpec

from engine.errors import KernelStartFailed, MessageError
from engine.kernels.channels import Channels, MakeChannels, Receiver, stream_pair
from engine.kernels.connection_file import connection_info, relay_command, relayed_info, write_connection_file
from engine.kernels.kernelspecs import CONNECTION_FILE, honours, memory_slack
from engine.kernels.limiting import Breach, Ward, advice
from engine.kernels.memory import is_out_of_memory, limit_growth
from engine.kernels.provisioners import Exit, OutputReader, Provisioner
from engine.kernels.refusals import start_refused

_EXIT_WAIT = 5.0  # seconds a killed process has to be gone


class Owner(Receiver, OutputReader, Protocol):
    """Who the process works for: a kernel."""

    def note_exit(self) -> None:
        """The process has ended and `exited` is resolved; called once."""


class Remover(Protocol):
    """Who removes directories: the run directory."""

    async def remove(self, path: Path) -> bool:
        """Remove a directory with all that is in it, in a thread. Returns whether it is gone; if not, it is tried again later."""


class KernelProcess:
    """One process in a directory of its own, which goes with it: `remover` removes it. `start` or `adopt` is called once.

    `ward`: keeps the process within limits, and goes with it, too. `uid`: who reads its files."""

    def __init__(
        self,
        spec: KernelSpec,
        provisioner: Provisioner,
        directory: Path,
        owner: Owner,
        *,
        remover: Remover,
        ward: Ward | None,
        uid: int | None = None,
    ) -> None:
        self.provisioner = provisioner
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.channels: Channels | None = None
        self.was_killed = False
        self._spec = spec
        self._directory = directory
        self._owner = owner
        self._remover = remover
        self._ward = ward
        self._uid = uid
        self._stream: socket.socket | None = None
        self._broken: MessageError | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        provisioner.reader = owner
        if ward is not None:
            ward.holder = self

    async def start(
        self,
        command: Sequence[str],
        channels: MakeChannels,
        *,
        cwd: Path,
        env: dict[str, str],
        timeout: float,
        tcp: bool,
        relayed: bool = False,
    ) -> None:
        """Launch the process and return when it takes requests. `relayed`: its ports are out of our reach, so a relay beside it has
        sockets for us. Raises KernelStartFailed; nothing is left then."""
        try:
            groups = await self._open_ward()
            info = await self._launch(command, cwd=cwd, env=env, tcp=tcp, relayed=relayed, groups=groups)
            self._watcher = asyncio.create_task(self._watch())
            await asyncio.gather(self._enter_ward(), self._open(channels, info, timeout))
            self._settle_ward()
        except BaseException as error:
            await self._give_up(error)
            raise

    async def adopt(self, stream: socket.socket, channels: MakeChannels, *, timeout: float) -> None:
        """Take over the process that sends the first message to `stream`, our end of a pair that learns its pid.

        Raises KernelStartFailed; nothing is left then."""
        self._stream = stream
        try:
            await self._open(channels, {"transport": "stream"}, timeout)
            pid = self.channels.peer_pid if self.channels is not None else None
            if not pid:
                raise KernelStartFailed(self._spec.display_name, "its process is not known")
            await self.provisioner.adopt(pid)
            self._watcher = asyncio.create_task(self._watch())
            if self._broken is not None:
                raise KernelStartFailed(self._spec.display_name, self._broken.message)
            await self._enter_ward()
            self._settle_ward()
        except BaseException as error:
            await self._give_up(error)
            raise

    async def kill(self) -> None:
        """End the process and everything it started, at once, and release what it held."""
        self.was_killed = True
        try:
            await self.provisioner.kill()
        finally:
            if self._watcher is not None:
                await asyncio.wait({self._watcher}, timeout=_EXIT_WAIT)
            await self._release()

    def end_broken(self, error: MessageError) -> None:
        """Nothing that the process sends can be understood any more: end it, and what waits for it ends with its death."""
        self._broken = error
        self._in_background(self.provisioner.kill())

    def note_busy(self, is_busy: bool) -> None:
        """Whether it runs a cell: then it is looked at more often."""
        if self._ward is not None:
            self._ward.note_busy(is_busy)

    def note_breach(self, breach: Breach) -> None:
        """It has reached a limit: end it."""
        self._in_background(self.provisioner.kill())

    def how_it_ended(self) -> str:
        return self.exited.result().describe() if self.exited.done() else "gone"

    async def _launch(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: dict[str, str],
        tcp: bool,
        relayed: bool,
        groups: Sequence[int],
    ) -> Mapping[str, Any]:
        theirs: socket.socket | None = None
        try:
            if honours(self._spec, "stream") and not tcp:
                self._stream, theirs = stream_pair()
                written = {"transport": "stream", "fd": theirs.fileno()}
            else:
                written = connection_info(self._directory, tcp=tcp)
            path = self._directory / "connection.json"
            if self.provisioner.reads_connection_file:
                write_connection_file(path, written, uid=self._uid)
            command = [argument.replace(CONNECTION_FILE, str(path)) for argument in command]
            info = written
            if relayed and theirs is None:
                info, command = relayed_info(self._directory, written), relay_command(self._directory, written, command)
            return await self.provisioner.launch_kernel(
                list(command),
                cwd=cwd,
                env=env,
                connection_info=info,
                stream=theirs,
                groups=groups,
            )
        finally:
            if theirs is not None:  # its end of the stream shall be open nowhere but in the kernel
                theirs.close()

    async def _open(self, channels: MakeChannels, info: Mapping[str, Any], timeout: float) -> None:
        if self.exited.done():  # already, and our end of the stream may be closed
            raise KernelStartFailed(self._spec.display_name, self.how_it_ended(), detail=self.provisioner.last_output())
        if self._stream is not None:
            info = {**info, "socket": self._stream}
        self.channels = channels(info, self._owner, kernel_waits=honours(self._spec, "output_limits"))
        opening = asyncio.create_task(self.channels.open())
        self.exited.add_done_callback(lambda _: opening.cancel())
        try:
            await asyncio.wait({opening}, timeout=timeout)
        finally:
            opened = opening.done()
            opening.cancel()
        reason = self.how_it_ended() if self.exited.done() else f"no answer in {timeout:g} s"
        if opened and not opening.cancelled():
            try:
                return opening.result()
            except MessageError as error:
                reason = error.message
        raise KernelStartFailed(self._spec.display_name, reason, detail=self.provisioner.last_output())

    async def _give_up(self, error: BaseException) -> None:
        """Release everything after a start that failed, also if the caller is cancelled meanwhile.

        Raises KernelStartFailed, StorageFull or TooManyOpenFiles in the place of what the system refused."""
        await asyncio.shield(self._in_background(self.kill()))
        if isinstance(error, OSError):
            raise start_refused(self._spec.display_name, error) from None

    async def _open_ward(self) -> Sequence[int]:
        """Descriptors through which the process enters its control groups; none where it is put there."""
        return await self._ward.open() if self._ward is not None and self.provisioner.enters_groups else ()

    async def _enter_ward(self) -> None:
        if self._ward is not None and self.provisioner.pid is not None:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended, and somebody else says so
                await self._ward.enter(self.provisioner.pid)

    def _settle_ward(self) -> None:
        """From now on only what its user's code takes counts: the interpreter, and what it has imported, are there."""
        pid = self.provisioner.pid
        if self._ward is None or pid is None:
            return
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            if self._ward.limits.memory is not None:
                limit_growth(pid, self._ward.limits.memory + memory_slack(self._spec), uid=self._uid)
            self._ward.settle(pid)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def _watch(self) -> None:
        await self.provisioner.wait()
        if self.channels is not None:
            await self.channels.drain()
        self._owner.drain_process_output()
        if not self.exited.done():
            self.exited.set_result(self._ended())
        self._owner.note_exit()
        await self._release()

    def _ended(self) -> Exit:
        """How the process ended, with what is known better than its exit code."""
        ended = self.provisioner.exit or Exit(None)
        is_hungry = is_out_of_memory(ended.code, self.provisioner.last_output())
        breach = self._ward.breach_of(ended.code, is_out_of_memory=is_hungry) if self._ward is not None else None
        if breach is not None:
            told = advice(breach.limit, breach.value)
            ended = replace(ended, reason=breach.describe(), peak_bytes=breach.bytes_of(ended.peak_bytes), advice=told)
        elif is_hungry:
            ended = replace(ended, reason="out of memory")
        if self._broken is not None:
            ended = replace(ended, reason=f"killed, as its stream broke: {self._broken.message}")
        return ended

    async def _release(self) -> None:
        """Let go of everything; a step that fails keeps none of the others from being done."""
        try:
            try:
                await self.provisioner.cleanup()
            finally:
                if self._ward is not None:
                    await self._ward.aclose()
        finally:
            try:
                if self.channels is not None:
                    await self.channels.aclose()
            finally:
                with contextlib.suppress(OSError):
                    if self._stream is not None:
                        self._stream.close()
                await self._remover.remove(self._directory)
