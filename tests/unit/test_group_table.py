"""`regraft model info --groups`: what would learn under a recipe, and how fast, without any training."""

import json

import pytest
from click.testing import CliRunner

from regraft.cli.main import cli
from regraft.errors import FetchError, InvalidError, InvalidRecipe


def said(*words):
    result = CliRunner().invoke(cli, ["model", "info", *words], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def test_the_table_shows_each_stage_with_its_rate_and_the_sums_below():
    settings = ["train.strategy=partial", "model.freeze=2", "optim.lr=0.001", "optim.head_lr_scale=10"]
    words = [word for setting in settings for word in ("--set", setting)]

    code, out, _ = said("timm:resnet50", "--groups", "--classes", "10", *words)

    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["STAGE", "LEARNS", "AS", "TENSORS", "PARAMETERS", "RATE", "DECAY"],
        ["stem", "frozen", "3", "9,536"],
        ["layer1", "frozen", "30", "215,808"],
        ["layer2", "frozen", "39", "1,219,584"],
        ["layer3", "trunk", "19", "7,077,888", "0.001", "0.05"],
        ["layer3", "trunk,", "no", "decay", "38", "20,480", "0.001", "0"],
        ["layer4", "trunk", "10", "14,942,208", "0.001", "0.05"],
        ["layer4", "trunk,", "no", "decay", "20", "22,528", "0.001", "0"],
        ["head", "head", "1", "20,480", "0.01", "0.05"],
        ["head", "head,", "no", "decay", "1", "10", "0.01", "0"],
        [],
        ["frozen", "1,444,928"],
        ["trainable", "22,083,594"],
        ["all", "23,528,522"],
    ]


@pytest.mark.parametrize("strategy", ["probe", "full", "partial", "lp-ft", "gradual", "adapters", "scratch"])
def test_the_lines_of_every_strategy_add_up_to_the_net(workspace, strategy):
    table = workspace.models.groups("timm:test_resnet", settings=[f"train.strategy={strategy}"], classes=3)

    frozen = sum(line.parameters for line in table.lines if not line.group)
    learning = sum(line.parameters for line in table.lines if line.group)
    assert (table.frozen, table.trainable) == (frozen, learning)
    assert all((line.lr is None) == (line.weight_decay is None) == (not line.group) for line in table.lines)
    assert {line.group for line in table.lines if line.stage == "head"} == {"head", "head, no decay"}
    assert bool(frozen) == (strategy in ("probe", "partial", "adapters"))
    assert bool(table.notes) == (strategy == "probe")


def test_a_decay_from_layer_to_layer_makes_lower_stages_slower(workspace):
    table = workspace.models.groups(
        "timm:test_vit", settings=["train.strategy=full", "optim.layer_decay=0.5", "optim.lr=1"], classes=3
    )

    rates = {line.stage: line.lr for line in table.lines if line.stage != "head"}
    assert rates == {"stem": 0.5**7} | {f"blocks.{index}": 0.5 ** (6 - index) for index in range(6)}


def test_a_pretrained_model_has_as_many_classes_as_it_knows_where_nobody_says(workspace):
    base = workspace.models.get("embedded:efficientnet_lite0")

    by_source = workspace.models.groups("embedded:efficientnet_lite0")
    by_name = workspace.models.groups(base.name)

    assert by_source == by_name
    assert by_source.trainable == 1280 * 1000 + 1000


def test_json_holds_the_same_numbers():
    code, out, _ = said("timm:test_resnet", "--groups", "--json", "--classes", "2")

    found = json.loads(out)
    assert code == 0
    assert found["trainable"] == 96 * 2 + 2
    assert found["lines"][0]["stage"] == "stem"
    assert found["lines"][0]["lr"] is None


def test_a_recipe_that_does_not_suit_the_net_is_refused(workspace):
    with pytest.raises(InvalidRecipe, match="The net has 4 stages above its stem, and 9 should be frozen"):
        workspace.models.groups("timm:test_resnet", settings=["train.strategy=full", "model.freeze=9"])
    with pytest.raises(InvalidRecipe, match=r"No parameter that learns has a name like 'layer9\.\*'"):
        workspace.models.groups(
            "timm:test_resnet",
            settings=["train.strategy=full", 'optim.groups=[{pattern="layer9.*", lr_scale=0.1}]'],
        )
    with pytest.raises(InvalidError, match="A head for 0 classes cannot be built"):
        workspace.models.groups("timm:test_resnet", classes=0)


def test_a_source_that_only_its_files_explain_has_to_be_fetched(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_OFFLINE", "1")

    with pytest.raises(FetchError):
        workspace.models.groups("https://example.com/net.pth")


def test_options_of_the_table_need_the_table():
    code, _, err = said("timm:test_resnet", "--classes", "3")

    assert code == 2
    assert "--recipe, --set and --classes belong to --groups." in err
