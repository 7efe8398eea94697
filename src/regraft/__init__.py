"""Fine-tune a pretrained vision model on your own pictures, and get a classifier you can trust.

The public names are bound when they are first used, so that `import regraft` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from regraft.errors import RegraftError
    from regraft.records import Report
    from regraft.workspace.load import load
    from regraft.workspace.main import FinetuneResult, Workspace, open

_HOMES = {
    "FinetuneResult": "regraft.workspace.main",
    "RegraftError": "regraft.errors",
    "Report": "regraft.records",
    "Workspace": "regraft.workspace.main",
    "load": "regraft.workspace.load",
    "open": "regraft.workspace.main",
}

__all__ = ["FinetuneResult", "RegraftError", "Report", "Workspace", "__version__", "load", "open"]


def __getattr__(name: str) -> object:
    """Import the module that holds a public name when the name is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'regraft' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names, bound or not."""
    return sorted(__all__)
