"""Recipes: defaults, TOML, settings, and errors that name the neighbour."""

import json

import pytest

from regraft import suggest
from regraft.errors import InvalidRecipe, NotFoundError
from regraft.recipe import Recipe, TrainSection, check, read, schema
from regraft.records import InputSpec


def test_a_recipe_without_a_word_is_the_default():
    assert read(None) == Recipe()


def test_settings_come_after_the_file(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text("[train]\nseed = 1\nbatch_size = 8\n[optim]\nC = [0.1, 1.0]\n")

    recipe = read(file, ["train.seed=2", "model.ref=timm:resnet18", "eval.folds = 3"])

    assert recipe.train == TrainSection(seed=2, batch_size=8)
    assert recipe.optim.C == (0.1, 1.0)
    assert (recipe.model.ref, recipe.eval.folds) == ("timm:resnet18", 3)


def test_a_recipe_is_read_from_a_recipe_a_word_and_a_path_alike(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text("[train]\nseed = 1\n[optim]\nC = [0.1, 1.0]\n")
    given = read(file)

    recipes = [read(source, ["train.batch_size=8"]) for source in (given, str(file), file)]

    assert recipes == [read(file, ["train.batch_size=8"])] * 3
    assert read(given) == given
    assert (given.train.seed, given.train.batch_size) == (1, 32)


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("train.sed=1", "Unknown key 'sed' in 'train'.", "Did you mean 'seed'?"),
        ("trian.seed=1", "Unknown key 'trian'.", "Did you mean 'train'?"),
        (
            "train.zzz=1",
            "Unknown key 'zzz' in 'train'.",
            f"Known keys: {', '.join(TrainSection.model_fields)}.",
        ),
        ("train.seed=-1", "'train.seed' cannot be -1.", "Input should be greater than or equal to 0."),
        (
            "train.seed=x",
            "'train.seed' cannot be 'x'.",
            "Input should be a valid integer.",
        ),
        ("data.test_fraction=0.9", "'data.test_fraction' cannot be 0.9.", "Input should be less than 0.5."),
        ("optim.C=[0.0]", "'optim.C.0' cannot be 0.0.", "Input should be greater than 0."),
        (
            "train.strategy=magic",
            "'train.strategy' cannot be 'magic'.",
            "Input should be 'auto', 'probe', 'full', 'partial', 'lp-ft', 'gradual', 'adapters' or "
            "'scratch'.",
        ),
        (
            "train.precision=fast",
            "'train.precision' cannot be 'fast'.",
            "Input should be 'auto' or 'exact'. Or: Input should be "
            "'float32', 'float32+channels_last', 'bfloat16', 'bfloat16+channels_last', 'float16' or "
            "'float16+channels_last'.",
        ),
        ("train.seed", "'train.seed' is no setting.", "Write --set section.key=value."),
    ],
)
def test_a_wrong_setting_is_refused_with_the_way_out(setting, message, hint):
    with pytest.raises(InvalidRecipe) as caught:
        read(None, [setting])

    assert (str(caught.value), caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("section", "key", "value", "hint"),
    [
        (
            "model",
            "freeze",
            True,
            "Input should be a valid integer. Or: Input should be a valid string. "
            "Or: Input should be a list.",
        ),
        ("optim", "lr", True, "Input should be 'auto'. Or: Input should be a valid number."),
        ("optim", "lr", "0.1", "Input should be 'auto'. Or: Input should be a valid number."),
        ("optim", "C", [1.0, True], "Input should be a valid number."),
        ("data", "mean", ["0.5", 0.5, 0.5], "Input should be a valid number."),
        ("data", "crop", True, "Input should be 'auto'. Or: Input should be a valid number."),
        ("data", "workers", True, "Input should be a valid integer."),
        ("train", "epochs", True, "Input should be a valid integer."),
        ("train", "epochs", "3", "Input should be a valid integer."),
        ("train", "budget", "5", "Input should be a valid number."),
        ("data", "similar", "no", "Input should be a valid boolean."),
        ("data", "similar", 0, "Input should be a valid boolean."),
        ("train", "compile", "yes", "Input should be 'auto'. Or: Input should be a valid boolean."),
    ],
)
def test_a_value_of_another_kind_is_refused_and_not_turned_into_one(section, key, value, hint):
    with pytest.raises(InvalidRecipe) as caught:
        check({section: {key: value}})

    assert (caught.value.where.split(".")[:2], caught.value.hint) == ([section, key], hint)


def test_whole_numbers_are_numbers_and_what_a_run_has_recorded_is_a_recipe():
    document = {
        "model": {"freeze": ["layer1.*"], "norm_eval": True},
        "data": {"augment": ["flip", {"name": "gray", "p": 0.5}], "mean": [0, 1, 0.5], "crop": 1},
        "optim": {"lr": 1, "C": [1, 10], "groups": [{"pattern": "a", "lr_scale": 2}]},
        "train": {"precision": "float32", "compile": False, "budget": 60},
    }
    recipe = check(document)

    recorded = json.loads(json.dumps(recipe.model_dump(mode="json")))

    assert (recipe.optim.lr, recipe.optim.C, recipe.data.mean) == (1.0, (1.0, 10.0), (0.0, 1.0, 0.5))
    assert check(recorded) == check(recipe.model_dump()) == Recipe.model_validate(recorded) == recipe
    assert check(Recipe().model_dump(mode="json")) == Recipe()


def test_the_schema_tells_the_bounds_of_numbers():
    tables = schema()["$defs"]

    assert tables["DataSection"]["properties"]["workers"]["minimum"] == 0
    assert tables["TrainSection"]["properties"]["epochs"]["minimum"] == 1
    assert tables["OptimSection"]["properties"]["lr"]["anyOf"][1] == {"exclusiveMinimum": 0, "type": "number"}


def test_a_file_that_is_not_toml_is_named(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text("seed: 1")

    with pytest.raises(InvalidRecipe, match=r"recipe\.toml' is not TOML: "):
        read(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NotFoundError) as caught:
        read(tmp_path / "none.toml")

    assert str(caught.value) == f"There is no recipe file {str(tmp_path / 'none.toml')!r}."


def resolve(recipe, *, fastest, smallest_class=100):
    spec = InputSpec(size=224, crop=0.875, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bicubic")
    return suggest.resolve(
        recipe, training=fastest, inference=fastest, smallest_class=smallest_class, input=spec
    )


@pytest.mark.parametrize(
    ("asked", "fastest", "resolved"),
    [
        ("auto", "bfloat16+channels_last", "bfloat16+channels_last"),
        ("exact", "bfloat16+channels_last", "float32"),
        ("float32+channels_last", None, "float32+channels_last"),
    ],
)
def test_resolving_leaves_no_precision_open(asked, fastest, resolved):
    recipe = resolve(read(None, [f"train.precision={asked}"]), fastest=fastest)

    assert (recipe.train.precision, recipe.eval.precision, recipe.eval.folds) == (resolved, resolved, 5)


@pytest.mark.parametrize(("smallest", "folds"), [(100, 5), (3, 3), (2, 2), (1, 2)])
def test_there_are_no_more_folds_than_the_rarest_class_can_fill(smallest, folds):
    recipe = resolve(Recipe(), fastest="float32", smallest_class=smallest)

    assert recipe.eval.folds == folds
