"""Models of torchvision: the weights that it publishes, their labels, and what pictures they are for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regraft.errors import NotFoundError, did_you_mean
from regraft.hub import nets
from regraft.hub.sources.digits import compared
from regraft.hub.sources.mirrors import published
from regraft.hub.sources.source import UNKNOWN, Locate, Source, distinct
from regraft.records import InputSpec
from regraft.refs import Ref

from torchvision.models import get_model_weights  # isort: skip (nets has made it importable)

_CODE = "BSD-3-Clause (torchvision; the weights name no licence of their own)"


def find(ref: Ref, weights: Path | None, locate: Locate) -> Source:
    """Return a model of torchvision with the weights that the ref names, or that are taken by default.

    A local file stands for them where one is given. Raises NotFoundError, FetchError, and IntegrityError
    where a file is not the one that its name says.
    """
    architecture = f"torchvision:{ref.name}"
    entry = _entry(ref, architecture)
    facts = entry.transforms()
    path = weights or compared(locate(published(entry.url)), entry.url)
    return Source(
        architecture=architecture,
        weights=path,
        licence=UNKNOWN if weights else entry.meta.get("license", _CODE),
        labels=distinct(entry.meta["categories"], [str(i) for i in range(len(entry.meta["categories"]))]),
        input=InputSpec(
            size=facts.crop_size[0],
            crop=facts.crop_size[0] / facts.resize_size[0],
            mean=tuple(facts.mean),
            std=tuple(facts.std),
            interpolation="bilinear" if facts.interpolation.value == "bilinear" else "bicubic",
        ),
    )


def _entry(ref: Ref, architecture: str) -> Any:
    """Return what torchvision knows of some weights."""
    spec = nets.input_spec(nets.outline(architecture))  # NotFoundError names the nearest architecture
    entries = get_model_weights(ref.name)
    if not ref.version:
        # the best ones of a ViT may be for larger pictures than its net takes
        return next(
            (one for one in (entries.DEFAULT, *entries) if one.transforms().crop_size[0] == spec.size),
            entries.DEFAULT,
        )
    known = [one.name for one in entries]
    if ref.version == "DEFAULT":
        return entries.DEFAULT
    if ref.version not in known:
        raise NotFoundError(
            f"torchvision has no weights {ref.version!r} for {ref.name!r}.",
            hint=did_you_mean(ref.version, known, otherwise=f"There is {', '.join(known)}."),
        )
    return entries[ref.version]
