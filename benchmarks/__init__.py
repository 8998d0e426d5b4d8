"""Benchmarks: polyrepl and what a user would pick instead, alive side by side in one run."""
