"""Every example of the page on recipes runs, in order, in the folder that the page describes."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import regraft
from regraft.cli.main import cli
from regraft.errors import InvalidRecipe
from regraft.hub import nets
from regraft.recipe import presets, read
from regraft.records import ModelVersion

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
TEXT = PAGE.read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder that the page describes, where a reader stands; nothing is fetched there."""
    random = np.random.default_rng(0)
    for label, colour in (("cat", (200, 120, 60)), ("dog", (60, 90, 180))):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(20):
            coarse = np.clip(np.array(colour) + random.normal(0, 60, (6, 8, 3)), 0, 255).astype(np.uint8)
            picture = Image.fromarray(coarse).resize((80, 60), Image.Resampling.BICUBIC)
            picture.save(tmp_path / "photos" / label / f"{number}.jpg", quality=92)
    torch.manual_seed(0)
    trunk, _ = nets.split_state(nets.build("test_resnet"))
    torch.save(trunk, tmp_path / "backbone.pth")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REGRAFT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REGRAFT_OFFLINE", "1")
    for kind, text in BLOCKS:
        if kind == "toml":
            (tmp_path / text.split()[1]).write_text(text)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)  # a training chooses its own number


def test_every_example_runs(folder, capsys):
    said = {}

    for kind, text in BLOCKS:
        if kind == "python":
            exec(text, {"regraft": regraft, "ws": regraft.open()})
            said[text] = capsys.readouterr().out
        for line in text.splitlines() if kind == "sh" else ():
            said[line] = typed(line)

    assert [kind for kind, _ in BLOCKS].count("sh") >= 6
    assert read("whole.toml") == read("night.toml", ["train.seed=3"])
    assert json.loads(said["regraft recipe schema"])["title"] == "Recipe"
    results = [digest(name) for name in ("photos", "again", "once-more")]
    assert results == results[:1] * 3
    assert read("suggested.toml").train.time_limit == 1800
    [python] = [out for text, out in said.items() if text.startswith("shown = ")]
    assert python.startswith("[('--set',)]\n['optim.lr', ")
    assert "\n0.1 house.toml, line 10\n# Mine.\n" in python


def test_what_the_page_shows_is_what_the_commands_say(folder):
    shown = [text.splitlines() for kind, text in BLOCKS if not kind]

    for line, block in (
        ("regraft recipe show house.toml", shown[0]),
        ("regraft recipe diff lp-ft full", shown[1]),
    ):
        told = typed(line).splitlines()
        assert block[-1] == "..."
        assert told[: len(block) - 1] == block[:-1]
    (folder / "night.toml").write_text(
        (folder / "night.toml").read_text().replace("optimizer.n", "optimiser.n")
    )
    with pytest.raises(InvalidRecipe) as caught:
        read("night.toml")
    assert shown[2] == [f"Error: {caught.value}", f"Try:   {caught.value.hint}"]


def test_the_table_of_entries_is_what_comes_of_them(folder):
    rows = re.findall(r"^\| `(.*?)` \| (?:`(.*?)`|the same)", TEXT, flags=re.MULTILINE)[:4]

    found, expected = [], []
    for written, told in rows:
        (folder / "mine.toml").write_text(f'extends = "house.toml"\n[optim]\noptimizer = {written}\n')
        found.append(read("mine.toml").optim.optimizer)
        expected.append(tomllib.loads(f"value = {told}")["value"] if told else expected[-1])

    assert len(found) == 4
    assert found == expected


def test_every_preset_is_on_the_page():
    named = re.findall(r"^\| `([a-z0-9-]+)` \|", TEXT, flags=re.MULTILINE)

    assert set(named) == set(presets.names())


def digest(name):
    """Return the weights of a model of the workspace."""
    model = regraft.open().models.get(name).read(ModelVersion)
    return model.weights, model.head


def typed(line):
    """Do what a line of a shell says; return what it prints."""
    result = CliRunner().invoke(cli, shlex.split(line, comments=True)[1:], catch_exceptions=False)
    assert result.exit_code == 0, f"{line}\n{result.output}"
    return result.stdout
