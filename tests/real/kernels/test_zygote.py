"""The server's side of a zygote: what it makes of greetings, answers, notices, silence and nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import engine.kernels.provisioners.zygote
from engine.kernels.provisioners import Exit
from engine.kernels.provisioners.confinement import UNCONFINED
from engine.kernels.provisioners.fork import ForkProvisioner
from engine.kernels.provisioners.zygote import ForkRequest, Zygote, ZygoteFailed, ZygoteState
from engine.kernels.provisioners.zygote_process import ZygoteProcess
from engine.kernels.provisioners.zygotes import Zygotes
from engine.metrics import Metrics
from tests.harness.scripted_zygote import HELLO, command
from tests.harness.waiting import until_elsewhere
from tests.real.kernels.forks import is_there, open_fds

pytestmark = pytest.mark.anyio

ASKED = {"after": "spawn"}
CUED = {"after": "cue"}
SPAWNED = {"op": "spawned", "id": "ID", "pid": "PID", "fds": 1}
EXIT = {"op": "exit", "pid": "PID", "status": "STATUS", "peak_bytes": 1000}
FORK = [ASKED, {"child": True}, SPAWNED]
REQUEST = ForkRequest(Path("/"), {"A": "b"}, "k1", UNCONFINED, ())


def cue(zygote: Zygote) -> None:
    """Let the script go on."""
    zygote._send({"op": "cue", "id": 1}, ())


class Changes:
    """Keeps a zygote: notes that it has changed."""

    def __init__(self, changes: list[Zygote]) -> None:
        self._changes = changes

    def note_change(self, zygote: Zygote) -> None:
        self._changes.append(zygote)


class Waker:
    """Notes how its zygotes are each time that it is woken."""

    def __init__(self, changes: list[str]) -> None:
        self.zygotes: Zygotes | None = None
        self._changes = changes

    def wake(self) -> None:
        if self.zygotes is not None:
            self._changes.append(self.zygotes.describe())


class Watch:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.ended: Exit | None = None
        self.is_abandoned = False

    def note_exit(self, ended: Exit) -> None:
        self.ended = ended

    def note_zygote_gone(self) -> None:
        self.is_abandoned = True


Start = Callable[..., Awaitable[Zygote]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """`await start(*steps)` starts a zygote that greets and plays the steps."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(*steps: dict[str, Any], hello: dict[str, Any] = HELLO, timeout: float = 30.0) -> Zygote:
            zygote = Zygote(1)
            stack.push_async_callback(zygote.aclose)
            await zygote.start(command([hello, *steps]), preload=[], env=dict(os.environ), timeout=timeout)
            return zygote

        yield make


async def test_a_zygote_is_ready_when_it_has_greeted(start: Start):
    zygote = await start()
    assert repr(zygote) == "<Zygote 1 READY, 0 kernels>"
    assert zygote.greeting.preloaded == ["json"]
    assert zygote.is_current()
    await zygote.aclose()
    assert repr(zygote) == "<Zygote 1 DEAD, 0 kernels>"
    assert not is_there(zygote.pid or 0)


async def test_a_process_that_is_forked_is_watched_until_its_exit_notice(start: Start):
    changes: list[Zygote] = []
    zygote = await start(*FORK, CUED, {"end": True}, EXIT)
    zygote._keeper = Changes(changes)
    watch = Watch()
    fork = await zygote.fork(REQUEST, watch)
    assert is_there(fork.pid)
    assert zygote.is_needed
    signal.pidfd_send_signal(fork.pidfd, 0)
    os.close(fork.pidfd)
    cue(zygote)
    await until_elsewhere(lambda: watch.ended is not None)
    assert watch.ended == Exit(-9, 1000)
    assert changes == [zygote]


async def test_a_refusal_is_told_and_the_zygote_lives_on(start: Start):
    refused = {"op": "failed", "id": "ID", "error": "Resource temporarily unavailable"}
    zygote = await start(ASKED, refused, *FORK)
    with pytest.raises(ZygoteFailed, match="temporarily"):
        await zygote.fork(REQUEST, Watch())
    fork = await zygote.fork(REQUEST, Watch())
    os.close(fork.pidfd)
    assert zygote.state is ZygoteState.READY


