"""`--set`: values in TOML, into tables and into lists."""

import pytest

from regraft.errors import InvalidRecipe
from regraft.recipe import Recipe, check, read


@pytest.mark.parametrize(
    ("setting", "document"),
    [
        ("optim.lr=1e-3", {"optim": {"lr": 1e-3}}),
        ("model.partial=true", {"model": {"partial": True}}),
        ("model.ref=timm:resnet18", {"model": {"ref": "timm:resnet18"}}),
        ('model.ref="timm:resnet18"', {"model": {"ref": "timm:resnet18"}}),
        ("model.weights=", {"model": {"weights": ""}}),
        ("optim.C=[0.1, 1.0]", {"optim": {"C": [0.1, 1.0]}}),
        ("optim.C.7=5.0", {"optim": {"C": [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 5.0]}}),
        ("optim.optimizer.eps=1e-6", {"optim": {"optimizer": {"name": "adamw", "eps": 1e-6}}}),
        ("train.strategy= full ", {"train": {"strategy": "full"}}),
        ("train={seed=1, epochs=2}", {"train": {"seed": 1, "epochs": 2}}),
    ],
)
def test_a_value_is_typed_as_toml_and_a_bare_word_is_a_string(setting, document):
    assert read(None, [setting]) == check(document)


BASE = {
    "data": {"augment": ["flip", {"name": "rotate", "degrees": 5, "p": 0.5}]},
    "optim": {
        "optimizer": {"name": "sgd", "momentum": 0.8},
        "groups": [{"pattern": "a"}, {"pattern": "b"}],
        "schedule": {"name": "multistep", "milestones": [3, 6]},
    },
}


@pytest.mark.parametrize(
    ("setting", "section", "key", "value"),
    [
        ("data.augment.0=gray", "data", "augment", ("gray", BASE["data"]["augment"][1])),
        (
            "data.augment.0.p=0.3",
            "data",
            "augment",
            ({"name": "flip", "p": 0.3}, BASE["data"]["augment"][1]),
        ),
        (
            "data.augment.1.degrees=9",
            "data",
            "augment",
            ("flip", {"name": "rotate", "degrees": 9, "p": 0.5}),
        ),
        ("data.augment.1.name=gray", "data", "augment", ("flip", {"name": "gray"})),
        ("data.augment.1.name=rotate", "data", "augment", ("flip", BASE["data"]["augment"][1])),
        ("optim.schedule.milestones.1=9", "optim", "schedule", {"name": "multistep", "milestones": [3, 9]}),
        ("optim.optimizer.momentum=0.9", "optim", "optimizer", {"name": "sgd", "momentum": 0.9}),
        ("optim.optimizer.name=adamw", "optim", "optimizer", {"name": "adamw"}),
        ("optim.optimizer=adamw", "optim", "optimizer", "adamw"),
        (
            'optim.optimizer={name="sgd", nesterov=true}',
            "optim",
            "optimizer",
            {"name": "sgd", "momentum": 0.8, "nesterov": True},
        ),
        ('optim.optimizer={replace=true, name="sgd"}', "optim", "optimizer", {"name": "sgd"}),
        ("optim.optimizer.replace=true", "optim", "optimizer", {"name": "adamw"}),
        ("optim.optimizer.replace=false", "optim", "optimizer", BASE["optim"]["optimizer"]),
        ("optim.groups.0.replace=false", "optim", "groups", BASE["optim"]["groups"]),
        ('data.augment=[{replace=true, name="gray"}]', "data", "augment", ({"name": "gray"},)),
        (
            'data.augment.0={replace=true, name="gray"}',
            "data",
            "augment",
            ({"name": "gray"}, BASE["data"]["augment"][1]),
        ),
    ],
)
def test_a_setting_reaches_into_what_is_there(setting, section, key, value):
    base = check(BASE)

    recipe = read(base, [setting])

    changed = base.model_dump() | {section: base.model_dump()[section] | {key: value}}
    assert recipe == check(changed)
    assert base == check(BASE)  # which has not changed


