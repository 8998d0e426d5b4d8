"""The Jupyter messaging protocol as values: messages, frames, MIME bundles and connection files. Pure."""
