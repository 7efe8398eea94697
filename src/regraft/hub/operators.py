"""Make torchvision, and so timm, importable beside a torch build that its compiled operators do not fit.

torchvision's Python code refers to two compiled operators when it is imported. Beside a CPU build of
torch the library that holds them does not load, and the import fails. Regraft never calls them; their
schemas are enough for the import. Where the library loads, nothing is registered.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
#: A registration lasts as long as the object that made it.
_registrations: list[torch.library.Library] = []


def register() -> bool:
    """Register the schemas that are missing; return whether any was.

    Call it before torchvision or timm is imported. Calling it again does nothing.
    """
    _load_compiled()
    missing = [schema for schema in _SCHEMAS if not hasattr(torch.ops.torchvision, schema.partition("(")[0])]
    if missing:
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for schema in missing:
            library.define(schema)  # type: ignore[no-untyped-call]
        _registrations.append(library)
    return bool(missing)


def _load_compiled() -> None:
    """Load torchvision's own operators if they fit this torch; torchvision would do the same."""
    spec = find_spec("torchvision")  # finds the package and does not import it
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted([*Path(folder).glob("_C*.so"), *Path(folder).glob("_C*.pyd")]):
            try:
                torch.ops.load_library(str(file))  # type: ignore[no-untyped-call]
            except (OSError, ImportError):
                return
