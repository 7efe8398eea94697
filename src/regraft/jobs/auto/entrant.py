"""A backbone and how it sees pictures: what a search chooses between."""

from __future__ import annotations

from dataclasses import dataclass

from regraft.recipe import Recipe
from regraft.records import ModelVersion, Precision, Version

#: How much of each side that is seen otherwise is seen from closer.
_CLOSER = 0.75


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A pretrained model, seen through one size and one way to make squares."""

    version: Version
    #: Its manifest, in which the input is that of the view.
    model: ModelVersion
    #: What its trunk computes in here.
    precision: Precision

    @property
    def backbone(self) -> str:
        """What the pretrained model is called."""
        return self.model.source or str(self.version)

    @property
    def view(self) -> str:
        """How a picture is seen, in words."""
        return f"{self.model.input.size} px, {self.model.input.resize}"

    def suited(self, recipe: Recipe) -> Recipe:
        """Return the recipe with this backbone, view and precision in place of what it leaves open."""
        data = recipe.data.model_copy(
            update={
                **self.model.input.model_dump(),
                "augment": () if recipe.data.augment == "auto" else recipe.data.augment,
                "cache_side": recipe.data.cache_side or int(self.model.input.size / self.model.input.crop),
            }
        )
        changes: dict[str, object] = {"data": data}
        if self.model.lineage is None:  # another backbone than the recipe's
            changes["model"] = recipe.model.model_copy(update={"ref": self.backbone})
            changes["train"] = recipe.train.model_copy(update={"precision": self.precision})
            changes["eval"] = recipe.eval.model_copy(update={"precision": self.precision})
        return recipe.model_copy(update=changes)

    def closer(self) -> Entrant:
        """Return the same backbone with a view of the middle of each picture alone, at the same size."""
        spec = self.model.input
        return self.seeing(resize="crop", crop=_CLOSER * (spec.crop if spec.resize == "crop" else 1.0))

    def seeing(
        self, *, size: int | None = None, resize: str | None = None, crop: float | None = None
    ) -> Entrant:
        """Return the same backbone with another view."""
        asked = {"size": size, "resize": resize, "crop": crop}
        update = {key: value for key, value in asked.items() if value is not None}
        spec = self.model.input.model_copy(update=update)
        return Entrant(
            version=self.version,
            model=self.model.model_copy(update={"input": spec}),
            precision=self.precision,
        )
