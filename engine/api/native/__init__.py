"""The native dialect: executions, contexts, files, packages, and what operators ask."""

from engine.api.native.dialect import NATIVE
from engine.api.native.operations import Readiness
from engine.api.native.routes import OPERATIONS

__all__ = ["NATIVE", "OPERATIONS", "Readiness"]
