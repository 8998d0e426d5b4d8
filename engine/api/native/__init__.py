"""The native dialect: executions, contexts, files, packages, and what operators ask."""
