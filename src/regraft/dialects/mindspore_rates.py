"""`get_lr` of MindSpore's models: a rate for every step, from a schedule of Regraft's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from regraft.engine import schedules
from regraft.errors import InvalidError
from regraft.recipe import OptimSection, check

Rates = npt.NDArray[np.float32]


class PlannedRates:
    """The rates of a training whose epochs have a length that is not known yet.

    It is a function of the step, and needs `steps_per_epoch` before it is called. `TrainOneStepCell` takes
    that from the first batch that comes from `create_dataset`.
    """

    def __init__(self, optim: OptimSection, *, epochs: int, first: int) -> None:
        self._optim = optim
        self._epochs = epochs
        self._first = first
        self._rates: Rates | None = None

    def __call__(self, step: int) -> float:
        """Return the rate at a step, counted from 0; after the last step the last one stays."""
        if self._rates is None:
            raise InvalidError(
                "get_lr was not told how many steps an epoch has, and the batch does not say it.",
                hint="Train with batches of create_dataset as they come, or write "
                "get_lr(..., steps_per_epoch=dataset.get_dataset_size()).",
                where="steps_per_epoch",
            )
        return float(self._rates[min(step, len(self._rates) - 1)])

    def settle(self, steps_per_epoch: int) -> None:
        """Say how long an epoch is, once; what is said later changes nothing."""
        if self._rates is None:
            self._rates = self.listed(steps_per_epoch)

    def listed(self, steps_per_epoch: int) -> Rates:
        """Return all rates of a training with epochs of this length."""
        if steps_per_epoch < 1:
            raise InvalidError(
                f"An epoch has {steps_per_epoch} steps.", hint="It is 1 or more.", where="steps_per_epoch"
            )
        schedule = schedules.build(self._optim, steps_per_epoch=steps_per_epoch, epochs=self._epochs)
        lr = float(self._optim.lr)
        rates = [lr * schedule(step) for step in range(self._first, steps_per_epoch * self._epochs)]
        if not rates:
            raise InvalidError(
                f"A training of {self._epochs} epochs has no step after step {self._first}.",
                hint="Lower global_step, or train for more epochs.",
                where="global_step",
            )
        return np.maximum(np.array(rates, dtype=np.float32), 0)


def get_lr(
    global_step: int,
    lr_init: float,
    lr_end: float,
    lr_max: float,
    warmup_epochs: float,
    total_epochs: int,
    steps_per_epoch: int | None = None,
) -> Rates | PlannedRates:
    """Return a rate for every step from `global_step` on: a line from `lr_init` up, then half a cosine down.

    The very first rate is `lr_init`. Without `steps_per_epoch` the rates are worked out when the first batch
    says how many there are. It is the schedule `mindspore` of a recipe. Raises InvalidRecipe for a rate that
    cannot be one.
    """
    section = {
        "lr": lr_max,
        "warmup_epochs": warmup_epochs,
        "schedule": {"name": "mindspore", "lr_init": lr_init, "lr_end": lr_end},
    }
    planned = PlannedRates(check({"optim": section}).optim, epochs=total_epochs, first=global_step)
    return planned if steps_per_epoch is None else planned.listed(steps_per_epoch)
