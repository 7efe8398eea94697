"""`regraft.load`: a net in one call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from regraft.workspace.main import Workspace
from regraft.workspace.main import open as open_workspace

if TYPE_CHECKING:
    from torch import nn


def load(
    ref: str,
    *,
    include_top: bool = True,
    pretrained: bool = True,
    num_classes: int | None = None,
    in_channels: int = 3,
    pool: bool = True,
    weights: Path | str = "",
    workspace: Workspace | Path | str | None = None,
) -> nn.Module:
    """Return a model as a plain `nn.Module`, as `Workspace.models.load` does.

    It comes from, and where it is new goes into, the workspace that is given, or the one that `regraft.open`
    opens.
    """
    place = workspace if isinstance(workspace, Workspace) else open_workspace(workspace)
    return place.models.load(
        ref,
        include_top=include_top,
        pretrained=pretrained,
        num_classes=num_classes,
        in_channels=in_channels,
        pool=pool,
        weights=weights,
    )
