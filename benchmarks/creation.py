"""The measurements of new contexts: bare, with pandas and matplotlib in them, to a first plot, and as a branch."""

from __future__ import annotations

import base64
import time

from .measures import must_be_two
from .peer import Answer, Context, Peer
from .peer_polyrepl import Polyrepl
from .procs import PeerError
from .run import Run

BURST = 20
DATA_CODE = "import pandas, matplotlib.pyplot\n1+1"
PLOT_CODE = "import pandas, matplotlib.pyplot as plt\nplt.plot([1, 2, 3]);"
#: 500 MB of float64 in an array that really holds them.
HOLD_CODE = "import numpy\nheld = numpy.arange(62_500_000, dtype=numpy.float64)\nheld.nbytes"
BRANCH_CODE = "int(held[12_345_678]) + 1"


def new_context(run: Run) -> None:
    """From nothing to the first result. The context is closed outside of the measured time.

    A pause before each lets kernels that are kept in reserve, and what the last one left to do, get ready.
    """

    def block(peer: Peer) -> None:
        time.sleep(run.plan.refill_pause)
        context, answer = peer.open()
        run.close(peer, [context])
        run.results.add("new-context", peer.name, [must_be_two(answer)])

    def burst(peer: Peer) -> None:
        opened = [peer.open() for _ in range(BURST)]
        run.close(peer, [context for context, _ in opened])
        run.results.add("new-context-burst", peer.name, [must_be_two(answer) for _, answer in opened])

    peers = run.taking_part("new-context")
    before = _ways(peers)
    run.alternate("new-context", ["new-context"], run.plan.new_context_rounds, block, peers)
    for name, ways in _ways(peers).items():
        run.results.cell("new-context", name).note("kernels: " + difference(before[name], ways))
    ours = [peer for peer in peers if peer.name.startswith("polyrepl")]
    run.alternate("new-context", ["new-context-burst"], run.plan.burst_rounds, burst, ours)


def _ways(peers: list[Peer]) -> dict[str, dict[str, int]]:
    return {peer.name: peer.ways() for peer in peers if isinstance(peer, Polyrepl)}


def difference(before: dict[str, int], after: dict[str, int]) -> str:
    """Tell what was counted between two calls of `Polyrepl.ways`."""
    made = {way: count - before.get(way, 0) for way, count in after.items()}
    return ", ".join(f"{way} {count}" for way, count in made.items() if count) or "not told"


def first_plot(run: Run) -> None:
    """From nothing to `1+1` after the imports, and to the first image, in contexts that import pandas and matplotlib."""

    def get_ready(peer: Peer) -> None:
        """Let matplotlib look for the machine's fonts, once per home directory and not in the measured time."""
        context, answer = peer.open(PLOT_CODE)
        run.close(peer, [context])
        _must_be_png(answer)

    def data(peer: Peer) -> None:
        time.sleep(run.plan.refill_pause)
        context, answer = peer.open(DATA_CODE)
        run.close(peer, [context])
        run.results.add("new-data", peer.name, [must_be_two(answer)])

    def plot(peer: Peer) -> None:
        time.sleep(run.plan.refill_pause)
        context, answer = peer.open(PLOT_CODE)
        run.close(peer, [context])
        run.results.add("first-plot", peer.name, [_must_be_png(answer)])

    metrics = ["new-data", "first-plot"]
    peers = run.taking_part("first-plot")
    run.alternate("first-plot", metrics, 1, get_ready, peers)
    peers = [peer for peer in peers if not run.results.cell("first-plot", peer.name).failed]
    run.alternate("first-plot", metrics[:1], run.plan.plot_rounds, data, peers)
    run.alternate("first-plot", metrics[1:], run.plan.plot_rounds, plot, peers)


def _must_be_png(answer: Answer) -> float:
    image = base64.b64decode(answer.png)
    if not image.startswith(b"\x89PNG\r\n") or not image.endswith(b"IEND\xaeB`\x82"):
        msg = f"no plot came, but {len(image)} bytes of image, {answer.outcome()}"
        raise PeerError(msg)
    return answer.ms


def branch(run: Run) -> None:
    """A context that holds 500 MB: from the request of a branch to an answered cell on the branch."""

    def hold(peer: Peer) -> None:
        answer = run.context(peer).execute(HOLD_CODE)
        if answer.text != "500000000":
            msg = f"the context does not hold 500 MB: {answer.text or answer.outcome()}"
            raise PeerError(msg)

    def block(peer: Peer) -> None:
        parent = run.context(peer)
        started = time.perf_counter()
        made = parent.branch()
        if made is None:
            run.results.cell("branch", peer.name).lost = "cannot branch"
            return
        try:
            answer = made.execute(BRANCH_CODE)
            run.results.add("branch", peer.name, [(answer.ended - started) * 1000])
            _must_be_apart(parent, made, answer)
        finally:
            run.close(peer, [made])

    def let_go(peer: Peer) -> None:
        run.context(peer).execute("del held")

    peers = [peer for peer in run.taking_part("branch") if peer.role == "polyrepl"]
    run.alternate("branch", ["branch"], 1, hold, peers)
    peers = [peer for peer in peers if not run.results.cell("branch", peer.name).failed]
    run.alternate("branch", ["branch"], run.plan.branch_rounds, block, peers)
    run.alternate("branch", ["branch"], 1, let_go, [peer for peer in peers if peer.is_alive()])


def _must_be_apart(parent: Context, made: Context, answer: Answer) -> None:
    """The branch knows what the parent held, and a change in one is not seen in the other."""
    made.execute("held[0] = 7.0")
    seen = [answer.text, made.execute("int(held[0])").text, parent.execute("int(held[0])").text]
    if seen != ["12345679", "7", "0"]:
        msg = f"branch and parent are not what they should be: {seen}"
        raise PeerError(msg)
