"""Numbers as a recipe writes them: `true` is none, and neither is "3", of which pydantic would make some."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, NonNegativeInt, PositiveFloat
from pydantic_core import PydanticKnownError


def _whole(value: object) -> object:
    if isinstance(value, bool | str):
        raise PydanticKnownError("int_type")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise PydanticKnownError("float_type")
    return value


WHOLE = BeforeValidator(_whole)
NUMBER = BeforeValidator(_number)

#: After the bounds where these are part of the type, so that a JSON schema tells them.
Whole = Annotated[int, WHOLE]
Count = Annotated[NonNegativeInt, WHOLE]
Number = Annotated[float, NUMBER]
Positive = Annotated[PositiveFloat, NUMBER]
