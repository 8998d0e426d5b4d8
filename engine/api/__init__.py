"""The dialects of the HTTP API (layer 8): thin, one file each, none importing another, all on `engine.core`."""
