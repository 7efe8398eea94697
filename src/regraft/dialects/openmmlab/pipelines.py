"""Pipelines of a config: how pictures are prepared, and what happens to those that are learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regraft.dialects.openmmlab import steps
from regraft.dialects.openmmlab.parts import Book, Part
from regraft.dialects.openmmlab.steps import Cut, Steps
from regraft.errors import InvalidRecipe

__all__ = ["Facts", "prepared"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is known of the pictures of a dataset before one is read."""

    #: Side of pictures that are squares of one size; 0: they differ.
    side: int = 0
    #: Whether they come with red first; files come with blue first there.
    red_first: bool = False
    #: Pictures to learn from, and classes; 0: nobody knows yet.
    pictures: int = 0
    classes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """What of a picture is seen where nothing is left to chance."""

    size: int
    resize: str
    #: The part of the short side that is seen.
    crop: float = 1.0
    interpolation: str = "bilinear"


def prepared(train: Sequence[Part], test: Sequence[Part], facts: Facts, book: Book) -> dict[str, object]:
    """Return the section `data` of a recipe for a pipeline to learn by and one to measure by.

    Raises InvalidRecipe for what Regraft cannot do, or not in that order.
    """
    measured = steps.read(test, red_first=facts.red_first)
    learned = steps.read(train, red_first=facts.red_first)
    if measured.changes:
        step = measured.changes[0].part
        raise step.refuse("type", "Pictures that are measured on are not changed by chance.", "Take it out.")
    view = _seen(measured, facts, test)
    section: dict[str, object] = {"size": view.size, "resize": view.resize}
    if view.resize == "crop":
        section["crop"] = view.crop
    section["interpolation"] = view.interpolation
    section["mean"], section["std"] = measured.normal
    if train and learned.normal != measured.normal:
        raise train[0].refuse(
            "type",
            "Pictures are normalised in one way to learn from them, and in another to measure.",
            "Use the same Normalize in both pipelines.",
        )
    section["augment"] = [*_part_seen(learned, view, facts, train), *_changed(learned, book)]
    return section


def _seen(measured: Steps, facts: Facts, parts: Sequence[Part]) -> _View:
    cuts = measured.cuts
    kinds = tuple(cut.kind for cut in cuts)
    square = facts.side
    filters = next((cut.interpolation for cut in cuts if cut.kind != "center"), "bilinear")
    match cuts:
        case [] if square:
            return _View(size=square, resize="squash")
        case [Cut(kind="square") as one]:
            return _View(size=one.side, resize="squash", interpolation=filters)
        case [Cut(kind="short") as one] if square:
            return _View(size=one.side, resize="squash", interpolation=filters)
        case [Cut(kind="center") as one] if square:
            return _centred(square, one, filters)
        case [Cut(kind="short") as first, Cut(kind="center") as one]:
            return _centred(first.side, one, filters)
        case [Cut(kind="square") as first, Cut(kind="center") as one] if square or first.side == one.side:
            return _centred(first.side, one, filters)
    if kinds == ("square", "center"):
        raise cuts[0].part.refuse(
            "size",
            f"Resize(size={cuts[0].side}) makes a square of every picture, whatever its proportions, and "
            "CenterCrop then cuts off its borders.",
            f"Write size=({cuts[0].side}, -1), which keeps the proportions, or leave CenterCrop out.",
        )
    raise _refused(
        cuts, parts, "Write Resize(size=(256, -1)) and CenterCrop(crop_size=224), or Resize(size=224)."
    )


def _centred(short: int, cut: Cut, interpolation: str) -> _View:
    if cut.side > short:
        fact = f"A crop of {cut.side} pixels is larger than the picture, which has {short}."
        raise cut.part.refuse("crop_size", fact, f"Write {short} or less.")
    if cut.side == short:
        return _View(size=short, resize="crop", interpolation=interpolation)
    crop = cut.side / short
    while int(cut.side / crop) != short:  # a fraction whose short side comes out as it went in
        crop *= 1 - 1e-15
    return _View(size=cut.side, resize="crop", crop=crop, interpolation=interpolation)