async def test_a_request_that_is_too_large_fails_and_the_zygote_lives_on(start: Start):
    zygote = await start()
    large = ForkRequest(Path("/"), {"A": "b" * 2_000_000}, "k1", UNCONFINED, ())
    with pytest.raises(ZygoteFailed, match="too long"):
        await zygote.fork(large, Watch())
    assert zygote.state is ZygoteState.READY
    assert not zygote.is_needed


async def test_what_was_forked_for_somebody_who_has_gone_is_ended(start: Start):
    zygote = await start(ASKED, {"child": True}, CUED, SPAWNED)
    asking = asyncio.create_task(zygote.fork(REQUEST, Watch()))
    children = Path(f"/proc/{zygote.pid}/task/{zygote.pid}/children")
    await until_elsewhere(lambda: children.read_text() != "")
    pid = int(children.read_text())
    asking.cancel()
    await asyncio.wait({asking})
    assert is_there(pid)
    cue(zygote)
    await until_elsewhere(lambda: not is_there(pid))


async def test_silence_is_the_end_of_a_zygote(start: Start, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine.kernels.provisioners.zygote, "_ANSWER_TIMEOUT", 0.1)
    zygote = await start()
    with pytest.raises(ZygoteFailed, match=r"no answer to a request in 0\.1 s"):
        await zygote.fork(REQUEST, Watch())
    assert not is_there(zygote.pid or 0)
    with pytest.raises(ZygoteFailed, match="no answer"):
        await zygote.fork(REQUEST, Watch())


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ({"raw": "nonsense"}, "JSONDecodeError"),
        ({"raw": "[]"}, "TypeError"),
        ({"raw": '{"op": 1}'}, "op 1"),
        ({"raw": "{}"}, "KeyError"),
        ({"raw": "[" * 30_000}, "is no message"),
        ({"raw": '"' + "x" * 100_000}, "too large"),
        ({"op": "spawned", "id": 77, "pid": 3, "fds": 1}, "KeyError"),
        ({"op": "failed", "id": [1], "error": ""}, "KeyError"),
        ({"op": "exit", "pid": 99, "status": 0, "peak_bytes": 0}, "KeyError"),
        ({"op": "exit", "pid": -1, "status": 0, "peak_bytes": 0}, "pid -1"),
        ({**HELLO, "watched": {str(number): 1 for number in range(500)}}, "too many watched paths"),
        ({**HELLO, "preloaded": 5}, "TypeError"),
        ({**HELLO, "failed": []}, "AttributeError"),
    ],
)
async def test_nonsense_is_the_end_of_a_zygote(start: Start, step: dict[str, Any], reason: str):
    zygote = await start(step)
    await until_elsewhere(lambda: not zygote.is_alive)
    assert reason in zygote.reason
    assert not is_there(zygote.pid or 0)


@pytest.mark.parametrize("fds", [0, 2])
async def test_a_fork_comes_with_one_pidfd(start: Start, fds: int):
    before = set(open_fds())
    zygote = await start(ASKED, {"child": True}, {**SPAWNED, "fds": fds})
    watch = Watch()
    with pytest.raises(ZygoteFailed, match=f"{fds} descriptors instead of a pidfd"):
        await zygote.fork(REQUEST, watch)
    assert set(open_fds()) == before


async def test_kernels_are_told_when_their_zygote_dies(start: Start):
    zygote = await start(*FORK, ASKED, {"print": "cause of death"}, {"exit": 3})
    watch = Watch()
    fork = await zygote.fork(REQUEST, watch)
    with pytest.raises(ZygoteFailed, match="exited with code 3: cause of death"):
        await zygote.fork(REQUEST, Watch())
    assert watch.is_abandoned
    assert watch.ended is None
    assert is_there(fork.pid)
    signal.pidfd_send_signal(fork.pidfd, signal.SIGKILL)
    os.close(fork.pidfd)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([{"print": "Traceback\nImportError: no IPython"}, {"exit": 1}], "exited with code 1: ImportError: no IPython"),
        ([{"exit": 0}], "exited with code 0"),
        ([{"raw": "nonsense"}], "is no message"),
        ([{"after": "a greeting that never comes"}], "not ready in"),
    ],
)
async def test_a_zygote_that_does_not_start_says_why(steps: list[dict[str, Any]], reason: str):
    before = set(open_fds())
    zygote = Zygote(1)
    timeout = 0.5 if "never" in str(steps) else 30.0
    with pytest.raises(ZygoteFailed, match=reason):
        await zygote.start(command(steps), preload=[], env=dict(os.environ), timeout=timeout)
    assert zygote.state is ZygoteState.DEAD
    assert set(open_fds()) == before


