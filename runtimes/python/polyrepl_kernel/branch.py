"""Branches: a copy of this process, with the whole live state, that goes on as a kernel of its own."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import select
import signal
import socket
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, NamedTuple, NoReturn

from . import inventory, loops, prctl, reopening
from .cells import Cell
from .forked import reseed
from .inventory import Finding
from .pipes import Capture
from .protocol import Request
from .start import process_name
from .stream import StreamTransport

if TYPE_CHECKING:
    from .kernel import Kernel
    from .transport import Transport

_FDS = 5  # the stream, and both ends of the pipes for stdout and stderr
_SETTLE_SECONDS = 20.0
_MOST_FINDINGS = 200
_abandoned: list[Any] = []  # loops whose tasks a branch has left behind: they must neither wake nor be collected


class Plan(NamedTuple):
    """What a fork_request asks for (``runtimes/README.md``)."""

    directories: list[tuple[str, str]]
    env: dict[str, str]
    tag: str
    force: bool
    reseed: bool

    @classmethod
    def of(cls, content: dict[str, Any]) -> Plan:
        """Raises ValueError for what is none."""
        try:
            directories = [(str(old), str(new)) for old, new in content["directories"]]
            env = {str(name): str(value) for name, value in content["env"].items()}
            return cls(directories, env, str(content["tag"]), bool(content.get("force")), bool(content.get("reseed")))
        except (KeyError, TypeError, AttributeError) as error:
            msg = f"a fork_request needs directories, env and tag: {error!r}"
            raise ValueError(msg) from None

    def moved(self, path: str) -> str | None:
        """Where a path leads in the branch; None where that is the same place."""
        return reopening.moved(path, self.directories)


class Survey(NamedTuple):
    """What there is beside memory."""

    findings: list[Finding]
    descriptors: inventory.Descriptors
    has_tasks: bool

    @classmethod
    def of(cls, kernel: Kernel, ignored: Sequence[int]) -> Survey:
        """Look at this process. `ignored`: descriptors that are for the branch."""
        assert kernel.loop is not None
        descriptors = inventory.descriptors({*_own_fds(kernel), *ignored})
        tasks = [finding for finding, _ in inventory.tasks(kernel.loop)]
        findings = [
            *inventory.threads(kernel.loop, (kernel.helper.ident, kernel.helper.native_id)),
            *tasks,
            *descriptors.findings,
            *inventory.processes(),
            *inventory.timers(),
        ]
        return cls(findings, descriptors, bool(tasks))


def fork(kernel: Kernel, request: Request) -> dict[str, Any]:
    """The fork_reply. In the branch it does not return: the loop goes on with the branch's own client."""
    try:
        if len(request.fds) != _FDS:
            msg = f"{len(request.fds)} descriptors came along instead of {_FDS}"
            raise ValueError(msg)
        plan = Plan.of(request.content)
        survey = Survey.of(kernel, request.fds)
        obstacles = [finding for finding in survey.findings if finding.blocks]
        if obstacles and not plan.force:
            return _refusal(obstacles)
        return _fork(kernel, plan, survey, request.fds)
    finally:
        for fd in request.fds:
            os.close(fd)


def _fork(kernel: Kernel, plan: Plan, survey: Survey, fds: Sequence[int]) -> dict[str, Any]:
    kernel.outbox.flush_streams()
    transport, numbers = kernel.transport, random.getstate()
    assert transport is not None
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with open(reader, "rb") as pipe, _undisturbed() as signals:
        with open(writer, "wb") as told:
            with kernel.quiet():
                pid, failure = _fork_twice(process_name(plan.tag))
            if pid == 0:
                signal.pthread_sigmask(signal.SIG_SETMASK, signals)
                _become(kernel, transport, plan, survey, fds, told, numbers)
        # What a look at all of this takes passes while the branch settles.
        shared = list(inventory.shared_memory())
        said = _read_to_end(pipe)
    if said is None:
        return _refusal([Finding("process", f"the branch {failure or 'ended, or did not settle in time'}")])
    if "error" in said:
        return _refusal([Finding("process", f"the branch could not settle: {said['error']}")])
    lost = [Finding(kind, name) for kind, name in said["lost"]]
    return {"status": "ok", "not_carried": _listed([*survey.findings, *shared, *lost])}


