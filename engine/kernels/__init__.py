"""Kernels: how one is found, started, reached, limited and ended."""

from engine.kernels.backend import Backend, FileHolder
from engine.kernels.environment import kernel_env
from engine.kernels.grace import wait_for_stop
from engine.kernels.interpreters import Tool, find_node, find_npm, missing_modules, node_version
from engine.kernels.isolation import EnclosedTool
from engine.kernels.kernel import Kernel
from engine.kernels.kernelspecs import KernelSpecs, honours, package_tool, types_of
from engine.kernels.limiting import Limiter, hint_of
from engine.kernels.local import Local
from engine.kernels.memory import Memory, private_bytes, read_memory
from engine.kernels.pool import Pool
from engine.kernels.preludes import Preludes, preludes_of
from engine.kernels.provisioners import ROOT_WARNING, Exit, hide_process
from engine.kernels.run import Outcome, Run
from engine.kernels.silent import evaluate_silently, put_back, run_silently
from engine.kernels.stock import Member

__all__ = [
    "ROOT_WARNING",
    "Backend",
    "EnclosedTool",
    "Exit",
    "FileHolder",
    "Kernel",
    "KernelSpecs",
    "Limiter",
    "Local",
    "Member",
    "Memory",
    "Outcome",
    "Pool",
    "Preludes",
    "Run",
    "Tool",
    "evaluate_silently",
    "find_node",
    "find_npm",
    "hide_process",
    "hint_of",
    "honours",
    "kernel_env",
    "missing_modules",
    "node_version",
    "package_tool",
    "preludes_of",
    "private_bytes",
    "put_back",
    "read_memory",
    "run_silently",
    "types_of",
    "wait_for_stop",
]
