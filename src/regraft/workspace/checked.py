"""What a check of a recipe gives: what would be done, what stands in the way, and what is doubtful."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # their modules need torch, and a check loads it
    from regraft.jobs.costs import Cost, Room
    from regraft.jobs.groups import GroupTable
    from regraft.jobs.rehearsal import Base, Batching, Choosing, Data, Rates
    from regraft.jobs.remarks import Remark


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What would stop or spoil a run."""

    #: The key of the recipe, or what else it is about: `dataset`, `workspace`, `devices`.
    where: str
    #: The fact, with the file and the line where they are known, and what to do about it.
    message: str
    hint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What a fine-tuning would do; a part is None where it does not come to it, or where it is not known."""

    problems: tuple[Problem, ...] = ()
    #: What is doubtful, and stops nothing.
    notes: tuple[Remark, ...] = ()
    strategy: str = ""
    data: Data | None = None
    base: Base | None = None
    learning: GroupTable | None = None
    batches: Batching | None = None
    rates: Rates | None = None
    choosing: Choosing | None = None
    cost: Cost | None = None
    room: Room | None = None