async def test_a_program_that_is_not_there_is_no_zygote():
    with pytest.raises(ZygoteFailed, match="No such file"):
        await Zygote(1).start(["/nowhere/python"], preload=[], env={}, timeout=5.0)


def zygotes(
    *steps: dict[str, Any], pauses: tuple[float, ...] = (0.0,), timeout: float = 30.0, **kwargs: Any
) -> Zygotes:
    return Zygotes(
        command(list(steps)),
        preload=[],
        env=dict(os.environ),
        timeout=timeout,
        metrics=Metrics(),
        pauses=pauses,
        **kwargs,
    )


async def test_nothing_is_started_before_somebody_asks():
    made = zygotes(HELLO)
    assert repr(made) == "<Zygotes idle, 0 older>"
    assert made.current() is None
    await asyncio.sleep(0)
    assert made.describe() == "starting"
    zygote = await made.settled()
    assert zygote is not None
    assert made.current() is zygote
    assert made.describe() == "ready"
    await made.aclose()
    assert not is_there(zygote.pid or 0)


async def test_a_zygote_that_cannot_start_is_tried_again_and_the_reason_is_kept():
    made = zygotes({"print": "no luck"}, {"exit": 1}, pauses=(0.0, 0.0, 1000.0))
    assert await made.settled() is None
    await until_elsewhere(lambda: made._failures == 3)
    assert made.describe() == "fallback: exited with code 1: no luck"
    assert await made.settled() is None  # at once: nobody waits out a pause
    await made.aclose()
    assert await made.settled() is None


async def test_a_zygote_that_dies_has_a_successor():
    changes: list[str] = []
    waker = Waker(changes)
    made = waker.zygotes = zygotes(HELLO, waker=waker)
    first = await made.settled()
    assert first is not None
    os.kill(first.pid or 0, signal.SIGKILL)
    await until_elsewhere(lambda: made.is_ready and not made.is_current(first))
    second = made.current()
    assert second is not None
    assert second.generation == 2
    assert changes == ["ready", "fallback: killed by SIGKILL", "ready"]
    await made.aclose()


async def test_a_stale_zygote_lives_as_long_as_its_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine.kernels.provisioners.zygote, "_LOOK_INTERVAL", 0.0)
    hello = {**HELLO, "watched": {str(tmp_path): tmp_path.stat().st_mtime_ns}}
    made = zygotes(hello, *FORK, CUED, {"end": True}, EXIT)
    old = await made.settled()
    assert old is not None
    kernel = await old.fork(REQUEST, Watch())
    os.close(kernel.pidfd)
    os.utime(tmp_path, ns=(0, 0))
    assert made.current() is None
    assert old.reason == f"{tmp_path} has changed"
    assert made._older == {old}
    assert old.is_alive
    cue(old)
    await until_elsewhere(lambda: not old.is_alive)
    assert not is_there(old.pid or 0)
    await made.aclose()


async def test_a_provisioner_without_a_zygote_still_learns_of_the_end(start: Start):
    zygote = await start(*FORK, {"after": "never"})
    provisioner = ForkProvisioner(zygote, metrics=Metrics(), mark="k1")
    fork = await zygote.fork(REQUEST, provisioner)
    provisioner._ended = asyncio.get_running_loop().create_future()
    provisioner._watch(fork.pid, fork.pidfd)
    os.kill(zygote.pid or 0, signal.SIGKILL)
    await until_elsewhere(lambda: not zygote.is_alive)
    assert provisioner.exit is None
    await provisioner.kill()
    async with asyncio.timeout(60):
        assert await provisioner.wait() is None
    assert provisioner.exit == Exit(None)
    await provisioner.cleanup()


async def test_nonsense_as_the_last_message_is_why_it_ended():
    reasons: list[str] = []

    class Reader:
        def take(self, message: dict[str, Any], fds: list[int]) -> None:
            raise ValueError("nonsense")

        def note_dead(self, reason: str) -> None:
            reasons.append(reason)
            process.release()

    process = ZygoteProcess(Reader())
    process.run(command([{"raw": "{}"}, {"exit": 3}]), preload=[], env=dict(os.environ))
    assert process.pid is not None
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process._note_end()  # both are there; the loop has looked at neither yet
    assert reasons == ["sent what is no message: ValueError nonsense"]
