"""Recipes as TOML: what is written is read again, and every key is found at its line."""

import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regraft.recipe import Recipe, check, descriptions, read, schema, write
from regraft.recipe.places import lines
from regraft.recipe.sections import GroupRule

WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
PLAIN = st.one_of(
    st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False), WORDS, st.just("a\n[b]\nc = 1")
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)
#: A busy machine draws documents slowly.
UNHURRIED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
DOCUMENTS = st.dictionaries(WORDS, VALUES | st.dictionaries(WORDS, VALUES, max_size=3), max_size=4)


@UNHURRIED
@given(document=DOCUMENTS)
def test_any_document_is_the_same_after_writing_and_reading(document):
    assert tomllib.loads(write(document, header="A header\nof two lines.")) == document


@UNHURRIED
@given(document=DOCUMENTS)
def test_every_key_and_item_of_a_written_document_has_a_line_that_exists(document):
    text = write(document)

    found = lines(text)

    assert set(found) == set(places(document))
    assert all(1 <= line <= text.count("\n") for line in found.values())


def places(value, above=()):
    """Yield the places of all keys and items."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*above, key)
        yield from places(inner, (*above, key))


def test_a_line_is_where_a_person_sees_the_key():
    text = """# [no.table]
extends = "full"  # x = 1
[optim]
lr = 1e-3
optimizer = { name = "sgd", betas = [0.9,
   0.99] }
  C = [ 1, # one ]
   2,
   { a = 3 } ]
words = \"\"\"a
[b]
c = 1\"\"\" # after
a.b.'c d' = '''x
y'''
day = 1979-05-27 07:32:00
[[optim.groups]]
pattern = "a"
[[optim.groups]]
pattern = 'b\\'
[optim.groups.sub]
x=1
[["quoted.key".list]]
y = 2
"""
    assert "quoted.key" in tomllib.loads(text)

    found = lines(text)

    assert found == {
        ("extends",): 2,
        ("optim",): 3,
        ("optim", "lr"): 4,
        ("optim", "optimizer"): 5,
        ("optim", "optimizer", "name"): 5,
        ("optim", "optimizer", "betas"): 5,
        ("optim", "optimizer", "betas", 0): 5,
        ("optim", "optimizer", "betas", 1): 6,
        ("optim", "C"): 7,
        ("optim", "C", 0): 7,
        ("optim", "C", 1): 8,
        ("optim", "C", 2): 9,
        ("optim", "C", 2, "a"): 9,
        ("optim", "words"): 10,
        ("optim", "a"): 13,
        ("optim", "a", "b"): 13,
        ("optim", "a", "b", "c d"): 13,
        ("optim", "day"): 15,
        ("optim", "groups"): 16,
        ("optim", "groups", 0): 16,
        ("optim", "groups", 0, "pattern"): 17,
        ("optim", "groups", 1): 18,
        ("optim", "groups", 1, "pattern"): 19,
        ("optim", "groups", 1, "sub"): 20,
        ("optim", "groups", 1, "sub", "x"): 21,
        ("quoted.key",): 22,
        ("quoted.key", "list"): 22,
        ("quoted.key", "list", 0): 22,
        ("quoted.key", "list", 0, "y"): 23,
    }


def test_a_document_is_written_as_people_write_it():
    document = {
        "train": {"epochs": 3, "time_limit": None},
        "extends": ["full", "./base.toml"],
        "optim": {"optimizer": {"name": "sgd", "momentum": 0.9}, "lr": 5e-5},
        "data": {
            "augment": [
                {"name": "random-resized-crop", "scale": [0.1, 1.0]},
                {"name": "color-jitter", "hue": 0.1, "saturation": 0.2},
                "flip",
            ]
        },
    }

    text = write(document, header="From a config.\n\nBy hand.", comments={"optim.lr": "Small."})

    assert text == (
        "# From a config.\n#\n# By hand.\n\n"
        'extends = ["full", "./base.toml"]\n\n'
        "[data]\naugment = [\n"
        '  { name = "random-resized-crop", scale = [0.1, 1.0] },\n'
        '  { name = "color-jitter", hue = 0.1, saturation = 0.2 },\n'
        '  "flip",\n]\n\n'
        '[optim]\noptimizer = { name = "sgd", momentum = 0.9 }\n# Small.\nlr = 5e-05\n\n'
        "[train]\nepochs = 3\n"
    )


@pytest.mark.parametrize("name", ["probe", "d2l-hotdog", "hub-garbage", "mmcls-cifar10"])
def test_a_recipe_is_the_same_after_writing_and_reading(tmp_path, name):
    recipe = read(name, ["train.seed=7"])
    file = tmp_path / "written.toml"
    file.write_text(write(recipe))

    assert read(file) == recipe


def test_what_is_no_value_of_toml_cannot_be_written():
    with pytest.raises(TypeError):
        write({"a": object()})


def test_every_key_is_described_and_the_schema_says_it():
    made = schema()

    tables = {type(field.default) for field in Recipe.model_fields.values()} | {GroupRule, Recipe}
    undescribed = {
        (table.__name__, key)
        for table in tables
        for key in table.model_fields
        if not descriptions(table).get(key, "").strip()
    }
    assert undescribed == set()
    optim = made["$defs"]["OptimSection"]["properties"]
    assert (
        optim["lr"]["description"]
        == "Of everything but the head; `auto` follows from strategy and optimiser."
    )
    assert optim["layer_decay"]["exclusiveMinimum"] == 0
    assert set(made["properties"]) == {"extends", *Recipe.model_fields}
    assert made["additionalProperties"] is False


def test_the_schema_knows_all_keys_of_a_recipe():
    made, whole = schema(), check({}).model_dump()

    known = {
        section: set(made["$defs"][made["properties"][section]["$ref"].rpartition("/")[2]]["properties"])
        for section in whole
    }

    assert known == {section: {*values, "replace"} for section, values in whole.items()}
