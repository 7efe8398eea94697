"""Changes of pictures that augmentations make, and which of them would change a label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

from regraft.engine import agreement
from regraft.engine.agreement import Agreement
from regraft.jobs.auto.features import Change
from regraft.jobs.auto.search import Search, sample
from regraft.registry import Entry

#: Pictures that are changed to see what becomes of their labels.
_PICTURES = 100
_GREY = (114, 114, 114)

Pixels = npt.NDArray[np.uint8]


def _flip(picture: Pixels) -> Pixels:
    return picture[:, ::-1]


def _rotate(picture: Pixels) -> Pixels:
    turned = Image.fromarray(picture).rotate(15, Image.Resampling.BILINEAR, fillcolor=_GREY)
    return np.asarray(turned)


def _colour(picture: Pixels) -> Pixels:
    paler = ImageEnhance.Color(Image.fromarray(picture)).enhance(0.5)
    return np.asarray(ImageEnhance.Brightness(paler).enhance(1.25))


#: What an augmentation is called, what it would do, in words, and how it is tried here.
CHANGES: dict[str, tuple[Entry, str, Change]] = {
    "flip": ("flip", "mirrored", _flip),
    "rotate": ({"name": "rotate", "degrees": 10}, "turned by 15 degrees", _rotate),
    "color-jitter": (
        {"name": "color-jitter", "brightness": 0.2, "contrast": 0.2, "saturation": 0.2},
        "paler and brighter",
        _colour,
    ),
}
#: What part of a picture is seen; no label minds that.
_PART: Entry = {"name": "random-resized-crop", "scale": [0.35, 1.0]}


def harmless(search: Search) -> tuple[Entry, ...]:
    """Return the augmentations under which the head still names pictures that it had not seen.

    Those for which there is no time are left out.
    """
    kept: list[Entry] = [_PART]
    places = sample(search.targets, _PICTURES, seed=search.recipe.train.seed)
    for name, (entry, words, _) in CHANGES.items():
        if not search.can(search.lead.entrant, len(places)):
            search.ledger.say(
                f"Augmentation {name}: there is no time to see whether labels change; it is off."
            )
            continue
        found = try_change(search, name, places)
        if found is None:
            continue
        said = (
            f"Augmentation {name}: {words}, {found.same:.0%} of {found.pictures} pictures are called what "
            f"they were before, and {found.after:.1%} rightly, against {found.before:.1%}"
        )
        if found.harmless:
            kept.append(entry)
            search.ledger.say(f"{said}; it is on.")
        else:
            search.ledger.say(f"{said}; it is off.")
    return tuple(kept)


def try_change(search: Search, name: str, places: list[int]) -> Agreement | None:
    """Compare what the head says of some train pictures before and after a change."""
    change = CHANGES[name][2]
    lead = search.lead
    changed = search.features.changed(lead.entrant, [search.train[place] for place in places], change, name)
    return agreement.measure(
        lead.features,
        search.targets,
        search.recipe.optim,
        C=lead.contest.head.learning.C,
        changed=changed,
        of=np.array(places),
        families=search.families,
        folds=search.recipe.eval.folds,
        seed=search.recipe.train.seed,
    )
