"""The isolator: decides how far each context is contained, and what each process of it is started with. Nothing falls back to less."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec

from engine.errors import FieldError, InvalidRequest, KernelStartFailed
from engine.kernels.isolation.box import Box
from engine.kernels.isolation.boxes import Boxes
from engine.kernels.isolation.probe import Capability, probe
from engine.kernels.isolation.uids import system_uids
from engine.kernels.isolation.view import Readable, View
from engine.kernels.isolation.world import UserWorld
from engine.kernels.provisioners import ROOT_WARNING, UNCONFINED, Confinement, RLimits, Zygote, Zygotes
from engine.log import get_logger
from engine.metrics import Metrics
from engine.options import Isolation
from engine.settings import TIERS, Network, Settings, Tier
from engine.workspaces import RunDir, Slot, Uids, Workspace

_SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var/lib")
_LEAST_PARTS = 2  # of the path of a directory that is not the whole machine
OPEN: Isolation = Isolation(Tier.NONE, "open")
"""No isolation at all."""


@dataclass(frozen=True, slots=True)
class Enclosure:
    """What one kernel is started with: a directory of its own, its confinement, and the box that it joins, if any.

    The box is held until `close`: by then a kernel holds it, or nobody."""

    directory: Path
    confinement: Confinement = UNCONFINED
    box: Box | None = None

    def close(self) -> None:
        if self.box is not None:
            self.box.leave()


@dataclass(frozen=True, slots=True)
class EnclosedTool:
    """What a tool that installs packages is run with; `release` when it has ended. `spawner` None: it is our child."""

    confinement: Confinement
    spawner: Zygote | None = None
    box: Box | None = None

    def release(self) -> None:
        if self.box is not None:
            self.box.leave()


class Isolator:
    """Of one backend. `open` finds out what works; until then, and where it is `off`, nothing is isolated.

    `spawners` start programs outside of boxes; those for boxes are made here, when there can be any."""

    def __init__(self, settings: Settings, readable: Readable, *, metrics: Metrics, is_on: bool) -> None:
        self.default = OPEN
        self.capability = Capability({})
        self.world = UserWorld()
        self._settings = settings
        self._metrics = metrics
        self._is_on = is_on and settings.isolation != "none"
        self._view = View(settings, readable)
        self._plain: Zygotes | None = None
        self._boxed: Zygotes | None = None
        self._boxes: Boxes | None = None
        self._lone_boxes: dict[Slot, Box] = {}
        self._no_landlock = ""

    def __repr__(self) -> str:
        return f"<Isolator {self.default.tier.name}>"

    @property
    def has_boxes(self) -> bool:
        """Whether contexts are in boxes of which nobody says otherwise."""
        return self.default.tier is Tier.NAMESPACES

    @property
    def spares(self) -> int:
        """How many boxes are ready."""
        return self._boxes.spares if self._boxes is not None else 0

    async def open(self, run_dir: RunDir, plain: Zygotes | None, boxed: Zygotes | None) -> None:
        """Find out what works here, and begin. `plain` and `boxed`: spawners of programs outside and in boxes.

        Raises InvalidRequest that names the setting which asks for more than works."""
        self._plain, self._boxed = plain, boxed
        settings = self._settings
        if self._is_on:
            if os.geteuid() == 0:
                run_dir.open_to(Uids(*settings.uid_range, system_uids()))
            if boxed is not None:
                self._boxes = Boxes(run_dir, self._view, boxed, network=settings.network or "none")
            self.capability = await probe(settings, run_dir, self)
        tier = self._chosen()
        required = settings.isolation_required
        if required is not None and tier < Tier.named(required):
            reason = self.capability.missing(Tier.named(required)) if self._is_on else "the setting isolation is none"
            raise _wrong(
                "isolation_required", f"{required!r} does not hold on this machine: {reason}; it has {tier.label!r}"
            )
        network = settings.network or ("none" if tier.refuses_network else "open")
        if network == "none" and not tier.refuses_network:
            raise _wrong(
                "network", f"'none' needs the isolation landlock or namespaces; this machine has {tier.label!r}"
            )
        self.default = Isolation(tier, network)
        self._tell(tier)
        self._metrics.isolation.labels(tier.label, network).set(1)
        self._metrics.boxes_ready.set_function(lambda: self.spares)
        if tier is Tier.NAMESPACES and self._boxes is not None:
            self._boxes.start()
        elif tier is Tier.NONE and run_dir.uids is not None:
            run_dir.uids.close()
            run_dir.uids = None

    def _chosen(self) -> Tier:
        settings = self._settings
        if settings.isolation == "auto":
            return self.capability.strongest
        tier = Tier.named(settings.isolation)
        if tier is not Tier.NONE and not self._is_on:
            return Tier.NONE
        if not self.capability.has(tier):
            raise _wrong("isolation", f"{tier.label!r} does not work on this machine: {self.capability.missing(tier)}")
        return tier

    def _tell(self, tier: Tier) -> None:
        """One line, for less than there could be, and one for a way round."""
        networks = (self.default.network, *(self._settings.networks_allowed or ()))
        if tier.refuses_network and "open" in networks and self._settings.secret is None:
            get_logger().warning("network_reaches_the_server", risk="code with an open network can use it: set a token")
        if tier is Tier.NONE and os.geteuid() == 0:
            get_logger().warning("runs_as_root", risk=ROOT_WARNING)
        if tier is Tier.NAMESPACES or not self._is_on:
            return
        problems = self.capability.problems.items()
        missing = {each.label: problem for each, problem in problems if each > tier and problem is not None}
        get_logger().warning(
            "isolation_is_lower", isolation=tier.label, missing=missing, setting=self._settings.isolation
        )

    def describe(self) -> str:
        """One line for operators: the tier, and what is missing from the next."""
        tier = self.default.tier
        said = f"{tier.label}, network {self.default.network}"
        if tier is Tier.NAMESPACES:
            return f"{said}; without Landlock: {self._no_landlock}" if self._no_landlock else said
        if self._settings.isolation == tier.label:
            return f"{said}, as the setting isolation says"
        return f"{said}; not {Tier(tier + 1).label}: {self.capability.missing(Tier(tier + 1))}"

    def of(self, workspace: Workspace) -> Isolation:
        """How contexts with these directories are isolated."""
        return workspace.isolation or self.default

    def resolve(self, tier: str | None, network: str | None) -> Isolation | None:
        """What a request asks for, and the rest as the settings say; None if that is the default.

        Raises InvalidRequest that names the field, its value and what is allowed."""
        found = self._resolve(tier, network)
        return None if found == self.default else found

    def _resolve(self, tier: str | None, network: str | None) -> Isolation:
        settings, default = self._settings, self.default
        lowest = (
            default.tier
            if settings.isolation_lowest is None
            else min(Tier.named(settings.isolation_lowest), default.tier)
        )
        able = [each for each in Tier if each >= lowest and (each <= default.tier or self.capability.has(each))]
        able = [each for each in able if each in (Tier.NONE, default.tier) or self.capability.has(each)]
        chosen = default.tier
        if tier is not None:
            allowed = ", ".join(each.label for each in able)
            if tier not in TIERS or (chosen := Tier.named(tier)) not in able:
                raise _wrong("isolation", f"{tier!r} is not allowed on this server; allowed: {allowed}")
        networks = _networks(settings, default.network, chosen)
        if network is None:
            found: Network = default.network if default.network in networks else networks[0]
            return Isolation(chosen, found)
        if network not in networks:
            raise _wrong("network", f"{network!r} is not allowed on this server; allowed: {', '.join(networks)}")
        return Isolation(chosen, "open" if network == "open" else "none")

    def check_cwd(self, path: Path, run_dir: RunDir) -> None:
        """Raises InvalidRequest for a directory that isolated code must not write to."""
        if self.default.tier is Tier.NONE:
            return
        is_whole = len(path.parts) < _LEAST_PARTS
        if is_whole or run_dir.overlaps(path) or any(path.is_relative_to(place) for place in _SYSTEM):
            raise _wrong("cwd", f"{str(path)!r} is of the system or of the server, which isolated code cannot have")

    async def enclose(self, run_dir: RunDir, spec: KernelSpec, workspace: Workspace, base: Confinement) -> Enclosure:
        """What a kernel in these directories is started with. `base`: its limits. Raises KernelStartFailed, or OSError."""
        found = self.of(workspace)
        slot = workspace.slot
        extra = [] if workspace.is_own else [workspace.cwd]
        if found.tier is Tier.NAMESPACES:
            box = await self._boxes_for(spec).acquire(slot, spec, extra, network=found.network)
            box.join()
            return Enclosure(box.directory, self._in_box(box, base), box)
        if found.tier is Tier.NONE:
            return Enclosure(run_dir.new_kernel_dir(), base)
        directory = run_dir.new_kernel_dir_of(slot)
        try:
            return Enclosure(directory, await self._bare(found, spec, slot, [directory, *extra], base))
        except BaseException:
            await asyncio.shield(run_dir.remove(directory))
            raise

    async def enclose_tool(
        self, workspace: Workspace, staging: Path, base: Confinement, read: Sequence[str]
    ) -> EnclosedTool:
        """The same for tools that install packages: they may use the network, write into `staging` besides the slot, and read
        `read` besides what kernels read."""
        tier, slot = self.of(workspace).tier, workspace.slot
        if tier is Tier.NONE:
            return EnclosedTool(base)
        spawner = await self.spawner(tier)
        if spawner is None or (tier is Tier.NAMESPACES and self._boxes is None):
            raise KernelStartFailed("The installation", "its isolation failed: the spawner does not start")
        extra = [staging, *([] if workspace.is_own else [workspace.cwd])]
        if tier is not Tier.NAMESPACES or self._boxes is None:
            return EnclosedTool(await self._bare(Isolation(tier, "open"), None, slot, extra, base, read), spawner)
        box = await self._boxes.make_for_tools(slot, extra, read)
        box.join()
        return EnclosedTool(self._in_box(box, base), spawner, box)

    def _in_box(self, box: Box, base: Confinement) -> Confinement:
        rules = None if self._no_landlock else self._view.rules_in(box)
        return replace(base, tier=Tier.NAMESPACES, uid=box.slot.uid, box=box.pidfd, rules=rules)

    def forgo_landlock(self, reason: str) -> None:
        """Boxes work here, and Landlock in them does not."""
        self._no_landlock = reason
        get_logger().warning("boxes_without_landlock", reason=reason)

    async def _bare(
        self,
        found: Isolation,
        spec: KernelSpec | None,
        slot: Slot,
        extra: Sequence[Path],
        base: Confinement,
        read: Sequence[str] = (),
    ) -> Confinement:
        """Without a box."""
        confinement = replace(base, tier=found.tier, uid=slot.uid)
        if found.tier is not Tier.LANDLOCK:
            return confinement
        write = [slot.path, *extra]
        rules = await asyncio.to_thread(self._view.rules, spec, write, network=found.network, read=read)
        return replace(confinement, rules=rules)

    def spawners(self, tier: Tier) -> Zygotes | None:
        """What starts programs of this tier."""
        return self._boxed if tier is Tier.NAMESPACES else self._plain

    def _boxes_for(self, spec: KernelSpec) -> Boxes:
        if self._boxes is None:
            raise KernelStartFailed(spec.display_name, "its isolation is not there")
        return self._boxes

    async def spawner(self, tier: Tier) -> Zygote | None:
        spawners = self.spawners(tier)
        return None if spawners is None else await spawners.settled()

    async def confine(
        self, slot: Slot, tier: Tier, *, network: Network | None = None, rlimits: RLimits | None = None
    ) -> Confinement:
        """As a kernel would be in this slot, until `release`; by default with the network and the limits that the settings say.

        Raises KernelStartFailed."""
        base = Confinement.of(self._settings.kernel_rlimits, hidden=self._settings.hide_processes)
        base = replace(base, rlimits={**base.rlimits, **(rlimits or {})})
        if tier is Tier.NAMESPACES:
            if self._boxes is None:
                raise KernelStartFailed("isolation", "its isolation failed: there is no spawner")
            box = self._lone_boxes[slot] = await self._boxes.make_for_one(slot, network)
            return self._in_box(box, base)
        network = network or self._settings.network or ("none" if tier.refuses_network else "open")
        return await self._bare(Isolation(tier, network), None, slot, (), base)

    def release(self, slot: Slot) -> None:
        if (box := self._lone_boxes.pop(slot, None)) is not None:
            box.close()

    async def aclose(self) -> None:
        """End what is kept ready. May be called again."""
        if self._boxes is not None:
            await self._boxes.aclose()
        self.world.close()


def _networks(settings: Settings, default: Network, tier: Tier) -> list[Network]:
    """Those that a context of this tier may have."""
    if not tier.refuses_network:
        return ["open"]
    allowed: Iterable[Network] = settings.networks_allowed or (default,)
    return list(dict.fromkeys([default, *allowed]))


def _wrong(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(FieldError(field, problem), message=f"{field}: {problem}")
