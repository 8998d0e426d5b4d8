"""Answers and parameters that several operations of the native API share."""

from __future__ import annotations

from engine.api.http.errors import InvalidProblem, ObstacleProblem, Problem
from engine.api.http.openapi import Answer, Parameter
from engine.api.http.streaming import NDJSON, SSE

STREAMS = ("application/json", SSE, NDJSON)
BAD_QUERY = Answer("A parameter is not valid", InvalidProblem)
BUSY = Answer("The queue or the server is full", Problem, headers=("Retry-After",))
CANNOT_BRANCH = Answer(
    "The state cannot be copied (see `obstacles`), a cell runs for too long, or the id is in use", ObstacleProblem
)
CELL_RUNS = Answer("A cell runs", Problem, headers=("Retry-After",))
ENDED = Answer("The context was ended or restarted in the meantime", Problem)
ENDING = Answer("The server is shutting down", Problem)
KERNEL_FAILED = Answer("The kernel died, or did not answer", Problem)
KERNEL_NOT_STARTED = Answer("The kernel could not be started", Problem)
NO_CONTEXT = Answer("The context does not exist", Problem)
NO_FILE = Answer("The context or the file does not exist", Problem)
NO_ROOM = Answer("The context's files, or the disk, are full", Problem)
NOT_A_FILE = Answer("The path is in use by something else, or the context was ended in the meantime", Problem)
NOT_SUPPORTED = Answer("The kernel of this language does not support it", Problem)

LANGUAGE = Parameter("language", "query", "Only the context of this language.", {"type": "string"})
