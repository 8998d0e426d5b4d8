"""The measurements of memory: idle contexts, the servers, and a server while an output passes through it."""

from __future__ import annotations

import contextlib
import time

from .peer import Peer
from .procs import PeakMemory, PeerError, descendants, memory
from .run import Run

HUGE = 100_000_000
_IMPORTS = "import pandas, matplotlib.pyplot"


def idle_memory(run: Run) -> None:
    """PSS and private memory of idle contexts, bare and with pandas and matplotlib, and the server's RSS."""
    peers = run.taking_part("memory")
    idle_contexts(run, "memory", peers)
    idle_contexts(run, "memory-data", run.taking_part("memory-data"), _IMPORTS)

    def server(peer: Peer) -> None:
        if not peer.has_server:
            return
        run.kernel_tree(peer, run.context(peer))
        others = [pid for pid in descendants(peer.server.pid) if pid not in run.known_kernels()]
        cell = run.results.add("server-rss", peer.name, [run.start_rss[peer.name]])
        cell.note(f"{memory([peer.server.pid]).rss:.0f} MB at this point of the run")
        if others:
            cell.note(f"{len(others)} more processes (helpers, pooled kernels) with {memory(others).pss:.0f} MB PSS")

    run.alternate("memory", ["server-rss"], 1, server, run.taking_part("memory"))


def idle_contexts(run: Run, prefix: str, peers: list[Peer], code: str = "") -> None:
    """Open contexts, run `code` in each, let them rest, and read the memory of each with what is below it."""
    pss, private = f"{prefix}-pss", f"{prefix}-private"

    def block(peer: Peer) -> None:
        count = run.plan.own_memory_contexts if peer.shares_memory else run.plan.memory_contexts
        contexts = peer.open_many(count)
        try:
            for context in contexts if code else []:
                answer = context.execute(code)
                if answer.error:
                    msg = f"{code}: {answer.outcome()}"
                    raise PeerError(msg)
            trees = [run.kernel_tree(peer, context) for context in contexts]
            time.sleep(1.0)
            measured = [memory(tree) for tree in trees]
        finally:
            run.close(peer, contexts)
        run.results.add(pss, peer.name, [each.pss for each in measured]).note(f"{count} contexts at once")
        run.results.add(private, peer.name, [each.private for each in measured])

    run.alternate(prefix, [pss, private], 1, block, peers)


def huge_print(run: Run) -> None:
    """One print of 100 MB: by how much the server's memory grows at most, and what the answer says of it."""
    code = f"print('x' * {HUGE})"

    def block(peer: Peer) -> None:
        context = run.context(peer)
        with PeakMemory(peer.server.pid) as peak:
            answer = context.execute(code, patience=30.0)
        run.results.add("huge-growth", peer.name, [peak.growth])
        cell = run.results.add("huge-print", peer.name, [answer.ms])
        kept = len(answer.stdout)
        if kept < HUGE:
            cell.lost = f"{kept:,} of {HUGE + 1:,} bytes; it says {answer.remark or answer.outcome()}"

    def renew(peer: Peer) -> None:
        """Let go of a kernel that may keep 100 MB, and of a connection that carried them."""
        with contextlib.suppress(PeerError, OSError):
            run.forget(peer)

    peers = [peer for peer in run.taking_part("huge-print") if peer.has_server]
    run.alternate("huge-print", ["huge-growth", "huge-print"], run.plan.huge_rounds, block, peers)
    run.alternate("huge-print", ["huge-growth"], 1, renew, peers)
