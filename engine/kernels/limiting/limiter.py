"""The limiter: what the settings say of limits, and the kernels that are kept within them."""

from __future__ import annotations

from engine.kernels.limiting.rules import LimitRules
from engine.kernels.limiting.ward import Ward, Wards
from engine.settings import Limits, Settings
from engine.workspaces import Workspace


class Limiter:
    """`rules` say what contexts may ask for, and `wards` keep their kernels to it."""

    def __init__(self, settings: Settings, *, memory: int | None) -> None:
        """`memory`: bytes for a context, where `context_limits` does not say."""
        self.rules = LimitRules(settings, memory=memory)
        self.wards = Wards()
        self._settings = settings

    def __repr__(self) -> str:
        return f"<Limiter {self.wards.describe()}>"

    def open(self) -> None:
        """Find out what this machine has to limit by. Blocks."""
        if self._settings.cgroups:
            self.wards.open()

    def close(self) -> None:
        """The kernels are gone by now. Blocks. May be called again."""
        self.wards.close()

    def describe(self) -> str:
        """One line for operators: what limits."""
        return self.wards.describe()

    def limits_of(self, workspace: Workspace) -> Limits:
        """What contexts in these directories may take."""
        return workspace.limits or self.rules.default

    def heap_of(self, workspace: Workspace) -> int | None:
        """Bytes for interpreters that bound their own heap; None where nobody has set a limit, and they decide."""
        memory = self.limits_of(workspace).memory
        is_set = memory != self.rules.default.memory or "memory" in self._settings.context_limits
        return memory if is_set else self._settings.kernel_memory

    def ward(self, name: str, workspace: Workspace) -> Ward:
        """For a kernel that is about to be started in these directories."""
        return self.wards.ward(name, self.limits_of(workspace), workspace)
