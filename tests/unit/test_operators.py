"""torchvision beside a build of torch that its compiled operators do not fit."""

import subprocess
import sys

import pytest

_REPORT = "import torchvision, timm; print(register.__name__, made, hasattr(torch.ops.torchvision, 'nms'))"
_MISSING = """
import torch
from regraft.hub import operators
operators._load_compiled = lambda: None
from regraft.hub.operators import register
made = [register(), register()]
"""
_PRESENT = """
import torch
library = torch.library.Library("torchvision", "FRAGMENT")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from regraft.hub.operators import register
made = [register(), register()]
"""


@pytest.mark.parametrize(
    ("build", "made"),
    [
        pytest.param(_MISSING, "[True, False]", id="missing"),
        pytest.param(_PRESENT, "[False, False]", id="present"),
    ],
)
def test_torchvision_and_timm_import_whether_or_not_the_operators_are_there(build, made):
    child = subprocess.run(
        [sys.executable, "-c", build + _REPORT], capture_output=True, text=True, check=False
    )

    assert (child.returncode, child.stdout) == (0, f"register {made} True\n"), child.stderr


def test_a_library_that_does_not_load_is_passed_over(tmp_path, monkeypatch):
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "_C.so").write_bytes(b"not a library")
    monkeypatch.syspath_prepend(tmp_path)
    driver = """
import sys
sys.path.insert(0, sys.argv[1])
from regraft.hub.operators import register
print(register())
"""

    child = subprocess.run(
        [sys.executable, "-c", driver, str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert (child.returncode, child.stdout) == (0, "True\n"), child.stderr
