"""Types of settings, and how their text forms are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

MIB = 1024 * 1024


def split_names(value: Any) -> Any:
    """Read "a,b,c" as a list."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return value


def _split_pairs(value: Any) -> Any:
    """Read "a=b,c=d" as a mapping."""
    if isinstance(value, str):
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        return {name.strip(): found.strip() for name, _, found in pairs}
    return value


def read_object(value: Any) -> Any:
    """Read a JSON object."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        msg = 'must be a JSON object, such as {"NAME": "value"}'
        raise ValueError(msg)
    return found


Paths = Annotated[list[Path], NoDecode, BeforeValidator(split_names)]
Names = Annotated[list[str], NoDecode, BeforeValidator(split_names)]
Pairs = Annotated[dict[str, str], NoDecode, BeforeValidator(_split_pairs)]
Texts = Annotated[dict[str, str], NoDecode, BeforeValidator(read_object)]
Numbers = Annotated[dict[str, Annotated[int, Field(ge=0)]], NoDecode, BeforeValidator(read_object)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
