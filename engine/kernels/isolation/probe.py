"""The probe: which tiers this machine has, found by trying each whole set-up once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from engine.errors import KernelStartFailed
from engine.kernels.provisioners import Confinement, Zygote, run_command
from engine.settings import Settings, Tier
from engine.workspaces import RunDir, Slot, as_owner

_SECONDS = 30.0
_MOST_REASON = 500
# What a process must find of itself: it may become nobody else, it has its slot to write in, and it runs the kernels' interpreter.
_CHECK = """
import os, sys
status = open('/proc/self/status').read()
if 'NoNewPrivs:\\t1' not in status: sys.exit('no_new_privs: it is not set')
if sys.argv[1] != 'None' and os.getresuid() != (int(sys.argv[1]),) * 3: sys.exit('uid: it is another')
if sys.argv[2] != 'process' and 'Seccomp:\\t2' not in status: sys.exit('seccomp: there is no filter')
if sys.argv[2] == 'namespaces' and sum(each.isdigit() for each in os.listdir('/proc')) > 3: sys.exit('proc: it shows other processes')
os.makedirs('other', exist_ok=True)
open('probe', 'w').close()
if sys.argv[2] == 'namespaces': os.rename('probe', 'other/probe')  # the first Landlock refuses it
else: os.unlink('probe')
"""


@dataclass(frozen=True, slots=True)
class Capability:
    """What works here: for each tier None, or what does not work and why."""

    problems: Mapping[Tier, str | None]

    @property
    def strongest(self) -> Tier:
        return max((tier for tier, problem in self.problems.items() if problem is None), default=Tier.NONE)

    def has(self, tier: Tier) -> bool:
        return tier is Tier.NONE or (tier in self.problems and self.problems[tier] is None)

    def missing(self, tier: Tier) -> str:
        """Why a tier is not there, as the end of a sentence."""
        return self.problems.get(tier) or "it was not tried"


class Trials(Protocol):
    """Who knows how a process of a tier is confined: the isolator."""

    async def confine(self, slot: Slot, tier: Tier) -> Confinement:
        """As a kernel would be in this slot. Raises KernelStartFailed."""

    async def spawner(self, tier: Tier) -> Zygote | None: ...

    def forgo_landlock(self, reason: str) -> None:
        """From now on `confine` leaves Landlock out in boxes, where it is one wall more."""

    def release(self, slot: Slot) -> None:
        """What `confine` made for the slot is not needed any more."""


async def probe(settings: Settings, run_dir: RunDir, trials: Trials) -> Capability:
    """Try the tiers that the settings may mean, from the strongest on. Nothing is left of the trials."""
    if sys.platform != "linux":
        reason = "it needs Linux"
        return Capability({tier: reason for tier in Tier if tier is not Tier.NONE})
    problems: dict[Tier, str | None] = {}
    least = Tier.named(settings.isolation_lowest or "namespaces")
    wanted = Tier.NAMESPACES if settings.isolation == "auto" else Tier.named(settings.isolation)
    for tier in (Tier.NAMESPACES, Tier.LANDLOCK, Tier.PROCESS):
        is_found = any(problem is None for problem in problems.values())
        if is_found and tier < min(least, wanted):
            break
        problems[tier] = await _try(settings, run_dir, trials, tier)
    return Capability(problems)


async def _try(settings: Settings, run_dir: RunDir, trials: Trials, tier: Tier) -> str | None:
    """None if it works, or what does not, each part apart."""
    slot = run_dir.new_slot()
    try:
        whole = await trials.confine(slot, tier)
        problem = await _run(settings, trials, slot, whole, tier)
        if problem is None or whole.rules is None:
            return problem
        without = await _run(settings, trials, slot, replace(whole, rules=None), tier)
        if tier is Tier.NAMESPACES:
            if without is None:
                trials.forgo_landlock(problem)
            return without
        if without is None:
            return problem
        alone = replace(whole, tier=Tier.PROCESS)
        other = await _run(settings, trials, slot, alone, Tier.PROCESS)
        return without if other is None or other == without else f"{without}; {other}"
    except KernelStartFailed as error:
        return error.message.partition("its isolation failed: ")[2] or error.message
    except OSError as error:
        return error.strerror or str(error)
    finally:
        trials.release(slot)
        await asyncio.shield(run_dir.remove_slot(slot))


async def _run(settings: Settings, trials: Trials, slot: Slot, confinement: Confinement, tier: Tier) -> str | None:
    spawner = await trials.spawner(tier)
    if spawner is None:
        return "the spawner does not start"
    place = Path(slot.path, "probe")
    with as_owner(slot.uid), contextlib.suppress(FileExistsError):  # by descriptor: the way to it may be ours alone
        os.mkdir(place.name, 0o700, dir_fd=slot.anchor.hold().fd)
    command = [str(settings.python), "-I", "-S", "-c", _CHECK, str(slot.uid), tier.label]
    try:
        async with asyncio.timeout(_SECONDS):
            code, out, err = await run_command(
                command, cwd=place, env={}, confinement=confinement, reader=None, spawner=spawner
            )
    except TimeoutError:
        return f"a process was not ready in {_SECONDS:g} s"
    if code == 0:
        return None
    said = (err + out).strip().splitlines()
    return said[-1][:_MOST_REASON] if said else f"a process ended with code {code}"