def test_a_rule_of_groups_is_changed_by_its_number():
    recipe = read(check(BASE), ["optim.groups.1.lr_scale=2", "optim.groups.0.pattern=c"])

    assert [(rule.pattern, rule.lr_scale) for rule in recipe.optim.groups] == [("c", 1.0), ("b", 2.0)]


def test_a_section_or_an_item_that_is_replaced_begins_anew():
    base = check(BASE | {"train": {"seed": 3, "epochs": 4}})

    recipe = read(base, ["train.replace=true", "train.epochs=2"])
    steps = read(base, ["data.augment.1.replace=true", "data.augment.1.name=gray"]).data.augment

    assert recipe == check(BASE | {"train": {"epochs": 2}})
    assert steps == ("flip", {"name": "gray"})


def test_settings_follow_each_other():
    recipe = read(None, ['data.augment=["flip"]', "data.augment.0.p=0.1", "data.augment.0.p=0.2"])

    assert recipe.data.augment == ({"name": "flip", "p": 0.2},)


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        (
            "data.augment.2.p=1",
            "'data.augment' has no item '2': it has 2 items, 0 to 1.",
            "Or set the whole list: --set 'data.augment=[...]'.",
        ),
        (
            "data.augment.first.p=1",
            "'data.augment' has no item 'first': it has 2 items, 0 to 1.",
            "Or set the whole list: --set 'data.augment=[...]'.",
        ),
        (
            "data.augment.-1=flip",
            "'data.augment' has no item '-1': it has 2 items, 0 to 1.",
            "Or set the whole list: --set 'data.augment=[...]'.",
        ),
        (
            "data.augment=[flip]",
            "'[flip]' is not TOML, and cannot be the value of 'data.augment'.",
            """Words inside of it want quotes, and the shell wants quotes around: '["flip"]'.""",
        ),
        (
            "train.replace=3",
            "'train.replace' cannot be 3.",
            "It is true where nothing of the table below stays.",
        ),
        (
            "data.augment.1.replace=3",
            "'data.augment.1.replace' cannot be 3.",
            "It is true where nothing of the table below stays.",
        ),
        ("train.seed.replace=true", "'train.seed' is 0, and has no 'replace'.", "Set train.seed itself."),
        ("train.seed.x=1", "'train.seed' is 0, and has no 'x'.", "Set train.seed itself."),
        ("optim.C.0.x=1", "'optim.C.0' is 0.0001, and has no 'x'.", "Set optim.C.0 itself."),
        (
            "optim.groups.0.lrscale=2",
            "Unknown key 'lrscale' in 'optim.groups.0'.",
            "Did you mean 'lr_scale'?",
        ),
        ("optim=3", "'optim' is 3 in --set, but a table in given.", "Write it as a table: [optim]."),
        ("=3", "'=3' is no setting.", "Write --set section.key=value."),
        ("extends=full", "Unknown key 'extends'.", "Known keys: model, data, optim, train, eval."),
    ],
)
def test_a_setting_that_fits_nowhere_says_so(setting, message, hint):
    with pytest.raises(InvalidRecipe) as caught:
        read(check(BASE), [setting])

    assert (str(caught.value), caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("data.augment.0.p=1", "'data.augment' is 'auto', and has no '0.p'.", "Set the whole list first."),
        (
            "optim.groups.0.lr_scale=2",
            "'optim.groups' has no item '0': it is empty.",
            "Or set the whole list: --set 'optim.groups=[...]'.",
        ),
    ],
)
def test_into_a_list_that_there_is_not_nothing_can_be_set(setting, message, hint):
    with pytest.raises(InvalidRecipe) as caught:
        read(Recipe(), [setting])

    assert (str(caught.value), caught.value.hint) == (message, hint)