def _part_seen(learned: Steps, view: _View, facts: Facts, parts: Sequence[Part]) -> list[object]:
    """Return the entry for the part of a picture that is learned from; none where that is all of it."""
    size, cuts = _size(learned, facts, parts), learned.cuts
    if size != view.size:
        fact = f"Pictures of {size} pixels are learned from, and pictures of {view.size} are measured."
        hint = "Regraft uses one size: write the same in both pipelines."
        if cuts:
            raise cuts[-1].part.refuse("type", fact, hint)
        raise InvalidRecipe(fact, hint=hint, where="data.train.pipeline")
    filters = next((cut.interpolation for cut in cuts if cut.interpolation), "bilinear")
    options: dict[str, object] = {} if filters == "bilinear" else {"interpolation": filters}
    kinds = tuple(cut.kind for cut in cuts)
    if kinds in ((), ("square",)) or (facts.side and kinds == ("short",)):
        return [] if view.resize == "squash" and not options else [{"name": "squash", **options}]
    match cuts:
        case [Cut(kind="resized") as one] | [Cut(kind="resized") as one, Cut(kind="square")]:
            return [{"name": "random-resized-crop", "scale": one.scale, "ratio": one.ratio, **options}]
        case [Cut(kind="short" | "square") as first, Cut(kind="center") as one] if (
            first.kind == "short" or facts.side
        ):
            return [{"name": "center-crop", "fraction": one.side / first.side, **options}]
        case [Cut(kind="random") as one] | [Cut(kind="random") as one, Cut(kind="square")] if facts.side:
            return [_moved(one, facts.side, size, facts, options)]
        case [Cut(kind="short") as first, Cut(kind="random") as one]:
            return [_moved(one, first.side, size, facts, options)]
        case [Cut(kind="square") as first, Cut(kind="random") as one] if facts.side:
            return [_moved(one, first.side, size, facts, options)]
    raise _refused(
        cuts, parts, "Write RandomResizedCrop(size=224), or Resize(size=(224, -1)) and RandomCrop(224)."
    )


def _size(learned: Steps, facts: Facts, parts: Sequence[Part]) -> int:
    """Return the side of what is learned from."""
    if learned.cuts:
        return learned.cuts[-1].side
    if not facts.side:
        raise _refused([], parts, "Write RandomResizedCrop(size=224), or Resize(size=224).")
    return facts.side


def _moved(cut: Cut, side: int, size: int, facts: Facts, options: dict[str, object]) -> dict[str, object]:
    """Return the entry for a square that lies somewhere in a picture whose short side has so many pixels."""
    if cut.side == side:
        padding = cut.padding * size / side  # in pixels of what the net sees
        if round(round(padding) * side / size) != cut.padding:
            fact = f"{cut.padding} pixels of {side} are not a whole number of pixels of {size}."
            raise cut.part.refuse("padding", fact, "Write another padding.")
        fill = {"fill": cut.fill} if any(cut.fill) else {}
        return {"name": "random-crop", "padding": round(padding), **fill, **options}
    if cut.side < side and not cut.padding and facts.side:
        area = (cut.side / side) ** 2
        return {"name": "random-resized-crop", "scale": [area, area], "ratio": [1.0, 1.0], **options}
    raise cut.part.refuse(
        "size",
        f"A square of {cut.side} pixels is cut out of pictures whose short side has {side}, at random.",
        f"Write RandomResizedCrop(size={cut.side}, scale=({(cut.side / side) ** 2:.2f}, 1.0)).",
    )


def _changed(learned: Steps, book: Book) -> list[object]:
    """Return the entries for what changes squares; they come after the part is cut, whatever stood first."""
    for change in learned.changes:
        later = learned.cuts[change.after :]
        name = change.part.text("type")
        if later and change.firm:
            raise change.part.refuse(
                "type",
                f"{name!r} stands before {later[0].part.text('type')!r}, and Regraft first cuts the part "
                "that is seen.",
                f"Move {name!r} behind it.",
            )
        if later and name not in ("RandomFlip", "RandomGrayscale"):
            book.note(f"{name!r} comes after {later[-1].part.text('type')!r} here.")
    return [change.entry for change in learned.changes]


def _refused(cuts: Sequence[Cut], parts: Sequence[Part], hint: str) -> InvalidRecipe:
    if not cuts:
        fact = "The pictures have many sizes, and no step brings them to one."
        if parts:
            return parts[-1].refuse("type", fact, hint)
        return InvalidRecipe(fact, hint=hint, where="data.train.pipeline")
    listed = ", ".join(cut.part.text("type") for cut in cuts)
    return cuts[0].part.refuse("type", f"Regraft cannot prepare pictures by {listed}, in this order.", hint)