@contextmanager
def _undisturbed() -> Iterator[set[int]]:
    """Keep signals, and Python's warning about forks beside threads, away. Gives the signals that were blocked before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGCHLD})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _fork_twice(name: str) -> tuple[int, str]:
    """Fork a process that becomes the zygote's, or init's: the first value is 0 in it. Elsewhere the second says why there is none.

    The kernel takes every other orphan, but not this one. `name`: by which the zygote knows that it is to live."""
    prctl.take_orphans(False)
    try:
        pid = os.fork()
        if pid == 0:
            try:
                prctl.name_process(name)
                if os.fork():
                    os._exit(0)
            except OSError as error:
                os._exit(error.errno or errno.EAGAIN)
            return 0, ""
        return pid, _failure_of(pid)
    finally:
        prctl.take_orphans()  # the branch its own


def _failure_of(between: int) -> str:
    """Collect the process between; why it could not fork, where it could not."""
    try:
        status = os.waitstatus_to_exitcode(os.waitpid(between, 0)[1])
    except ChildProcessError:  # SIGCHLD is ignored: whoever did so waits for nobody
        return ""
    return f"could not be forked: {os.strerror(status)}" if status > 0 else ""


def _read_to_end(pipe: IO[bytes]) -> dict[str, Any] | None:
    """What the branch tells once it has settled; None where it ends before that, or takes too long."""
    said = b""
    poller = select.poll()
    poller.register(pipe, select.POLLIN)
    while poller.poll(_SETTLE_SECONDS * 1000):
        data = os.read(pipe.fileno(), 65536)
        if not data:
            return json.loads(said) if said else None
        said += data
    return None


def _refusal(obstacles: Sequence[Finding]) -> dict[str, Any]:
    named = ", ".join(f"{kind} {name}" for kind, name, _ in obstacles[:5])
    more = f" and {len(obstacles) - 5} more" if len(obstacles) > 5 else ""
    return {
        "status": "error",
        "ename": "CannotBranch",
        "evalue": f"cannot be copied: {named}{more}",
        "traceback": [],
        "obstacles": _listed(obstacles),
    }


def _listed(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [{"kind": finding.kind, "name": finding.name} for finding in findings[:_MOST_FINDINGS]]


def _own_fds(kernel: Kernel) -> set[int]:
    assert kernel.transport is not None
    loop_fds = loops.descriptors(kernel.loop)
    return {0, 1, 2, kernel.transport.fileno(), *kernel.helper.fds, *kernel.wakeup_fds, *kernel.output_fds, *loop_fds}


def _become(
    kernel: Kernel,
    transport: Transport,
    plan: Plan,
    survey: Survey,
    fds: Sequence[int],
    to_parent: IO[bytes],
    numbers: Any,
) -> NoReturn:
    """Be the branch: have everything that was shared with the parent exchanged, and unwind to the loop."""
    told: dict[str, Any] = {"lost": []}
    try:
        descriptors = inventory.remaining(survey.descriptors)
        stream, stdout_reader, stdout, stderr_reader, stderr = map(os.dup, fds)
        for fd, number in ((stdout, 1), (stderr, 2)):
            os.dup2(fd, number)
            os.close(fd)
        os.setsid()
        _leave_parent(kernel, transport, drop_tasks=survey.has_tasks)
        told["lost"] = reopening.reopen(descriptors, plan.directories)
        told["lost"] += _move(kernel, plan)
        if plan.reseed:
            reseed()
        else:
            random.setstate(numbers)  # Python reseeds it at every fork
        kernel.cells.enter(Cell())
        kernel.attach(
            StreamTransport(socket.socket(fileno=stream)), Capture(1, stdout_reader), Capture(2, stderr_reader)
        )
    except BaseException as error:
        told = {"error": f"{type(error).__name__}: {error}"}
        traceback.print_exc(file=sys.__stderr__)
        raise
    finally:
        with suppress(OSError), to_parent:  # the parent may be gone
            to_parent.write(json.dumps(told).encode())
        if "error" in told:
            os._exit(1)
    raise SystemExit


def _leave_parent(kernel: Kernel, transport: Transport, *, drop_tasks: bool) -> None:
    transport.forget()
    for fd in {kernel.wakeup_fds[1], *kernel.output_fds} - {1, 2}:
        os.close(fd)
    kernel.interrupts.release()
    if not drop_tasks:
        loops.renew(kernel.loop)
        return
    reopening.blind(loops.descriptors(kernel.loop))
    _abandoned.append(kernel.loop)
    kernel.loop = asyncio.new_event_loop()


def _move(kernel: Kernel, plan: Plan) -> list[tuple[str, str]]:
    """Have the branch's directories wherever this process keeps the parent's; returns what is lost by that."""
    lost = []
    here = _working_directory()
    place = plan.moved(here) or here
    try:
        os.chdir(place)
    except OSError:
        lost.append(("directory", here))
        os.chdir(next((new for _, new in plan.directories if os.path.isdir(new)), "/"))
    for name, value in list(os.environ.items()):
        elsewhere = os.pathsep.join(plan.moved(path) or path for path in value.split(os.pathsep))  # PATH is several
        if elsewhere != value:
            os.environ[name] = elsewhere
    os.environ.update(plan.env)
    if tempfile.tempdir:
        tempfile.tempdir = plan.moved(str(tempfile.tempdir)) or tempfile.tempdir
    for paths in (sys.path, kernel.shell.user_ns.get("_dh")):
        if isinstance(paths, list):
            paths[:] = [_moved_entry(plan, path) for path in paths]
    return lost


def _moved_entry(plan: Plan, path: Any) -> Any:
    if not isinstance(path, (str, os.PathLike)):
        return path
    place = plan.moved(os.fspath(path)) if isinstance(os.fspath(path), str) else None
    return path if place is None else type(path)(place)  # type: ignore[call-arg]


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return os.readlink("/proc/self/cwd").removesuffix(" (deleted)")
