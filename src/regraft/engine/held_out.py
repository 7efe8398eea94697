"""What heads said of pictures that they had not seen: where every honest number of a head comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regraft.engine.predict import Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """What heads said of pictures whose families they had not seen: of few pictures several times of each."""

    #: How many pictures there are.
    count: int
    #: Which of them each line is about [m].
    rows: npt.NDArray[np.int64]
    #: Probabilities [m, classes].
    said: Floats

    @property
    def pictures(self) -> int:
        """How many pictures something is said of."""
        return len(np.unique(self.rows))

    def losses(self, targets: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the log-loss of each line [m], in nats; there are `count` targets."""
        given = self.said[np.arange(len(self.rows)), targets[self.rows]].astype(np.float64)
        return -np.log(np.clip(given, 1e-15, 1))

    def average(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return the mean of the lines [m, ...] about each picture [count, ...]; NaN without any."""
        return mean_by(self.rows, values, self.count)


def mean_by(
    rows: npt.NDArray[np.int64], values: npt.NDArray[np.floating], count: int
) -> npt.NDArray[np.float64]:
    """Return the mean of values [m, ...] by row [m], of so many rows; NaN where there are none."""
    total = np.zeros((count, *values.shape[1:]))
    np.add.at(total, rows, values)
    times = np.bincount(rows, minlength=count).reshape(-1, *[1] * (values.ndim - 1))
    return np.where(times > 0, total / np.maximum(times, 1), np.nan)
