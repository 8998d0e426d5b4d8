"""The measurements of speed. Each runs its peers in alternating blocks and checks every answer."""

from __future__ import annotations

from collections.abc import Callable

from .peer import Answer, Context, Peer
from .procs import PeerError, available_mb, cpu_ms, memory
from .run import Run

BIG = 10_000_000
LINES = 100_000
DISPLAYS = 1000
_STREAM_CODE = "import time\nprint('first' + '-output', flush=True)\ntime.sleep(0.2)"


def must_be_two(answer: Answer) -> float:
    """Return the time of a right answer in ms; raise PeerError for another."""
    if not answer.is_two:
        msg = f"1+1 answered {answer.gist()}"
        raise PeerError(msg)
    return answer.ms


def warm(run: Run) -> None:
    """`1+1` again and again in one context; the server's and the kernel's CPU time of the same requests."""
    if run.warm_done:
        return
    run.warm_done = True
    spent: dict[str, list[float]] = {}

    def block(peer: Peer) -> None:
        context = run.context(peer)
        kernel = run.kernel_tree(peer, context)
        before = cpu_ms([peer.server.pid]), cpu_ms(kernel)
        requests = run.plan.own_requests if peer.role == "polyrepl" else run.plan.warm_requests
        load = peer.load([context], run.plan.warm_seconds, requests)
        sums = spent.setdefault(peer.name, [0.0, 0.0, 0.0])
        sums[0] += cpu_ms([peer.server.pid]) - before[0]
        sums[1] += cpu_ms(kernel) - before[1]
        sums[2] += len(load.latencies_ms)
        run.results.add("warm", peer.name, load.latencies_ms).check(load)

    peers = run.taking_part("warm")
    run.alternate("warm", ["warm", "server-cpu"], run.plan.warm_rounds, block, peers)
    servers = {peer.name for peer in peers if peer.has_server}
    for name, (server, kernel, requests) in spent.items():
        cell = run.results.add("server-cpu", name, [server / requests], count=int(requests))
        cell.note(f"kernel {kernel / requests:.2f} ms")
        if name not in servers:
            cell.note("no server: the caller's jupyter_client")


def throughput(run: Run) -> None:
    """Concurrent clients, each with a context of its own."""
    opened: dict[str, list[Context]] = {}

    def block(peer: Peer, level: int) -> None:
        contexts = opened[peer.name][:level]
        kernels = [pid for context in contexts for pid in run.kernel_tree(peer, context)]
        before = cpu_ms([peer.server.pid]), cpu_ms(kernels)
        load = peer.load(contexts, run.plan.load_seconds)
        count = len(load.latencies_ms)
        server, kernel = (cpu_ms([peer.server.pid]) - before[0]) / count, (cpu_ms(kernels) - before[1]) / count
        cell = run.results.add(f"throughput-{level}", peer.name, [load.per_second], count=count)
        cell.check(load)
        cell.extra += load.latencies_ms
        cell = run.results.add(f"cpu-{level}", peer.name, [server + kernel], count=count)
        cell.parts.append((server, kernel))

    peers = run.taking_part("throughput")
    try:
        for level in run.plan.levels:
            metrics = [f"throughput-{level}", f"cpu-{level}"]
            peers = [peer for peer in peers if peer.most_contexts >= level]
            need = 45 * level * len(peers)
            if available_mb() < need:
                for peer in peers:
                    run.results.cell(metrics[0], peer.name).failed = f"needs {need} MB of free memory"
                break

            def grow(peer: Peer, level: int = level) -> None:
                have = opened.setdefault(peer.name, [])
                have += peer.open_many(level - len(have))
                for context in have:
                    run.kernel_tree(peer, context)

            def load(peer: Peer, level: int = level) -> None:
                block(peer, level)

            run.alternate("throughput", metrics, 1, grow, peers)
            peers = [peer for peer in peers if not run.results.cell(metrics[0], peer.name).failed]
            run.alternate("throughput", metrics, run.plan.load_rounds, load, peers)
            peers = [peer for peer in peers if not run.results.cell(metrics[0], peer.name).failed]
    finally:
        for peer in run.peers:
            if opened.get(peer.name) and peer.is_alive():
                run.close(peer, opened[peer.name])


