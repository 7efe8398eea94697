"""What several unit tests of training need."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from regraft.hub import operators


@pytest.fixture
def one_thread():
    """Compute with one thread: more would only wait for each other over nets as small as these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def timm_can_be_imported():
    """Let optimisers of timm be found, as they are wherever a net was built."""
    operators.register()


@pytest.fixture
def notebook(monkeypatch):
    """A notebook that runs this process: its figures below the cell, and how often they were renewed."""
    shown = []

    def display(figure, *, display_id):
        shown.append(figure)
        return SimpleNamespace(update=shown.append)

    ipython, part = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    part.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", part)
    return shown
