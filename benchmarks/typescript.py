"""The measurements of typescript contexts, beside python's and beside the other kernels of TypeScript."""

from __future__ import annotations

import contextlib
import time

from .creation import difference
from .footprint import idle_contexts
from .measures import LINES, lines_lost, output
from .peer import Peer
from .peer_polyrepl import Polyrepl
from .procs import PeerError
from .run import Run

PRINT_CODE = f"for (let number = 0; number < {LINES}; number++) console.log(String(number).padStart(99, '0'))"


_WARM_UP = 300  # calls


def typescript(run: Run) -> None:
    """Warm calls, new contexts, memory and 100,000 lines of output."""
    kernels = [peer for peer in run.taking_part("typescript") if peer.language == "typescript"]
    python = [peer for peer in run.taking_part("typescript") if peer.role == "polyrepl"]
    _warm(run, python + kernels)
    _new(run, python + [peer for peer in run.taking_part("typescript-new") if peer.language == "typescript"] + kernels)
    idle_contexts(run, "typescript", python + kernels)
    output(run, "typescript-prints", 1, PRINT_CODE, lines_lost, kernels)  # of these kernels, some take 20 s


def _warm(run: Run, peers: list[Peer]) -> None:
    for peer in peers:  # just-in-time compilers take some hundred calls; python's context has had thousands by now
        peer.load([run.context(peer)], 0, _WARM_UP)

    def block(peer: Peer) -> None:
        load = peer.load([run.context(peer)], run.plan.warm_seconds / 2, run.plan.warm_requests)
        run.results.add("typescript-warm", peer.name, load.latencies_ms).check(load)

    run.alternate("typescript", ["typescript-warm"], run.plan.warm_rounds, block, peers)


def _new(run: Run, peers: list[Peer]) -> None:
    """From nothing to the first result, each while all pools are full, so that no kernel starts beside a measured one."""
    ours = [peer for peer in peers if isinstance(peer, Polyrepl)]
    pooled = [peer for peer in ours if peer.settings.get("POLYREPL_POOL_MAX") != "0"]

    def rest() -> None:
        for peer in pooled:
            with contextlib.suppress(PeerError):  # then the note of where its kernels came from shows it
                peer.wait_for_pool()
        time.sleep(run.plan.refill_pause)

    def get_ready(peer: Peer) -> None:
        """Let the peer fill its caches on disk, outside of the measured time."""
        run.close(peer, [peer.open()[0]])

    def block(peer: Peer) -> None:
        rest()
        context, answer = peer.open()
        run.close(peer, [context])
        run.results.add("typescript-new", peer.name, [answer.ms]).check_two(answer)

    run.alternate("typescript", ["typescript-new"], 1, get_ready, peers)
    before = {peer.name: peer.ways() for peer in ours}
    peers = [peer for peer in peers if not run.results.cell("typescript-new", peer.name).failed]
    run.alternate("typescript", ["typescript-new"], run.plan.new_context_rounds, block, peers)
    for peer in ours:
        run.results.cell("typescript-new", peer.name).note("kernels: " + difference(before[peer.name], peer.ways()))
