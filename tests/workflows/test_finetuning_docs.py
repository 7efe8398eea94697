"""Every example of the page on fine-tuning runs, in order, in the folder that the page describes."""

import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import regraft
from regraft.cli.main import cli
from regraft.hub import nets

PAGE = Path(__file__).parents[2] / "docs" / "finetuning.md"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder that the page describes, where a reader stands; nothing is fetched there."""
    random = np.random.default_rng(0)
    for label, colour in (("cat", (200, 120, 60)), ("dog", (60, 90, 180))):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(30):
            coarse = np.clip(np.array(colour) + random.normal(0, 60, (6, 8, 3)), 0, 255).astype(np.uint8)
            picture = Image.fromarray(coarse).resize((80, 60), Image.Resampling.BICUBIC)
            picture.save(tmp_path / "photos" / label / f"{number}.jpg", quality=92)
    torch.manual_seed(0)
    trunk, _ = nets.split_state(nets.build("test_resnet"))
    weights = {f"module.backbone.{name}": tensor for name, tensor in trunk.items()}
    torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "backbone.pth")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REGRAFT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REGRAFT_OFFLINE", "1")
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)  # a training chooses its own number


def test_every_example_runs(folder, capsys):
    said = {}

    for kind, text in BLOCKS:
        if kind == "toml":
            (folder / text.split()[1]).write_text(text)
        if kind == "python":
            exec(text, {"regraft": regraft, "ws": regraft.open()})
            said[text] = capsys.readouterr().out
        for line in text.splitlines() if kind == "sh" else ():
            said[line] = _typed(line)

    assert [kind for kind, _ in BLOCKS].count("sh") >= 10
    everything = "\n".join(said.values())
    for strategy in ("lp-ft", "partial", "full", "gradual", "adapters", "scratch"):
        assert f"tuned     {strategy}, " in everything
    assert "tuned     full, 4 epochs" in everything  # extended by two
    assert "(1280,)\n(1280, 7, 7)\ntorch.Size([1, 2])\ntorch.Size([2, 5])\n" in everything
    [log] = [path for path in folder.glob("home/runs/*/log.txt") if "begins as" in path.read_text()]
    assert "Class 'cat' begins as 'tabby, tabby cat' (#281)" in log.read_text()
    assert "Class 'dog' begins as 'golden retriever' (#207)" in log.read_text()


def test_what_the_page_shows_is_what_the_commands_say(folder):
    shown = "".join(text for kind, text in BLOCKS if not kind)
    commands = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]

    groups, schedule = (
        _typed(next(line for line in commands if line.startswith(start)))
        for start in ("regraft model info timm:resnet50", "regraft recipe schedule")
    )

    assert groups in shown
    assert "".join(schedule.splitlines(keepends=True)[:4]) in shown


def _typed(line: str) -> str:
    """Do what a line of a shell says; return what it prints."""
    if not line.startswith("regraft "):
        return subprocess.run(["bash", "-euc", line], capture_output=True, text=True, check=True).stdout
    result = CliRunner().invoke(cli, shlex.split(line, comments=True)[1:], catch_exceptions=False)
    assert result.exit_code == 0, f"{line}\n{result.output}"
    return result.stdout
