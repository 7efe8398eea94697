"""Arguments of MindCV's that mean nothing here: taken as they are by default, and else refused by name."""

from __future__ import annotations

from regraft.errors import InvalidError


def refuse(name: str, given: object, default: object) -> None:
    """Raise InvalidError where an argument has another value than the one that asks for nothing."""
    if given is not None and given != default:
        raise InvalidError(f"There is no {name} here.", hint=f"Leave {name}={given!r} out.", where=name)
