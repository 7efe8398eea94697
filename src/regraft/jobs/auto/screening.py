"""Screen backbones, sizes and ways to make squares on few pictures, before all are computed."""

from __future__ import annotations

import time

import numpy as np

from regraft.engine import contest
from regraft.engine.contest import Contest
from regraft.engine.predict import Floats
from regraft.jobs.auto import local
from regraft.jobs.auto.entrant import Entrant
from regraft.jobs.auto.search import Search, sample

#: Pictures that are looked at, and the part of the time left that an entrant of the usual size may take.
_MOST, _LEAST, _SHARE = 300, 100, 0.12
#: Larger sizes, as parts of what the weights were made for; multiples of 32 pixels: for 224 288, 320, 384.
_LARGER = (9 / 7, 10 / 7, 12 / 7)
_RESIZES = ("crop", "pad", "squash")
#: Where so few pictures are longer than wide by so much, borders would add nothing.
_OBLONG, _SOME = 1.1, 0.1


def screen(search: Search) -> None:
    """Find the backbone and view whose head is best; let it lead where it is better on all pictures."""
    chosen = places(search)
    if len(chosen) < _LEAST / 2:
        search.ledger.say(f"{len(chosen)} pictures are too few to choose a size by.")
        return
    trial = _Trial(search, chosen)
    # what is found is made sure of before anything else is tried
    for look in (lambda best: trial.sizes(trial.backbones(best)), trial.resizes):
        lead = search.lead.entrant
        best = look(lead)
        if best is lead:
            continue
        if search.can(best, len(search.train) - len(chosen)):
            search.challenge(best)
        else:
            search.ledger.say(f"There is no time for all pictures at {best.view}.")


class _Trial:
    """Entrants on the same few pictures."""

    def __init__(self, search: Search, places: list[int]) -> None:
        self._search = search
        self._places = places
        self._rows = [search.train[place] for place in places]
        self.native = search.lead.entrant
        self._known: dict[tuple[str, str], Contest] = {}
        self._known[self._key(self.native)] = self._judge(self.native, search.lead.features[places], 0.0)

    def backbones(self, best: Entrant) -> Entrant:
        """Return the best of the pretrained models that are on this machine."""
        search = self._search
        for other in local.others(search.store, search.recipe, self.native, search.progress):
            if not search.can(other, len(self._places), then=len(search.train) - len(self._places)):
                search.ledger.say(f"There is no time for {other.backbone}.")
                continue
            if self._try(other) and self._gain(best, other) > 1:
                best = other
        return best

    def sizes(self, best: Entrant) -> Entrant:
        """Return the best size: a larger one shows more, and takes longer."""
        search = self._search
        native = best.model.input.size
        if search.recipe.data.size:
            search.ledger.say(f"The recipe asks for {native} pixels.")
            return best
        larger = {32 * round(native * times / 32) for times in _LARGER} - {native}
        # the one in the middle first: it tells whether a larger or a smaller one is worth a look
        order = sorted(larger, key=lambda size: abs(size - 1.4 * native))
        tried = {native: self._loss(best)}
        start = best
        for size in order:
            if len(tried) > 1 and not _promising(size, tried):
                continue
            entrant = start.seeing(size=size)
            if not search.can(entrant, len(self._places), then=len(search.train) - len(self._places)):
                search.ledger.say(f"There is no time for {size} pixels on all pictures.")
                continue
            if not self._try(entrant):
                break
            tried[size] = self._loss(entrant)
            if self._gain(best, entrant) > 0:
                best = entrant
        return best

    def resizes(self, best: Entrant) -> Entrant:
        """Return the best way to make squares of pictures."""
        search = self._search
        if search.recipe.data.resize != "auto":
            return best
        sides = np.array([max(row.width, row.height) / min(row.width, row.height) for row in self._rows])
        oblong = (sides > _OBLONG).mean() > _SOME
        start = best
        for resize in _RESIZES:
            if resize == start.model.input.resize or (resize == "pad" and not oblong):
                continue
            entrant = start.seeing(resize=resize)
            if not search.can(entrant, len(self._places), then=len(search.train) - len(self._places)):
                search.ledger.say(f"There is no time to look at pictures with {resize}.")
                continue
            if self._try(entrant) and self._gain(start, entrant) > 1 and self._gain(best, entrant) > 0:
                best = entrant
        return best

    def _try(self, entrant: Entrant) -> bool:
        """Judge an entrant; tell whether its net takes such pictures."""
        search = self._search
        began = time.monotonic()
        try:
            features = search.features.of(entrant, self._rows)
        except (AssertionError, RuntimeError) as error:  # nets of a fixed size say so in many ways
            search.ledger.say(f"{entrant.backbone} does not take {entrant.view}: {str(error)[:80]}")
            return False
        found = self._judge(entrant, features, time.monotonic() - began)
        self._known[self._key(entrant)] = found
        errors = self._gain(self.native, entrant)
        way = "better" if errors > 0 else "worse"
        search.ledger.say(
            f"{entrant.backbone} at {entrant.view}: {found.standings[0].accuracy:.1%} on {len(self._rows)} "
            f"pictures, {abs(errors):.1f} standard errors {way} than {self.native.view}."
        )
        return True

    def _judge(self, entrant: Entrant, features: Floats, seconds: float) -> Contest:
        found = self._search.judge(features, self._places, rivals=False)
        for standing in found.standings:
            self._search.ledger.add(entrant, standing, pictures=len(self._places), seconds=seconds)
        return found

    def _gain(self, old: Entrant, new: Entrant) -> float:
        return contest.gain(self._known[self._key(old)].losses, self._known[self._key(new)].losses)

    def _loss(self, entrant: Entrant) -> float:
        return self._known[self._key(entrant)].standings[0].log_loss

    def _key(self, entrant: Entrant) -> tuple[str, str]:
        return entrant.version.digest, entrant.view


def places(search: Search) -> list[int]:
    """Return the places of the train pictures by which entrants are screened: fewer where time is short."""
    one = search.features.seconds(search.lead.entrant, 1_000) / 1_000
    affordable = int(_SHARE * search.clock.left / one) if one else _MOST
    count = max(_LEAST, min(_MOST, affordable))
    return sample(search.targets, count, seed=search.recipe.train.seed)


def _promising(size: int, tried: dict[int, float]) -> bool:
    """Tell whether a size lies next to the best one so far."""
    best = min(tried, key=lambda one: tried[one])
    return not any(min(size, best) < one < max(size, best) for one in tried)
