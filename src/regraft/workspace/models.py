"""Models: pretrained and fine-tuned, in numbered versions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.jobs.fetch import fetch
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import Version
from regraft.refs import parse
from regraft.store.opening import Store
from regraft.workspace import growing
from regraft.workspace.growing import GrowResult
from regraft.workspace.sources import placing, trace_from

if TYPE_CHECKING:
    from torch import nn

    from regraft.jobs.groups import GroupTable


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

    def get(self, ref: str, *, weights: str | Path = "") -> Version:
        """Return a model's version; one such as `embedded:efficientnet_lite0` is fetched first.

        `weights` is a file that stands for those that timm or torchvision publish.
        """
        return fetch(self._store, parse(ref), weights=str(weights), progress=self._progress)

    def load(
        self,
        ref: str,
        *,
        include_top: bool = True,
        pretrained: bool = True,
        num_classes: int | None = None,
        in_channels: int = 3,
        pool: bool = True,
        weights: str | Path = "",
    ) -> nn.Module:
        """Return a model as a plain `nn.Module` in eval mode, which gives logits [n, classes].

        It wants pictures prepared by the model's input facts, as floats [n, in_channels, size, size]. Weights
        of the first convolution are added up, or repeated, for other pictures than coloured ones.
        `num_classes` gives it a fresh linear head, which begins at zero. Without its top it gives features
        [n, num_features], or with `pool=False` the map [n, c, h, w] before them: `output_shape` says which.
        With `pretrained=False` weights are random, and no file is read or fetched; `weights` is a file that
        stands for those that timm or torchvision publish. Raises InvalidError where these contradict each
        other, and MismatchError where the net has no classifier, or no map.
        """
        from regraft.jobs import load  # torch and timm, for those who ask for a net

        return load.load(
            self._store,
            parse(ref),
            include_top=include_top,
            pretrained=pretrained,
            num_classes=num_classes,
            in_channels=in_channels,
            pool=pool,
            weights=str(weights),
            progress=self._progress,
        )

    def groups(
        self,
        ref: str,
        recipe: Recipe | str | Path | None = None,
        *,
        settings: Iterable[str] = (),
        classes: int | None = None,
    ) -> GroupTable:
        """Work out what of a model would learn under a recipe, stage by stage, and how fast.

        `classes` is how many the new head has; without it, as many as the model knows. Nothing is trained,
        and weights are fetched only where nothing else says what the net is. Raises InvalidRecipe where the
        recipe does not suit the net.
        """
        from regraft.jobs import groups  # torch and timm, for those who ask for a net

        plan = trace_from(self._store, recipe, settings).recipe
        with placing(self._store, recipe, settings, plan):
            return groups.of_model(self._store, parse(ref), plan, classes=classes, progress=self._progress)

    def add_class(self, ref: str, source: str | Path, *, label: str | None = None) -> GrowResult:
        """Teach a model a class that it does not know, in seconds; the old pictures are not looked at again.

        `source` is a folder of pictures of one class, called `label` or like the folder, or one of class
        folders. They join the dataset of the model, some of them to be measured on. Raises InvalidError where
        the model knows the class, MismatchError where its head is not linear or its net was tuned.
        """
        return growing.grow(self._store, ref, source, self._progress, label=label, new_class=True)

    def add_data(self, ref: str, source: str | Path, *, label: str | None = None) -> GrowResult:
        """Teach a model more of the classes that it knows, in seconds; see `add_class`."""
        return growing.grow(self._store, ref, source, self._progress, label=label, new_class=False)

    def tag(self, ref: str, tag: str, *, delete: bool = False) -> Version:
        """Let a tag name a version, where one that exists moves; or delete the tag.

        Returns the version that the tag names, or named. Raises NotFoundError with the tags that there are.
        """
        catalog = self._store.catalog
        return (catalog.untag if delete else catalog.tag)("models", parse(ref), tag)

    def tags(self, name: str) -> dict[str, int]:
        """Return the tags of a model, and the number of the version that each names."""
        return self._store.catalog.tags("models", parse(name).name)
