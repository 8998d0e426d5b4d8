"""`python -m benchmarks`: start the peers, measure, report, and leave no process behind."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from .beside import BEFORE, compare, earlier, table
from .catalogue import MEASUREMENTS
from .chart import svg
from .machine import ROOT, facts, peers_environment, peers_python
from .peer import Peer
from .peer_jupyter import (
    JupyterServer,
    JupyterServerQuickack,
    JupyterServerV1,
    JupyterServerV1Quickack,
    KernelGateway,
    KernelGatewayV1,
    PolyreplWebsocket,
    PolyreplWebsocketV1,
)
from .peer_kernelbox import KernelBox
from .peer_polyrepl import Polyrepl, PolyreplBare, PolyreplTypescript, PolyreplTypescriptUnpooled, PolyreplUnpooled
from .peer_raw import Raw, Xeus
from .peer_typescript import Deno, Tslab
from .procs import PeerError, adopt_orphans, end_everything, memory
from .report import as_json, markdown
from .run import BESIDE, QUICK, Plan, Run, say
from .targets import MILESTONES, check

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, 8 contexts instead of 1, 8 and 32")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=MEASUREMENTS, help=f"of: {', '.join(MEASUREMENTS)}"
    )
    parser.add_argument("--peers", nargs="+", metavar="PEER", help="only these peers")
    parser.add_argument(
        "--polyrepl",
        type=os.path.abspath,
        default=str(ROOT / ".venv/bin/polyrepl"),
        metavar="PATH",
        help="polyrepl's command",
    )
    parser.add_argument(
        "--before",
        type=os.path.abspath,
        metavar="PATH",
        help="the command of another version; only the two are measured, beside each other",
    )
    parser.add_argument("--milestone", default="final", choices=MILESTONES, help="whose targets are checked")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and docs/benchmarks.svg")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    return parser.parse_args(argv)


def _choose(options: argparse.Namespace, absent: dict[str, str]) -> list[Peer]:
    peers = _ours(options.polyrepl)
    if options.before is not None:
        peers = [peer for pair in zip(peers, earlier(_ours(options.before)), strict=True) for peer in pair]
    else:
        peers += _others(absent)
    names = [peer.name for peer in peers]
    if unknown := [name for name in options.peers or [] if name not in names]:
        msg = f"no such peer: {', '.join(unknown)}; there are: {', '.join(names)}"
        raise SystemExit(msg)
    return [peer for peer in peers if options.peers is None or peer.name in options.peers]


def _ours(command: str) -> list[Peer]:
    polyrepl, unpooled = Polyrepl(command), PolyreplUnpooled(command)
    typescript = [PolyreplTypescript(polyrepl), PolyreplTypescriptUnpooled(unpooled)]
    websockets = [PolyreplWebsocket(polyrepl), PolyreplWebsocketV1(polyrepl)]
    return [polyrepl, unpooled, PolyreplBare(command), *typescript, *websockets]


def _others(absent: dict[str, str]) -> list[Peer]:
    """The peers of other projects; those that cannot be installed go into `absent` with the reason."""
    try:
        python, lacking = peers_python()
        server, gateway = JupyterServer(python), KernelGateway(python)
        others = [Raw(python), server, JupyterServerQuickack(server), gateway]
        others += [JupyterServerV1(server), JupyterServerV1Quickack(server), KernelGatewayV1(gateway)]
        others += [KernelBox(python), Xeus(python), Deno(python), Tslab(python)]
        absent |= {peer.name: f"{peer.package} cannot be installed" for peer in others if peer.package in lacking}
    except PeerError as error:
        absent["the other peers"] = str(error)
        return []
    return [peer for peer in others if peer.package not in lacking]


def _start(peers: list[Peer], directory: Path, absent: dict[str, str]) -> list[Peer]:
    """Start the peers; put those that fail into `absent` with the reason."""
    environment = peers_environment(directory)
    started = []
    for peer in peers:
        try:
            peer.start(directory / peer.name.replace(" ", "-"), environment)
            started.append(peer)
        except (PeerError, OSError) as error:
            absent[peer.name] = str(error)
            say(f"{peer.name} is not measured: {error}")
            peer.stop()
    return started


def _measure(run: Run, names: list[str]) -> None:
    time.sleep(run.plan.settle)
    run.start_rss = {peer.name: memory([peer.server.pid]).rss for peer in run.peers if peer.is_alive()}
    for name in names:
        started = time.monotonic()
        MEASUREMENTS[name](run)
        say(f"{name}: {time.monotonic() - started:.1f} s")


def _stop(peers: list[Peer]) -> None:
    for peer in reversed(peers):
        try:
            peer.stop()
        except Exception as error:  # the next peer must be stopped all the same
            say(f"stopping {peer.name} failed: {error}")
    end_everything()


def _leave(number: int, frame: FrameType | None) -> None:
    del frame
    raise SystemExit(128 + number)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 when polyrepl was asked for and did not start."""
    options = _arguments(argv)
    for number in _SIGNALS:
        signal.signal(number, _leave)
    adopt_orphans()
    absent: dict[str, str] = {}
    peers = _choose(options, absent)
    where = facts(getattr(next((p for p in peers if isinstance(p, Raw)), None), "python", None))
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    plan = BESIDE if options.before else QUICK if options.quick else Plan()
    run = Run([], plan, directory)
    began = time.monotonic()
    try:
        run.peers = _start(peers, directory, absent)
        _measure(run, options.only or list(MEASUREMENTS))
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        _stop(peers)
        shutil.rmtree(directory, ignore_errors=True)
    where["run"] = f"{'quick' if options.quick else 'full'}, {time.monotonic() - began:.0f} s"
    verdicts = check(run.results, options.milestone)
    about = {peer.name: peer.about for peer in run.peers}

    def text(chart: str | None) -> str:
        return markdown(
            run.results,
            peers=about,
            absent=absent,
            facts=where,
            verdicts=verdicts,
            milestone=options.milestone,
            chart=chart,
        )

    print(text(None) if options.before is None else table(compare(run.results)))
    if options.write:
        docs = ROOT / "docs"
        docs.mkdir(exist_ok=True)
        (docs / "benchmarks.md").write_text(text("benchmarks.svg"))
        (docs / "benchmarks.svg").write_text(svg(run.results, list(about), where))
    if options.json is not None:
        figures = as_json(run.results, facts=where, absent=absent, verdicts=verdicts, milestone=options.milestone)
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 1 if {"polyrepl", f"polyrepl{BEFORE}"} & absent.keys() else 0


if __name__ == "__main__":
    sys.exit(main())
