"""The run: which peers are alive, what is measured how often, and blocks in alternation."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .peer import Context, Peer
from .procs import PeerError
from .results import Results


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything is done."""

    settle: float = 3.0
    warm_rounds: int = 5
    warm_requests: int = 42
    own_requests: int = 84
    warm_seconds: float = 1.0
    new_context_rounds: int = 7
    refill_pause: float = 0.3
    burst_rounds: int = 1
    plot_rounds: int = 3
    branch_rounds: int = 12
    load_rounds: int = 3
    load_seconds: float = 1.0
    levels: tuple[int, ...] = (1, 8, 32)
    output_rounds: int = 5
    many_prints_rounds: int = 3
    gateway_rounds: int = 20
    gateway_requests: int = 6
    huge_rounds: int = 2
    memory_contexts: int = 5
    own_memory_contexts: int = 32
    scale_contexts: int = 500
    scale_busy: int = 100
    first_byte_rounds: int = 15
    interrupt_rounds: int = 10
    fault_rounds: int = 3
    fault_patience: float = 5.0


QUICK = Plan(
    settle=2.0,
    warm_rounds=2,
    warm_requests=20,
    own_requests=252,
    warm_seconds=0.6,
    new_context_rounds=2,
    load_rounds=2,
    load_seconds=0.6,
    burst_rounds=0,
    plot_rounds=1,
    branch_rounds=3,
    levels=(8,),
    output_rounds=2,
    many_prints_rounds=1,
    gateway_rounds=5,
    huge_rounds=1,
    memory_contexts=2,
    own_memory_contexts=8,
    scale_contexts=50,
    scale_busy=20,
    interrupt_rounds=2,
    first_byte_rounds=4,
    fault_rounds=1,
    fault_patience=2.5,
)


#: For two versions of polyrepl beside each other: short blocks, many rounds, so that both see the same noise.
BESIDE = Plan(
    settle=3.0,
    warm_rounds=16,
    warm_requests=40,
    own_requests=40,
    warm_seconds=0.4,
    new_context_rounds=16,
    burst_rounds=2,
    plot_rounds=5,
    branch_rounds=10,
    load_rounds=8,
    load_seconds=0.6,
    levels=(8,),
    output_rounds=9,
    many_prints_rounds=7,
    gateway_rounds=12,
    huge_rounds=1,
    memory_contexts=8,
    own_memory_contexts=8,
    scale_contexts=50,
    scale_busy=20,
    first_byte_rounds=15,
    interrupt_rounds=10,
    fault_rounds=2,
    fault_patience=2.5,
)


def say(text: str) -> None:
    """Report progress on stderr; stdout holds the report only."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


@dataclass(slots=True)
class Run:
    """The state that the measurements share."""

    peers: list[Peer]
    plan: Plan
    directory: Path
    results: Results = field(default_factory=Results)
    warm_done: bool = False
    start_rss: dict[str, float] = field(default_factory=dict)
    _contexts: dict[str, Context] = field(default_factory=dict)
    _kernels: dict[int, list[int]] = field(default_factory=dict)

    def taking_part(self, measurement: str) -> list[Peer]:
        """Return the peers that take part in a measurement and are still alive."""
        return [p for p in self.peers if p.is_alive() and (not p.only or measurement in p.only)]

    def context(self, peer: Peer) -> Context:
        """Return the peer's warm context, which is kept for the whole run."""
        if peer.name not in self._contexts:
            self._contexts[peer.name] = peer.open()[0]
        return self._contexts[peer.name]

    def forget(self, peer: Peer) -> None:
        """Close the peer's warm context; the next use of it makes another."""
        if context := self._contexts.pop(peer.name, None):
            self.close(peer, [context])

    def kernel_tree(self, peer: Peer, context: Context) -> list[int]:
        """Return the pids of the context's kernel, looked up once."""
        if id(context) not in self._kernels:
            self._kernels[id(context)] = peer.kernel_tree(context)
        return self._kernels[id(context)]

    def known_kernels(self) -> set[int]:
        """Return the pids of all kernels looked up so far whose contexts are open."""
        return {pid for tree in self._kernels.values() for pid in tree}

    def alternate(
        self, measurement: str, metrics: list[str], rounds: int, block: Callable[[Peer], None], peers: list[Peer]
    ) -> None:
        """Run one block per peer and round, beginning with another peer each round.

        A peer that fails is reported under all `metrics` with the reason and left out of the remaining rounds.
        """
        left = list(peers)
        for number in range(rounds):
            turn = number % len(left) if left else 0
            for peer in left[turn:] + left[:turn]:
                try:
                    block(peer)
                except (PeerError, OSError, KeyError, ValueError, TypeError) as error:
                    reason = str(error) if isinstance(error, PeerError) else f"{type(error).__name__}: {error}"
                    say(f"{measurement}: {peer.name} failed: {reason}")
                    for metric in metrics:
                        self.results.cell(metric, peer.name).failed = reason
                    left.remove(peer)
                    self.forget(peer)

    def close(self, peer: Peer, contexts: list[Context]) -> None:
        """Close contexts; one that cannot be closed only costs a line of progress."""
        for context in contexts:
            self._kernels.pop(id(context), None)
        try:
            peer.close_many(contexts)
        except (PeerError, OSError) as error:
            say(f"{peer.name}: closing a context failed: {error}")
