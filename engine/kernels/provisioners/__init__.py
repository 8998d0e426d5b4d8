"""Ways to run a kernel: as a process that is spawned, or forked from a zygote."""

from engine.kernels.provisioners.command import run_command
from engine.kernels.provisioners.confinement import (
    ROOT_WARNING,
    UNCONFINED,
    Confinement,
    RLimits,
    Rules,
    hide_process,
)
from engine.kernels.provisioners.fork import ForkProvisioner
from engine.kernels.provisioners.process import open_pidfd
from engine.kernels.provisioners.program import ProgramProvisioner
from engine.kernels.provisioners.provisioner import (
    FORK_NAME,
    Exit,
    MakeProvisioner,
    OutputReader,
    Provisioner,
)
from engine.kernels.provisioners.spawn import SpawnProvisioner
from engine.kernels.provisioners.zygote import Watcher, Zygote, ZygoteFailed, ZygoteState
from engine.kernels.provisioners.zygotes import Waker, World, Zygotes

__all__ = [
    "FORK_NAME",
    "ROOT_WARNING",
    "UNCONFINED",
    "Confinement",
    "Exit",
    "ForkProvisioner",
    "MakeProvisioner",
    "OutputReader",
    "ProgramProvisioner",
    "Provisioner",
    "RLimits",
    "Rules",
    "SpawnProvisioner",
    "Waker",
    "Watcher",
    "World",
    "Zygote",
    "ZygoteFailed",
    "ZygoteState",
    "Zygotes",
    "hide_process",
    "open_pidfd",
    "run_command",
]
