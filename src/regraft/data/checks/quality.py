"""Single pictures: unreadable, tiny, blank, dark, washed out, blurred, of an odd shape, turned by EXIF.

Each bound is relative to the dataset's own median, so that a dataset of small or dark pictures is not found
fault with, and has an absolute floor, so that a dataset of sharp ones has no outliers by definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from regraft.data.checks.copies import LABELLED, SAME
from regraft.data.checks.patient import Numbers, Patient, finding, plural
from regraft.data.corrections import DROPPED
from regraft.records import Example, Finding, Severity

Values = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]

#: A finding about so large a part of the pictures is a warning.
MANY = 0.01
#: Standard deviation of grey below which nothing is to be seen, from 0 to 1.
BLANK = 0.012

#: How other reasons begin for which a sound file is refused.
_SOUND = (SAME, LABELLED, DROPPED, "belongs with ")


def check_unreadable(patient: Patient) -> Iterator[Finding]:
    """Report files that could not be read as pictures."""
    broken = [item for item in patient.refused if not item.reason.startswith(_SOUND)]
    if broken:
        yield finding(
            "unreadable",
            "warning",
            f"{plural(len(broken), 'file', 'files')} cannot be used.",
            count=len(broken),
            advice="Convert or mend them, or delete them from the source; they are left out until then.",
            examples=(
                Example(keys=(item.key,), digests=(item.digest,) if item.digest else (), words=item.reason)
                for item in broken
            ),
        )


def check_pictures(patient: Patient) -> Iterator[Finding]:
    """Report pictures that are hard to see anything in, or unlike the others in shape."""
    if not len(patient.rows):
        return
    facts, short = patient.facts, patient.short
    bright, contrast = facts["brightness"].astype(float), facts["contrast"].astype(float)
    sharp = facts["sharpness"].astype(float)
    aspect = np.maximum(facts["width"], facts["height"]) / short
    report = _Report(patient, marks(facts))
    yield from report(
        "tiny",
        short,
        "is far smaller than the others",
        "Nets see them as coarse blots. Find the originals, or drop them.",
        lambda n: f"{facts['width'][n]} x {facts['height'][n]} pixels",
    )
    yield from report(
        "blank",
        contrast,
        "shows nothing",
        "Drop them: `regraft dataset edit NAME --drop KEY`.",
        lambda n: f"all of it within {2 * contrast[n]:.1%} of one grey",
    )
    yield from report(
        "dark",
        bright,
        "is nearly black",
        "Look whether a person could name what is in them; if not, drop them.",
        lambda n: f"brightness {bright[n]:.0%}",
    )
    yield from report(
        "overexposed",
        -bright,
        "is nearly white",
        "Look whether a person could name what is in them; if not, drop them.",
        lambda n: f"brightness {bright[n]:.0%}",
    )
    yield from report(
        "blurred",
        sharp,
        "is blurred",
        "Keep them only where pictures as blurred as these will have to be recognised.",
        lambda n: f"edges {float(np.median(sharp)) / max(sharp[n], 0.01):.1f} times as wide as usual",
    )
    yield from report(
        "odd-aspect",
        -aspect,
        "is far longer than wide",
        "A net sees the middle of a picture: cut them so that what matters is there.",
        lambda n: f"{facts['width'][n]} x {facts['height'][n]} pixels",
    )


def marks(facts: npt.NDArray[np.void]) -> dict[str, Marks]:
    """Return by code which of some pictures, one or more, have something the matter, by their facts [n]."""
    bright, contrast = facts["brightness"].astype(float), facts["contrast"].astype(float)
    sharp = facts["sharpness"].astype(float)
    short = np.minimum(facts["width"], facts["height"]).astype(float)
    tiny = short < min(64.0, float(np.median(short)) / 3)
    blank = contrast < np.minimum(min(BLANK, float(np.median(contrast)) / 5), bright / 20)  # else it is dark
    seen = ~blank
    middle = float(np.median(bright))
    dark = seen & (bright < min(0.1, middle / 3)) & (contrast < 0.1)
    washed = seen & (bright > max(0.93, 1 - (1 - middle) / 3)) & (contrast < 0.06)
    blurred = seen & ~tiny & ~dark & ~washed & (short >= 32) & (sharp < min(0.5, _low(sharp)))
    aspect = np.maximum(facts["width"], facts["height"]) / short
    odd = aspect > max(3.0, 2 * float(np.median(aspect)))
    return {
        "tiny": tiny,
        "blank": blank,
        "dark": dark,
        "overexposed": washed,
        "blurred": blurred,
        "odd-aspect": odd,
    }


def _low(values: Values) -> float:
    """Return what four standard deviations below the median would be, by the median deviation."""
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    return middle - 4 * max(spread, 0.05)


class _Report:
    """Make a finding of the pictures that are marked, the worst first."""

    def __init__(self, patient: Patient, found: dict[str, Marks]) -> None:
        self._patient = patient
        self._found = found

    def __call__(
        self,
        code: str,
        badness: Values | Numbers,
        is_what: str,
        advice: str,
        words: Callable[[int], str],
    ) -> Iterator[Finding]:
        marked = self._found[code]
        numbers = np.flatnonzero(marked)
        if not len(numbers):
            return
        grave = code == "blank" or len(numbers) >= MANY * len(marked)
        severity: Severity = "warning" if grave else "note"
        are_what = f"are{is_what[2:]}" if is_what.startswith("is") else is_what.replace("shows", "show")
        yield finding(
            code,
            severity,
            f"{plural(len(numbers), f'picture {is_what}', f'pictures {are_what}')}.",
            count=len(numbers),
            advice=advice,
            examples=(
                self._patient.show(int(n), words=words(int(n)))
                for n in numbers[np.argsort(badness[numbers], kind="stable")]
            ),
        )
