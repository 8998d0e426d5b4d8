"""Packages: which names are allowed, and how pip and npm install them into a context."""
