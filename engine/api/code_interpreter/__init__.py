"""The code-interpreter dialect: sessions, as the gateway for agents' primitives has them."""

from engine.api.code_interpreter.dialect import CODE_INTERPRETER

__all__ = ["CODE_INTERPRETER"]
