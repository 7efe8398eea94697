"""Recipes that extend others: what is merged, what is replaced, and where each value came from."""

import pytest

from regraft.errors import InvalidRecipe, NotFoundError
from regraft.recipe import check, presets, read, trace
from regraft.recipe.places import lines


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Write recipes into the folder in which we stand: `folder({"a.toml": text})`."""
    monkeypatch.chdir(tmp_path)

    def write(files):
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        return tmp_path

    return write


def caught(act, kind=InvalidRecipe):
    with pytest.raises(kind) as error:
        act()
    return str(error.value), error.value.hint


def test_tables_are_merged_and_lists_and_values_are_replaced(folder):
    folder(
        {
            "base.toml": '[data]\naugment = ["flip", "gray"]\n[train]\nseed = 1\nepochs = 3\n',
            "mine.toml": 'extends = "base.toml"\n[data]\naugment = ["gray"]\n[train]\nepochs = 9\n',
        }
    )

    recipe = read("mine.toml")

    assert recipe == check({"data": {"augment": ["gray"]}, "train": {"seed": 1, "epochs": 9}})


def test_of_several_bases_a_later_one_lies_over_an_earlier_one(folder):
    folder(
        {
            "a.toml": "[train]\nseed = 1\nepochs = 1\nbatch_size = 1\n",
            "b.toml": "[train]\nepochs = 2\nbatch_size = 2\n",
            "mine.toml": 'extends = ["a.toml", "b.toml"]\n[train]\nbatch_size = 3\n',
        }
    )

    assert read("mine.toml") == check({"train": {"seed": 1, "epochs": 2, "batch_size": 3}})


def test_a_base_that_two_bases_share_is_taken_once_so_that_it_undoes_neither(folder):
    folder(
        {
            "root.toml": "[train]\nseed = 1\nepochs = 1\n",
            "a.toml": 'extends = "root.toml"\n[train]\nseed = 2\n',
            "b.toml": 'extends = "root.toml"\n[train]\nepochs = 2\n',
            "mine.toml": 'extends = ["a.toml", "b.toml"]\n',
        }
    )

    assert read("mine.toml") == check({"train": {"seed": 2, "epochs": 2}})


def test_a_base_is_relative_to_the_file_that_names_it_and_a_bare_word_is_a_preset(folder):
    folder(
        {
            "shared/root.toml": 'extends = "full"\n[train]\nseed = 5\n',
            "shared/base.toml": 'extends = "./root.toml"\n',
            "mine.toml": 'extends = "shared/base.toml"\n[train]\nepochs = 2\n',
        }
    )

    recipe = read("mine.toml")

    assert recipe == read("full", ["train.seed=5", "train.epochs=2"])


def test_a_table_that_says_replace_takes_nothing_over_and_the_word_is_taken_out(folder):
    folder(
        {
            "base.toml": '[optim]\nclip = 1.0\n[optim.schedule]\nname = "step"\nevery = 3\ngamma = 0.5\n',
            "one.toml": 'extends = "base.toml"\n[optim]\nschedule = {replace=true, name="step", every=2}\n',
            "all.toml": 'extends = "base.toml"\n[optim]\nreplace = true\nlr = 0.5\n',
            "none.toml": '[train]\nreplace=true\nseed=2\n[optim]\noptimizer = {replace=false, name="sgd"}\n',
        }
    )

    one, every, none = (read(f"{name}.toml") for name in ("one", "all", "none"))

    assert one == check({"optim": {"clip": 1.0, "schedule": {"name": "step", "every": 2}}})
    assert every == check({"optim": {"lr": 0.5}})
    assert none == check({"train": {"seed": 2}, "optim": {"optimizer": {"name": "sgd"}}})


def test_a_replaced_entry_without_a_name_is_the_default_one(folder):
    folder(
        {
            "base.toml": '[optim]\noptimizer = { name = "sgd", momentum = 0.8 }\n',
            "mine.toml": 'extends = "base.toml"\n[optim]\noptimizer = { replace = true, eps = 0.1 }\n',
        }
    )

    assert read("mine.toml").optim.optimizer == {"name": "adamw", "eps": 0.1}


def test_the_word_replace_is_taken_out_of_the_tables_of_a_list(folder):
    folder(
        {
            "mine.toml": '[data]\naugment = [{replace = true, name = "flip"}, "gray"]\n'
            '[[optim.groups]]\nreplace = true\npattern = "a"\n'
        }
    )

    assert read("mine.toml") == check(
        {"data": {"augment": [{"name": "flip"}, "gray"]}, "optim": {"groups": [{"pattern": "a"}]}}
    )


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[train]\nreplace = 3\n", "train"),
        ('[data]\naugment = [{replace = 3, name = "flip"}]\n', "data.augment.0"),
    ],
)
def test_replace_is_yes_or_no(folder, text, where):
    folder({"mine.toml": text})

    assert caught(lambda: read("mine.toml")) == (
        f"mine.toml, line 2: '{where}.replace' cannot be 3.",
        "It is true where nothing of the table below stays.",
    )


@pytest.mark.parametrize(
    ("below", "above", "together"),
    [
        ('{name = "sgd", momentum = 0.8}', '{name = "adamw"}', {"name": "adamw"}),
        ('{name = "sgd", momentum = 0.8}', '"adamw"', "adamw"),
        ('{name = "sgd", momentum = 0.8}', '"sgd"', "sgd"),
        (
            '{name = "sgd", momentum = 0.8}',
            '{name = "sgd", nesterov = true}',
            {"name": "sgd", "momentum": 0.8, "nesterov": True},
        ),
        ('{name = "sgd", momentum = 0.8}', "{momentum = 0.5}", {"name": "sgd", "momentum": 0.5}),
        ('"sgd"', "{momentum = 0.5}", {"name": "sgd", "momentum": 0.5}),
        ('"sgd"', '{name = "adam", eps = 0.1}', {"name": "adam", "eps": 0.1}),
        (None, "{eps = 0.1}", {"name": "adamw", "eps": 0.1}),
    ],
)
def test_an_entry_takes_over_the_options_of_its_own_name_alone(folder, below, above, together):
    folder(
        {
            "base.toml": f"[optim]\noptimizer = {below}\n" if below else "",
            "mine.toml": f'extends = "base.toml"\n[optim]\noptimizer = {above}\n',
        }
    )

    assert read("mine.toml").optim.optimizer == together


def test_who_extends_itself_is_told_by_which_way(folder):
    folder(
        {
            "a.toml": 'extends = "sub/b.toml"\n',
            "sub/b.toml": '# b\nextends = ["full", "../c.toml"]\n',
            "c.toml": 'extends = "./sub/b.toml"\n',
        }
    )

    assert caught(lambda: read("a.toml")) == (
        "c.toml, line 1: 'sub/b.toml' extends itself: sub/b.toml -> c.toml -> sub/b.toml.",
        "Take 'extends' out of one of them.",
    )


@pytest.mark.parametrize(
    ("extends", "message", "hint"),
    [
        ('"fulll"', "There is no recipe file 'fulll'.", "Did you mean 'full'?"),
        ('"./bse.toml"', "There is no recipe file 'bse.toml'.", "Did you mean 'base.toml'?"),
        ('"base"', "There is no recipe file 'base'.", "Did you mean 'base.toml'?"),
        ('"BASE.TOML"', "There is no recipe file 'BASE.TOML'.", "Did you mean 'base.toml'?"),
        ('"full.toml"', "There is no recipe file 'full.toml'.", "Did you mean 'full'?"),
        ('"Full"', "There is no recipe file 'Full'.", "Did you mean 'full'?"),
        ('"./zzz.toml"', "There is no recipe file 'zzz.toml'.", ""),
        ('"lost/x.toml"', "There is no recipe file 'lost/x.toml'.", ""),
    ],
)
def test_a_missing_base_names_who_asks_for_it_and_what_is_near(folder, extends, message, hint):
    folder({"base.toml": "", "mine.toml": f"# mine\nextends = {extends}\n"})

    assert caught(lambda: read("mine.toml"), NotFoundError) == (f"mine.toml, line 2: {message}", hint)


def test_a_word_that_is_near_nothing_is_told_what_presets_there_are(folder):
    folder({})

    message, hint = caught(lambda: read("zzz"), NotFoundError)

    assert message == "There is no recipe file 'zzz'."
    assert hint == f"There are the presets {', '.join(presets.names())}."


@pytest.mark.parametrize("value", ["3", "[1]", '""', "{a = 1}", "true"])
def test_extends_takes_words_alone(folder, value):
    folder({"mine.toml": f"extends = {value}\n"})

    message, hint = caught(lambda: read("mine.toml"))

    assert message.startswith("mine.toml, line 1: 'extends' cannot be ")
    assert hint == 'Name a preset or a file, or a list of them: ["full", "./base.toml"].'


@pytest.mark.parametrize(
    ("below", "above", "message", "hint"),
    [
        (
            "[train]\nepochs = 3\n",
            "[train.epochs]\nx = 1\n",
            "'train.epochs' is a table in mine.toml, line 2, but 3 in base.toml, line 2.",
            "Write train.epochs = ...",
        ),
        (
            "[optim]\noptimizer = 3\n",
            "[optim.optimizer]\neps = 0.1\n",
            "'optim.optimizer' is a table in mine.toml, line 2, but 3 in base.toml, line 2.",
            "Write {replace = true, ...} where the table should take its place.",
        ),
        (
            "[optim]\nlr = 1.0\n",
            "optim = 3\n",
            "'optim' is 3 in mine.toml, line 2, but a table in base.toml, line 1.",
            "Write it as a table: [optim].",
        ),
    ],
)
def test_a_table_over_something_else_names_both_files(folder, below, above, message, hint):
    folder({"base.toml": below, "mine.toml": f'extends = "base.toml"\n{above}'})

    assert caught(lambda: read("mine.toml")) == (message, hint)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[optim]\n\nlrr = 1\n", "line 3: Unknown key 'lrr' in 'optim'.", "Did you mean 'lr'?"),
        ("[trian]\nseed = 1\n", "line 1: Unknown key 'trian'.", "Did you mean 'train'?"),
        ("train = 3\n", "line 1: 'train' cannot be 3.", "Write it as a table: [train]."),
        (
            "[train]\nseed = -1\n",
            "line 2: 'train.seed' cannot be -1.",
            "Input should be greater than or equal to 0.",
        ),
        (
            "[optim]\nC = [\n  1.0,\n  0.0,\n]\n",
            "line 4: 'optim.C.1' cannot be 0.0.",
            "Input should be greater than 0.",
        ),
        (
            '[[optim.groups]]\npattern = "a"\n\n[[optim.groups]]\nlr_scale = 2\n',
            "line 4: 'optim.groups.1' has no 'pattern'.",
            'Add pattern = "...".',
        ),
        (
            '[optim]\ngroups = [{pattern = "a"},\n  {pattern = "b", lrscale = 2}]\n',
            "line 3: Unknown key 'lrscale' in 'optim.groups.1'.",
            "Did you mean 'lr_scale'?",
        ),
        (
            '[optim]\ngroups = [{patern = "a"}]\n',
            "line 2: Unknown key 'patern' in 'optim.groups.0'.",
            "Did you mean 'pattern'?",
        ),
        (
            '[data]\naugment = ["flip",\n 3]\n',
            "line 3: 'data.augment.1' cannot be 3.",
            "Input should be a valid string. Or: Input should be a table.",
        ),
        (
            "[data]\nmean = [1.0, 2.0]\n",
            "line 2: 'data.mean' cannot be [1.0, 2.0].",
            "Input should be 'auto'. Or: An item is missing.",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_line(folder, text, message, hint):
    folder({"recipe.toml": text})

    assert caught(lambda: read("recipe.toml")) == (f"recipe.toml, {message}", hint)


def test_what_is_wrong_in_a_base_is_named_with_the_base(folder):
    folder({"base.toml": "[train]\nsed = 1\n", "mine.toml": 'extends = "base.toml"\n[train]\nseed = 2\n'})

    assert caught(lambda: read("mine.toml"))[0] == "base.toml, line 2: Unknown key 'sed' in 'train'."


def test_text_that_is_not_toml_is_named_with_its_line(folder):
    folder({"recipe.toml": "[train]\nseed: 1\n", "deep.toml": f"a = {'[' * 5000}"})

    told = caught(lambda: read("recipe.toml"))

    assert told == (
        "'recipe.toml' is not TOML: Expected '=' after a key in a key/value pair (at line 2, column 5).",
        'Write key = value, and words in quotes: loss = "focal".',
    )
    assert caught(lambda: read("deep.toml"))[0] == "'deep.toml' is not TOML: it is nested too deeply."


def test_the_mark_with_which_some_editors_begin_a_file_is_passed_over(folder):
    file = folder({}) / "recipe.toml"
    file.write_bytes("[train]\nseed = 3\n".encode("utf-8-sig"))

    traced = trace("recipe.toml")

    assert (traced.recipe.train.seed, str(traced.origin("train.seed"))) == (3, "recipe.toml, line 2")


def test_text_that_is_not_utf8_says_how_to_save_it(folder):
    file = folder({}) / "recipe.toml"
    file.write_bytes("# née\n".encode("latin-1"))

    assert caught(lambda: read("recipe.toml"))[1] == "Save it as UTF-8."


def test_a_folder_is_no_recipe_and_the_order_of_words_is_told(folder):
    (folder({}) / "photos").mkdir()

    assert caught(lambda: read("photos")) == (
        "'photos' is a folder, and no recipe.",
        "RECIPE comes before DATASET; it is a TOML file, or the name of a preset.",
    )


def test_every_value_knows_where_it_came_from(folder):
    folder(
        {
            "base.toml": 'extends = "scratch"\n\n[optim]\noptimizer = "sgd"\n',
            "mine.toml": 'extends = "base.toml"\n[optim]\noptimizer.momentum = 0.5\nlr = 0.1\n',
        }
    )

    traced = trace("mine.toml", ["optim.clip=1"])

    keys = ("optim.optimizer.name", "optim.optimizer.momentum", "optim.lr", "optim.clip", "eval.folds")
    assert [str(traced.origin(key)) for key in keys] == [
        "base.toml, line 4",
        "mine.toml, line 3",
        "mine.toml, line 4",
        "--set",
        "default",
    ]
    assert str(traced.origin("train.epochs")).startswith("preset scratch, line ")
    assert [str(origin) for origin in traced.within("optim.optimizer")] == [
        "mine.toml, line 3",
        "base.toml, line 4",
    ]


def test_a_recipe_from_elsewhere_is_given_where_it_is_no_default():
    recipe = check({"train": {"seed": 2}, "optim": {"optimizer": {"name": "sgd"}}})

    traced = trace(recipe, ["optim.optimizer.momentum=0.5"], given="run:1")

    assert traced.recipe == check(
        {"train": {"seed": 2}, "optim": {"optimizer": {"name": "sgd", "momentum": 0.5}}}
    )
    assert recipe.optim.optimizer == {"name": "sgd"}  # it has not changed
    keys = ("train.seed", "train.epochs", "optim.optimizer.momentum")
    assert [str(traced.origin(key)) for key in keys] == ["run:1", "default", "--set"]


@pytest.mark.parametrize("name", presets.names())
def test_every_value_of_a_preset_has_a_comment_above_that_says_why(name):
    text = presets.find(name).read_text()
    before = ["", *text.splitlines()]

    keys = {place: before[line - 1] for place, line in lines(text).items() if len(place) == 2}

    assert len(keys) >= 4
    assert [place for place, above in keys.items() if not above.startswith("# ")] == []
    assert presets.summary(name).endswith(".")


def test_there_is_a_preset_for_every_beginning_and_every_seed():
    assert presets.names() == [
        "probe",
        "few-shot",
        "lp-ft",
        "partial",
        "full",
        "scratch",
        "d2l-hotdog",
        "hub-garbage",
        "mindcv-wolves-frozen",
        "mindcv-wolves-full",
        "mmcls-cifar10",
    ]
    assert read("probe") == read(None, ["train.strategy=probe"])
