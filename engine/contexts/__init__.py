"""Contexts and executions: a kernel, its queue, and what is run on it."""

from engine.contexts.answers import END_OF_INPUT
from engine.contexts.branches import Branch, Brancher
from engine.contexts.budgets import Budget, Budgets, Share
from engine.contexts.checkpoints import Checkpoint
from engine.contexts.context import Context, ContextOptions
from engine.contexts.execution import Execution, Request
from engine.contexts.executions import Executions
from engine.contexts.keys import Keys
from engine.contexts.observers import Observer
from engine.contexts.registry import DELETED, Contexts
from engine.contexts.variables import listing_of

__all__ = [
    "DELETED",
    "END_OF_INPUT",
    "Branch",
    "Brancher",
    "Budget",
    "Budgets",
    "Checkpoint",
    "Context",
    "ContextOptions",
    "Contexts",
    "Execution",
    "Executions",
    "Keys",
    "Observer",
    "Request",
    "Share",
    "listing_of",
]
