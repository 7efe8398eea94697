"""Seed the generators that libraries insist on, for a while."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from regraft.data.draws import halves


@contextmanager
def seeded(words: str) -> Iterator[None]:
    """Seed the generators of torch (on the CPU), numpy and random, and put them back as they were."""
    state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    seeds = halves(words)
    torch.default_generator.manual_seed(int(seeds[0]) << 31 | int(seeds[1]) >> 1)
    np.random.seed(seeds)
    random.seed(words)
    try:
        yield
    finally:
        torch.set_rng_state(state[0])
        np.random.set_state(state[1])
        random.setstate(state[2])
