"""The measurements of the Kernel Gateway's websocket: ours beside Jupyter's own servers, in either of its protocols."""

from __future__ import annotations

import time

from .measures import show
from .peer import Peer
from .peer_jupyter import ChannelsPeer
from .run import Run

DISPLAYS = 100
_WARM_UP = 5  # calls
_REST = 0.05  # s, in which our pool gets its next kernel: no work of ours beside a measured peer


def gateway(run: Run) -> None:
    """The default protocol: warm calls, displays, and new kernels with their first cell."""
    _warm(run, "gateway-warm", is_v1=False)
    _show(run, "gateway-displays", is_v1=False)
    _new(run, "gateway-new", is_v1=False)


def gateway_v1(run: Run) -> None:
    """`v1.kernel.websocket.jupyter.org`: warm calls and displays."""
    _warm(run, "gateway-v1-warm", is_v1=True)
    _show(run, "gateway-v1-displays", is_v1=True)


def _speakers(run: Run, metric: str, *, is_v1: bool) -> list[Peer]:
    return [peer for peer in run.taking_part(metric) if isinstance(peer, ChannelsPeer) and peer.is_v1 is is_v1]


def _warm(run: Run, metric: str, *, is_v1: bool) -> None:
    def get_ready(peer: Peer) -> None:
        peer.load([run.context(peer)], 0, _WARM_UP)

    def block(peer: Peer) -> None:
        load = peer.load([run.context(peer)], run.plan.warm_seconds / 8, run.plan.gateway_requests)
        run.results.add(metric, peer.name, load.latencies_ms).check(load)

    peers = _speakers(run, metric, is_v1=is_v1)
    run.alternate(metric, [metric], 1, get_ready, peers)
    peers = [peer for peer in peers if not run.results.cell(metric, peer.name).failed]
    run.alternate(metric, [metric], run.plan.warm_rounds, block, peers)


def _show(run: Run, metric: str, *, is_v1: bool) -> None:
    show(run, metric, run.plan.gateway_rounds, DISPLAYS, _speakers(run, metric, is_v1=is_v1))


def _new(run: Run, metric: str, *, is_v1: bool) -> None:
    """From the request of a kernel to its first result; it is ended outside of the measured time."""

    def block(peer: Peer) -> None:
        time.sleep(_REST)
        context, answer = peer.open()
        run.close(peer, [context])
        run.results.add(metric, peer.name, [answer.ms]).check_two(answer)

    run.alternate(metric, [metric], run.plan.gateway_rounds, block, _speakers(run, metric, is_v1=is_v1))