def output(
    run: Run, metric: str, rounds: int, code: str, lost: Callable[[Answer], str], peers: list[Peer] | None = None
) -> None:
    """Time an execution with much output; `lost` tells what is missing from an answer, "" for nothing."""

    def block(peer: Peer) -> None:
        context = run.context(peer)
        before = memory([peer.server.pid]).rss
        answer = context.execute(code, patience=20.0)
        cell = run.results.add(metric, peer.name, [answer.ms])
        if peer.has_server:
            cell.grown = max(cell.grown, memory([peer.server.pid]).rss - before)
        missing = lost(answer)
        if missing:
            cell.lost = f"{missing}; it says {answer.outcome()}"
            warning = next((line for line in answer.stderr.splitlines() if line.strip()), "")
            cell.note(warning.strip()[:80])

    run.alternate(metric, [metric], rounds, block, run.taking_part(metric) if peers is None else peers)


def big_print(run: Run) -> None:
    """One print of 10 MB."""

    def lost(answer: Answer) -> str:
        complete = len(answer.stdout) == BIG + 1 and answer.stdout.count("x") == BIG
        return "" if complete else f"{len(answer.stdout):,} of {BIG + 1:,} bytes"

    output(run, "big-print", run.plan.output_rounds, f"print('x' * {BIG})", lost)


def lines_lost(answer: Answer) -> str:
    """Tell what is missing from the 100,000 lines of 100 bytes, "" for nothing."""
    whole = "".join(f"{number:099d}\n" for number in range(LINES))
    if answer.stdout == whole:
        return ""
    same = ", another text" if len(answer.stdout) == len(whole) else ""
    return f"{len(answer.stdout):,} of {len(whole):,} bytes{same}"


def many_prints(run: Run) -> None:
    """100,000 prints of 100 bytes each."""
    code = f"for number in range({LINES}):\n    print(f'{{number:099d}}')"
    output(run, "many-prints", run.plan.many_prints_rounds, code, lines_lost)


def displays(run: Run) -> None:
    """1000 calls of IPython's display."""
    show(run, "displays", run.plan.output_rounds, DISPLAYS)


def show(run: Run, metric: str, rounds: int, count: int, peers: list[Peer] | None = None) -> None:
    """Time a cell of `count` displays; all must come, in their order."""
    whole = [str(number) for number in range(count)]

    def lost(answer: Answer) -> str:
        if answer.displays == whole:
            return "" if answer.error is None else "the end of the cell"
        same = ", others or in another order" if len(answer.displays) == count else ""
        return f"{len(answer.displays)} of {count} displays{same}"

    code = f"from IPython.display import display\nfor number in range({count}):\n    display(number)"
    output(run, metric, rounds, code, lost, peers)


def first_byte(run: Run) -> None:
    """From the request to the first printed line in the client's hands while the cell still runs."""

    def block(peer: Peer) -> None:
        context = run.context(peer)
        for _ in range(3):  # the other peers' turns took a while: let this one's connection and caches wake up
            context.execute("1+1")
        answer = context.stream(_STREAM_CODE, "first-output")
        if answer is None:
            run.results.cell("first-byte", peer.name).lost = "does not stream"
            return
        if answer.first is None:
            msg = "the printed line never came"
            raise PeerError(msg)
        cell = run.results.add("first-byte", peer.name, [(answer.first - answer.started) * 1000])
        if answer.ended - answer.first < 0.15:
            cell.lost = "came only with the end of the cell"

    run.alternate("first-byte", ["first-byte"], run.plan.first_byte_rounds, block, run.taking_part("first-byte"))
