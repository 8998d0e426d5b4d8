"""What a cell prints and shows: messages in, events and a result out. Pure."""

from engine.output.buffers import OutputLimits, to_lines
from engine.output.engine_errors import EngineError, EngineFailed
from engine.output.journal import Journal
from engine.output.normalizer import FindHint, Normalizer, strip_ansi, traceback_text

__all__ = [
    "EngineError",
    "EngineFailed",
    "FindHint",
    "Journal",
    "Normalizer",
    "OutputLimits",
    "strip_ansi",
    "to_lines",
    "traceback_text",
]
