"""What isolation costs: a new context, a warm call and a context's memory, with isolation and without, on servers beside each other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from .machine import peers_environment
from .measures import must_be_two
from .peer import Context
from .peer_polyrepl import Polyrepl
from .procs import PeerError, descendants, memory
from .run import Run

CONTEXTS = 16  # at once, for their memory
_REST = 1.0  # seconds


class PolyreplOpen(Polyrepl):
    """A server whose contexts are not isolated."""

    name = "polyrepl, not isolated"
    about = "a polyrepl server with `POLYREPL_ISOLATION=none`"
    only = frozenset({"isolation"})
    settings: Mapping[str, str] = {"POLYREPL_ISOLATION": "none"}


class PolyreplOpenUnpooled(PolyreplOpen):
    """The same without kernels in reserve."""

    name = "polyrepl, not isolated, no pool"
    settings: Mapping[str, str] = {"POLYREPL_ISOLATION": "none", "POLYREPL_POOL_MAX": "0"}


def isolation(run: Run) -> None:
    """Measure in pairs: each round has the server with isolation and the one without, one right after the other."""
    for ours, other in (("polyrepl", PolyreplOpen), ("polyrepl, no pool", PolyreplOpenUnpooled)):
        isolated = next((peer for peer in run.peers if peer.name == ours and peer.is_alive()), None)
        if not isinstance(isolated, Polyrepl):
            continue
        plain = other(isolated.command)
        try:
            plain.start(run.directory / plain.name.replace(" ", "-"), peers_environment(run.directory))
            run.results.cell("isolation-new", isolated.name).note(f"isolation: {_tier(isolated)}")
            _pair(run, isolated, plain)
        except (PeerError, OSError, KeyError, ValueError) as error:
            run.results.cell("isolation-new", isolated.name).failed = f"{type(error).__name__}: {error}"
        finally:
            plain.stop()


def _tier(peer: Polyrepl) -> str:
    context, _ = peer.open()
    try:
        shown = peer.described(context)
    finally:
        context.close()
    return str(shown.get("isolation", "not told"))


def _pair(run: Run, isolated: Polyrepl, plain: Polyrepl) -> None:
    _in_pairs(run, "isolation-new", isolated, plain, 3 * run.plan.new_context_rounds, lambda peer: _new(run, peer))
    if isolated.settings.get("POLYREPL_POOL_MAX") == "0":
        _in_pairs(run, "isolation-memory", isolated, plain, 2, lambda peer: _memory(run, peer))
        return
    contexts = {peer.name: peer.open()[0] for peer in (isolated, plain)}

    def warm(peer: Polyrepl) -> float:
        load = peer.load([contexts[peer.name]], run.plan.warm_seconds / 2, run.plan.warm_requests)
        return statistics.median(load.latencies_ms)

    _in_pairs(run, "isolation-warm", isolated, plain, 3 * run.plan.warm_rounds, warm)
    for peer in (isolated, plain):
        run.close(peer, [contexts[peer.name]])


def _in_pairs(
    run: Run, metric: str, isolated: Polyrepl, plain: Polyrepl, rounds: int, measure: Callable[[Polyrepl], float]
) -> None:
    """Add a figure of each server for each round, and under `METRIC-more` what the first has more."""
    for number in range(rounds):
        pair = (isolated, plain) if number % 2 else (plain, isolated)
        figures = {peer.name: measure(peer) for peer in pair}
        for peer in pair:
            run.results.add(metric, peer.name, [figures[peer.name]])
        run.results.add(f"{metric}-more", isolated.name, [figures[isolated.name] - figures[plain.name]])


def _new(run: Run, peer: Polyrepl) -> float:
    time.sleep(run.plan.refill_pause)
    context, answer = peer.open()
    run.close(peer, [context])
    return must_be_two(answer)


def _memory(run: Run, peer: Polyrepl) -> float:
    """PSS that one context adds to everything below the server: its kernel, and the first process of its namespaces."""

    def everything() -> float:
        time.sleep(_REST)
        return memory(descendants(peer.server.pid)).pss

    contexts: list[Context] = [peer.open()[0]]  # the first one costs what others share
    try:
        before = everything()
        contexts += peer.open_many(CONTEXTS)
        return (everything() - before) / CONTEXTS
    finally:
        run.close(peer, contexts)
