"""Contexts and executions: a kernel, its queue, and what is run on it."""
