"""Models: pretrained and fine-tuned, in numbered versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regraft.jobs.fetch import fetch
from regraft.progress import Progress
from regraft.records import ModelVersion, Version
from regraft.refs import parse
from regraft.store.opening import Store

if TYPE_CHECKING:
    from torch import nn


class Models:
    """The models of a workspace."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._progress = progress

    def list(self) -> list[Version]:
        """List the latest version of every model."""
        return [
            self._store.catalog.find("models", parse(name)) for name in self._store.catalog.names("models")
        ]

    def get(self, ref: str) -> Version:
        """Return a model's version; one such as `embedded:efficientnet_lite0` is fetched first."""
        return fetch(self._store, parse(ref), weights="", progress=self._progress)

    def load(self, ref: str) -> nn.Module:
        """Return a model as a plain `nn.Module` in eval mode, which gives logits [n, classes].

        It wants pictures prepared by the model's input facts, as floats [n, 3, size, size].
        """
        from regraft.jobs import trunk  # torch and timm, for those who ask for a net

        return trunk.load_net(self._store, self.get(ref).read(ModelVersion))

    def tag(self, ref: str, tag: str, *, delete: bool = False) -> Version:
        """Let a tag name a version, where one that exists moves; or delete the tag.

        Returns the version that the tag names, or named. Raises NotFoundError with the tags that there are.
        """
        catalog = self._store.catalog
        return (catalog.untag if delete else catalog.tag)("models", parse(ref), tag)

    def tags(self, name: str) -> dict[str, int]:
        """Return the tags of a model, and the number of the version that each names."""
        return self._store.catalog.tags("models", parse(name).name)
