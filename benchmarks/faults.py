"""The measurements of faults: a cell that never ends, an interrupt, and a kernel that is killed while it runs."""

from __future__ import annotations

import os
import signal
import threading
import time

from .client import LateError
from .peer import Context, Peer
from .procs import PeerError, start_time
from .results import Cell
from .run import Run

LIMIT = 1.0
NEXT_PATIENCE = 1.5
INTERRUPT_AFTER = 0.1


def timeout(run: Run) -> None:
    """A limit of 1 s on an endless loop. Raw and Jupyter peers have no limit: their client interrupts the kernel."""
    finished: set[str] = set()

    def block(peer: Peer) -> None:
        if peer.name in finished:
            return
        context, _ = peer.open()
        pid = peer.kernel_pid(context)
        born = start_time(pid)
        try:
            context.execute("kept = 42")
            try:
                answer = context.execute("while True: pass", limit=LIMIT, patience=LIMIT + run.plan.fault_patience)
            except LateError:
                finished.add(peer.name)
                msg = f"no answer {run.plan.fault_patience} s after the limit"
                raise PeerError(msg) from None
            cell = run.results.add("timeout", peer.name, [answer.ms])
            cell.note(answer.outcome())
            if not _state_is_kept(run, peer, context, cell):
                finished.add(peer.name)
        finally:
            run.close(peer, [context])
            _look_for_leftover(run.results.cell("timeout", peer.name), pid, born)

    run.alternate("timeout", ["timeout"], run.plan.fault_rounds, block, run.taking_part("timeout"))


def _state_is_kept(run: Run, peer: Peer, context: Context, cell: Cell) -> bool:
    try:
        after = context.execute("kept", limit=NEXT_PATIENCE, patience=NEXT_PATIENCE + 1)
    except PeerError as error:
        cell.lost = f"the next call failed: {error}"
        return False
    if after.text == "42":
        cell.note("state kept")
        run.results.add("timeout-next", peer.name, [after.ms])
        return True
    cell.lost = f"the next call answered {after.outcome()} after {after.ms / 1000:.1f} s, state not readable"
    return False


def _look_for_leftover(cell: Cell, pid: int, born: str | None) -> None:
    """Note, and end, a kernel that still runs 2 s after its context was closed."""
    deadline = time.monotonic() + 2.0
    while start_time(pid) == born and born is not None:
        if time.monotonic() > deadline:
            cell.note("its process was left running after the context was deleted")
            os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.02)


def interrupt(run: Run) -> None:
    """An endless loop: from the client's request of an interrupt to the answer of the cell, and the state after it."""

    def block(peer: Peer) -> None:
        context = run.context(peer)
        context.execute("kept = 42")
        answer = context.interrupt("while True: pass", INTERRUPT_AFTER)
        if answer is None:
            run.results.cell("interrupt", peer.name).lost = "no way to interrupt"
            return
        if answer.interrupted is None:
            msg = f"the loop ended without an interrupt: {answer.outcome()}"
            raise PeerError(msg)
        cell = run.results.add("interrupt", peer.name, [(answer.ended - answer.interrupted) * 1000])
        after = context.execute("kept", patience=10.0)
        if after.text != "42":
            cell.lost = f"the next call answered {after.text or after.outcome()}"

    run.alternate("interrupt", ["interrupt"], run.plan.interrupt_rounds, block, run.taking_part("interrupt"))


def kill(run: Run) -> None:
    """SIGKILL to the kernel half a second into a cell; then `1+1` in the same context."""
    finished: set[str] = set()

    def block(peer: Peer) -> None:
        if peer.name in finished:
            return
        context, _ = peer.open()
        pid = peer.kernel_pid(context)
        killed = [0.0]

        def strike() -> None:
            killed[0] = time.perf_counter()
            os.kill(pid, signal.SIGKILL)

        timer = threading.Timer(0.5, strike)
        timer.start()
        try:
            answer = context.execute("import time; time.sleep(60)", patience=0.5 + run.plan.fault_patience)
            cell = run.results.add("kill", peer.name, [(answer.ended - killed[0]) * 1000])
            cell.note(answer.outcome())
        except LateError:
            finished.add(peer.name)
            cell = run.results.cell("kill", peer.name)
            cell.lost = f"no answer within {run.plan.fault_patience} s"
        finally:
            timer.join()
        cell.note(_next_call(context))
        run.close(peer, [context])

    run.alternate("kill", ["kill"], run.plan.fault_rounds, block, run.taking_part("kill"))


def _next_call(context: Context) -> str:
    started = time.perf_counter()
    try:
        answer = context.execute("1+1", patience=NEXT_PATIENCE)
    except (PeerError, OSError):
        return f"next call: no answer within {NEXT_PATIENCE} s"
    if answer.is_two:
        seconds = time.perf_counter() - started
        when = "at once" if seconds < 1 else f"after {seconds:.1f} s"
        return f"next call works ({when}{', says: ' + answer.remark if answer.remark else ''})"
    return f"next call: {answer.outcome()}"
