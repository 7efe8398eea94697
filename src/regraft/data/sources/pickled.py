"""Read the pickles that some data sets are published in, without unpickling: nothing in them is ever called.

A pickle is a program. Of its instructions those are followed here that put together numbers, texts, lists,
dictionaries, and arrays of bytes as numpy wrote them in Python 2; anything else is refused. The standard
library only takes the instructions apart.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from regraft.errors import InvalidError

#: What a pickled array names. These are words here, not functions.
_NAMES = {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}
_CONSTANTS = {"EMPTY_TUPLE": (), "NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = {"BININT", "BININT1", "BININT2", "BINSTRING", "SHORT_BINSTRING", "BINUNICODE"}
#: How many things an instruction takes; None: all down to the last mark.
_GATHERING = {
    "TUPLE": None,
    "TUPLE1": 1,
    "TUPLE2": 2,
    "TUPLE3": 3,
    "APPEND": 1,
    "APPENDS": None,
    "SETITEM": 2,
    "SETITEMS": None,
}
_MARK = object()


@dataclass(slots=True, eq=False)
class _Built:
    """Something that the pickle wants made."""

    name: str
    arguments: tuple[object, ...]
    state: object = None


def read_pickled(data: bytes, *, source: str) -> dict[str, object]:
    """Return the dictionary in a pickle; texts are latin-1, and an array of bytes is one of uint8.

    Raises InvalidError where the pickle holds, or does, anything else.
    """
    machine = _Machine()
    try:
        for instruction, argument, _ in pickletools.genops(data):
            machine.follow(instruction.name, argument)
        (result,) = machine.stack
        if isinstance(result, dict):
            return {key: _array(value) for key, value in result.items()}
        reason = "it is no dictionary"
    except _RefusedError as error:
        reason = str(error)
    except Exception:  # the instructions of damaged bytes ask for anything
        reason = "it is damaged"
    raise InvalidError(
        f"{source} cannot be read: {reason}.", hint="Download it again from its publisher.", where=source
    )


class _RefusedError(Exception):
    """Why a pickle is not followed."""


@dataclass(slots=True)
class _Machine:
    """The stack and the memory that instructions work on."""

    stack: list[object] = field(default_factory=list)
    memory: dict[int, object] = field(default_factory=dict)

    def follow(self, name: str, argument: object) -> None:
        """Follow one instruction; raises _RefusedError, or anything where it makes no sense."""
        if name in ("BINPUT", "LONG_BINPUT"):
            self.memory[_number(argument)] = self.stack[-1]
        elif name in _GATHERING:
            self._gather(name)
        elif name in ("GLOBAL", "REDUCE", "BUILD"):
            self._make(name, argument)
        elif name not in ("PROTO", "STOP"):
            self.stack.append(self._value(name, argument))

    def _value(self, name: str, argument: object) -> object:
        """Return what an instruction puts on the stack."""
        match name:
            case "MARK":
                return _MARK
            case "EMPTY_DICT":
                return {}
            case "EMPTY_LIST":
                return []
            case "BINGET" | "LONG_BINGET":
                return self.memory[_number(argument)]
            case _ if name in _VALUES:
                return argument
            case _ if name in _CONSTANTS:
                return _CONSTANTS[name]
        raise _RefusedError(f"it has an instruction {name}, which has no business here")

    def _gather(self, name: str) -> None:
        """Put what stands last on the stack into a list, a dictionary or a tuple."""
        size = _GATHERING[name]
        items = self._marked() if size is None else self._last(size)
        if name.startswith("TUPLE"):
            self.stack.append(tuple(items))
        elif name.startswith("APPEND"):
            _list(self.stack[-1]).extend(items)
        else:
            _dictionary(self.stack[-1]).update(zip(map(_key, items[::2]), items[1::2], strict=True))

    def _make(self, name: str, argument: object) -> None:
        """Note what the pickle would call for, and with what."""
        if name == "GLOBAL":
            if argument not in _NAMES:
                raise _RefusedError(f"it names {argument!r}, which has no business here")
            self.stack.append(_Built(str(argument), ()))
            return
        what, arguments = self._last(2)
        if not isinstance(what, _Built):
            raise _RefusedError("it calls or changes something")
        if name == "BUILD":
            what.state = arguments
            self.stack.append(what)
        elif isinstance(arguments, tuple):
            self.stack.append(_Built(what.name, arguments))
        else:
            raise _RefusedError("it calls something")

    def _marked(self) -> list[object]:
        """Take what stands above the last mark."""
        items: list[object] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _last(self, count: int) -> list[object]:
        items = self.stack[-count:]
        del self.stack[-count:]
        return items


def _array(value: object) -> object:
    """Return what stands for an array of bytes as that array; everything else as it is."""
    if not isinstance(value, _Built):
        return value
    match value.state:
        case (
            1,
            tuple() as shape,
            _Built(name="numpy dtype", arguments=("u1", *_)),
            bool() as fortran,
            str() as data,
        ):
            array: npt.NDArray[np.uint8] = np.frombuffer(data.encode("latin-1"), np.uint8)
            return array.reshape([_number(side) for side in shape], order="F" if fortran else "C")
    raise _RefusedError("it holds an array that is not one of bytes")


def _number(value: object) -> int:
    if isinstance(value, int):
        return value
    raise _RefusedError("it has something in place of a number")


def _key(value: object) -> str:
    if isinstance(value, str):
        return value
    raise _RefusedError("it has a key that is no text")


def _list(value: object) -> list[object]:
    if isinstance(value, list):
        return value
    raise _RefusedError("it adds to something that is no list")


def _dictionary(value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    raise _RefusedError("it adds to something that is no dictionary")
