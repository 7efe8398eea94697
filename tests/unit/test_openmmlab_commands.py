"""The command line of configs: which options go together, and what is said before anything is spent."""

import json

import click
import pytest

from regraft.cli.main import cli
from regraft.errors import InvalidRecipe

CONFIG = """
_base_ = ['_base_/models/resnet18.py', '_base_/datasets/cifar10_bs16.py', '_base_/schedules/cifar10_bs128.py']
model = dict(head=dict(num_classes=10))
"""


@pytest.fixture
def typed(tmp_path, monkeypatch):
    """Run `regraft WORDS` where `config.py` is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.py").write_text(CONFIG)
    (tmp_path / "photos").mkdir()
    return lambda *words: cli.main(list(words), standalone_mode=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["finetune"], "Missing argument 'DATASET'."),
        (["finetune", "a", "b"], "Got unexpected extra argument (b)"),
        (["finetune", "a", "b=c"], "Got unexpected extra argument (b=c)"),
        (["finetune", "a", "--work-dir", "x"], "--work-dir goes with --config."),
        (["finetune", "a", "--resume-from", "x"], "--resume-from goes with --config."),
        (["finetune", "a", "--cfg-options", "x=1"], "--cfg-options goes with --config."),
        (["finetune", "--config", "config.py", "--recipe", "x"], "--config stands in the place of --recipe."),
        (["finetune", "--config", "config.py", "a", "b"], "Got unexpected extra argument (b)"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(typed, words, message):
    with pytest.raises(click.UsageError) as caught:
        typed(*words)

    assert caught.value.message == message


def test_several_values_may_follow_one_cfg_options(typed, monkeypatch):
    monkeypatch.setenv("REGRAFT_OFFLINE", "1")

    with pytest.raises(InvalidRecipe) as caught:
        typed(
            "finetune", "--config", "config.py", "--cfg-options", "optimizer.lr=0.1", "optimizer.type=Adamm"
        )

    assert str(caught.value) == "--cfg-options: There is no optimizer 'Adamm'."


def test_what_a_config_comes_to_can_be_had_as_json(typed, capsys):
    typed("recipe", "import", "config.py", "--json", "--cfg-options", "optimizer.lr=0.2", "--devices", "2")

    told = json.loads(capsys.readouterr().out)
    assert sorted(told) == ["config", "dataset", "ignored", "notes", "recipe"]
    assert (told["config"], told["dataset"]) == ("config.py", "cifar10")
    assert (told["recipe"]["optim"]["lr"], told["recipe"]["train"]["batch_size"]) == (0.2, 128)
    assert told["ignored"] == {"model.head.topk": "which of them are reported follows from the classes"}
