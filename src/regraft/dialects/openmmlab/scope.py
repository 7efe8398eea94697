"""The names that a file of a config has defined, and where it says so."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from regraft.dialects.openmmlab.tables import Place, invalid
from regraft.errors import InvalidRecipe, did_you_mean

ALLOWED = (
    "Configs are read and never executed: write values, dict(...), names that are defined above, arithmetic, "
    "strings formatted with known values, and _base_.NAME."
)


class Scope:
    """The names that an expression of one file may use."""

    def __init__(self, file: str, *, own: bool, known: Mapping[str, object]) -> None:
        self.file = file
        self.own = own
        #: What is written `{{fileDirname}}` and alike.
        self.known = dict(known)
        self.names: dict[str, object] = {}
        #: Names that some expression has used.
        self.used: set[str] = set()

    def place(self, node: ast.AST) -> Place:
        """Return where something is written."""
        return Place(file=self.file, line=getattr(node, "lineno", 0), own=self.own)

    def refuse(self, node: ast.AST, fact: str, hint: str = ALLOWED) -> InvalidRecipe:
        """Return the error for what cannot be read."""
        return invalid(self.place(node), fact, hint=hint, where=str(self.place(node)))

    def find(self, name: str, node: ast.AST) -> object:
        """Return what a name is worth that is defined above."""
        if name not in self.names:
            raise self.refuse(
                node,
                f"{name!r} is not defined above.",
                did_you_mean(name, self.names, otherwise=ALLOWED),
            )
        self.used.add(name)
        return self.names[name]
