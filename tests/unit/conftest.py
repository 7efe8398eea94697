"""What several unit tests of training need."""

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
