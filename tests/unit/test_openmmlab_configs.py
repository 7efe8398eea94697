"""Configs of OpenMMLab are read as their toolkit reads them, and nothing of them is executed."""

import pytest

from regraft.dialects.openmmlab import configs, options, tables
from regraft.errors import InvalidRecipe, NotFoundError


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read a config; further files are given by name: `read("_base_ = 'a.py'", a="x = 1")`."""
    monkeypatch.chdir(tmp_path)

    def write_and_read(text, **others):
        for name, source in {**others, "config": text}.items():
            (tmp_path / f"{name}.py").write_text(source)
        return configs.read("config.py").table

    return write_and_read


def test_plain_values_dicts_and_arithmetic_are_what_python_makes_of_them(read):
    table = read(
        '"""A docstring."""\n'
        "number = -2 * 3 + 10 // 4 - 7 % 4\n"
        "ratio = 3 / 4\n"
        "large = 1e-3 * 2 ** 10\n"
        "words = ['a', *('b', 'c')][1:] + ['d']\n"
        "first: str = words[0]\n"
        "inner = dict(a=1, **{'b': (1, None, True)})\n"
        "outer = dict(inner, c=inner['b'], d=inner.a)\n"
        "words += ['e']\n"
        "gone = 1\n"
        "del gone\n"
        "__hidden = 1\n"
    )

    assert table == {
        "number": -7,
        "ratio": 0.75,
        "large": 1.024,
        "words": ["b", "c", "d", "e"],
        "first": "b",
        "inner": {"a": 1, "b": (1, None, True)},
        "outer": {"a": 1, "b": (1, None, True), "c": (1, None, True), "d": 1},
    }


def test_strings_are_formatted_with_values_that_are_known(read):
    table = read(
        "depth = 50\n"
        "f = f'resnet{depth}_{0.5:.2f}'\n"
        "percent = '%s/%03d' % ('a', depth)\n"
        "named = '%(x)s' % dict(x=depth)\n"
        "braces = '{}-{n}-{0}-{{}}'.format(depth, n='b')\n"
    )

    assert table == {
        "depth": 50,
        "f": "resnet50_0.50",
        "percent": "a/050",
        "named": "50",
        "braces": "50-b-50-{}",
    }


def test_values_of_a_base_are_named_in_four_ways(read):
    table = read(
        "_base_ = ['./base.py']\n"
        "a = _base_.model.depth + 1\n"
        "b = {{_base_.model}}\n"
        "c = '{{ _base_.model.depth }}'\n"
        "d = 'resnet{{_base_.model.depth}} of {{fileBasenameNoExtension}}{{fileExtname}}'\n",
        base="model = dict(depth=50)\n",
    )

    assert table == {
        "model": {"depth": 50},
        "a": 51,
        "b": {"depth": 50},
        "c": 50,
        "d": "resnet50 of config.py",
    }


def test_dicts_are_merged_and_everything_else_is_replaced(read):
    table = read(
        "_base_ = ['one.py', 'two.py']\n"
        "model = dict(head=dict(classes=10), neck=None, list=[3])\n"
        "fresh = dict(_delete_=True, a=dict(_delete_=True, b=1))\n"
        "optimizer = dict(_delete_=True, type='Adam')\n"
        "grad_clip = None\n",
        one="model = dict(head=dict(classes=1000, topk=(1, 5)), neck=dict(type='GAP'), list=[1, 2])\n",
        two="optimizer = dict(type='SGD', momentum=0.9)\ngrad_clip = dict(max_norm=1)\n",
    )

    assert table == {
        "model": {"head": {"classes": 10, "topk": (1, 5)}, "neck": None, "list": [3]},
        "optimizer": {"type": "Adam"},
        "grad_clip": None,
        "fresh": {"a": {"b": 1}},
    }


def test_a_name_that_a_pipeline_was_made_of_is_a_copy(read):
    table = read(
        "_base_ = 'base.py'\nnumbers = dict(mean=2)\n",
        base="numbers = dict(mean=1)\nsteps = [dict(type='Normalize', **numbers)]\n",
    )

    assert table == {"numbers": {"mean": 2}, "steps": [{"type": "Normalize", "mean": 1}]}


def test_a_base_that_is_not_there_is_taken_from_those_that_regraft_brings_along(read, tmp_path):
    (tmp_path / "deep").mkdir()
    read("_base_ = ['../_base_/models/resnet50.py', '../_base_/default_runtime.py']\nlog_level = 'DEBUG'\n")

    found = configs.read(tmp_path / "config.py")

    assert found.table["model"]["backbone"] == {
        "type": "ResNet",
        "depth": 50,
        "num_stages": 4,
        "out_indices": (3,),
        "style": "pytorch",
    }
    assert (found.table["log_level"], found.table["workflow"]) == ("DEBUG", [("train", 1)])
    assert found.notes == (
        "Not there, so that those of Regraft are taken: ../_base_/models/resnet50.py, "
        "../_base_/default_runtime.py.",
    )


def test_a_base_that_is_there_comes_before_one_of_the_same_name(read, tmp_path):
    (tmp_path / "_base_").mkdir()
    (tmp_path / "_base_" / "default_runtime.py").write_text("log_level = 'ERROR'\n")

    table = read("_base_ = '_base_/default_runtime.py'\n")

    assert table == {"log_level": "ERROR"}


@pytest.mark.parametrize("path", sorted(configs.SHIPPED.rglob("*.py")), ids=lambda path: path.stem)
def test_every_file_that_is_brought_along_can_be_read_and_written_again(path, tmp_path):
    table = configs.read(path).table

    (tmp_path / "again.py").write_text(tables.dump(table))

    assert configs.read(tmp_path / "again.py").table == table


def test_a_config_may_be_json(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.json").write_text('{"model": {"depth": 18, "list": [{"a": null}]}}')
    (tmp_path / "config.json").write_text('{"_base_": "base.json", "model": {"depth": 50}}')

    assert configs.read("config.json").table == {"model": {"depth": 50, "list": [{"a": None}]}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": NaN}', "This is not JSON that can be read: NaN is not finite."),
        (
            "[" * 100 + "]" * 100,
            "This is not JSON that can be read: values lie more than 60 deep in each other.",
        ),
        ("[1]", "This is no JSON object."),
    ],
)
def test_json_that_no_config_can_be_is_refused(tmp_path, monkeypatch, text, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text(text)

    with pytest.raises(InvalidRecipe) as caught:
        configs.read("config.json")

    assert str(caught.value) == f"config.json: {reason}"


_PROGRAM = (
    "Configs are read and never executed: write values, dict(...), names that are defined above, arithmetic, "
    "strings formatted with known values, and _base_.NAME."
)
_LESS = "Write less of it."


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("import os", "The line imports a module.", _PROGRAM),
        ("from os import path", "The line imports from a module.", _PROGRAM),
        (
            "from mmengine.config import read_base",
            "The line imports from a module.",
            "Configs in the pure Python style are programs. Write the bases as _base_ = ['FILE', ...].",
        ),
        ("if True:\n    a = 1", "The line asks for a condition.", _PROGRAM),
        ("print(1)", "The line only computes something.", _PROGRAM),
        ("def f(): pass", "The line defines a function.", _PROGRAM),
        ("a = open('x')", "'open' would be called here.", _PROGRAM),
        ("a = __import__('os').system('ls')", "\"__import__('os').system\" would be called here.", _PROGRAM),
        ("a = ().__class__", "'().__class__' cannot be read.", _PROGRAM),
        ("a = [x for x in (1, 2)]", "'[x for x in (1, 2)]' cannot be read.", _PROGRAM),
        ("a = lambda: 1", "'lambda: 1' cannot be read.", _PROGRAM),
        ("a = 1 if True else 2", "'1 if True else 2' cannot be read.", _PROGRAM),
        ("a = {1, 2}", "'{1, 2}' cannot be read.", _PROGRAM),
        ("a = b'bytes'", "\"b'bytes'\" cannot be read.", _PROGRAM),
        ("a = 9**9**9", "387420489 is too large for an exponent.", "Write the number itself."),
        ("a = 2**64", "'2 ** 64' is too large a number.", "Write a smaller one."),
        ("a = 1e999", "'1e309' is not finite.", "Write a finite number."),
        ("a = 'x' * 10**9", "The value is too large for a config.", _LESS),
        ("a = [0] * 10**9", "The value is too large for a config.", _LESS),
        ("a = '{:>99999999}'.format(1)", "\"'{:>99999999}'.format(1)\" cannot be formatted.", _PROGRAM),
        ("a = '%99999999d' % 1", "\"'%99999999d' % 1\" cannot be formatted.", _PROGRAM),
        ("a = f'{1:>99999999}'", "'{1:>99999999}' cannot be formatted.", _PROGRAM),
        ("a = '{0.real}'.format(1)", "\"'{0.real}'.format(1)\" cannot be formatted.", _PROGRAM),
        ("a = 1 / 0", "'1 / 0' cannot be computed: division by zero.", _PROGRAM),
        ("a = '{{$HOME:x}}'", "'{{$HOME:x}}' cannot be read.", "There is {{fileDirname}}, {{fileBasename}}, "
         "{{fileBasenameNoExtension}}, {{fileExtname}}, and {{_base_.NAME}}."),
        ("model = 1\na = modle", "'modle' is not defined above.", "Did you mean 'model'?"),
        (
            "model = dict(a=1)\nmodel['a'] = 2",
            "The line changes a part of a value.",
            "Write the whole value, or dict(**NAME, key=value).",
        ),
        ("a = dict(\n    b=c)", "'c' is not defined above.", _PROGRAM),
    ],
)  # fmt: skip
def test_whatever_is_no_plain_value_is_refused_with_its_line(read, text, message, hint):
    with pytest.raises(InvalidRecipe) as caught:
        read(text)

    line = text.count("\n") + 1 if not text.startswith("if") else 1
    assert (str(caught.value), caught.value.hint) == (f"config.py, line {line}: {message}", hint)
    assert caught.value.where == f"config.py, line {line}"


@pytest.mark.parametrize(
    "text",
    [
        "a = [1]\n" + "a = [a, a]\n" * 60,
        "a = [1]\n" + "a = [a]\n" * 5000,
        "a = 'x'\n" + "a = a + a\n" * 60,
        "a = " + "[" * 90 + "]" * 90,
        "a = " + "[" * 5000 + "]" * 5000,
        "a = " + "-" * 50_000 + "1",
        "a = " + "1 + " * 50_000 + "1",
        "a = lambda: " + "1 + " * 50_000 + "1",
    ],
    ids=["doubled", "nested by name", "doubled string", "deep", "deeper", "signs", "sums", "never shown"],
)
def test_what_would_fill_the_memory_is_refused(read, text):
    with pytest.raises(InvalidRecipe):
        read(text)


def test_two_bases_may_not_say_the_same(read):
    with pytest.raises(InvalidRecipe) as caught:
        read("\n_base_ = ['one.py', 'two.py']", one="a = 1\nmodel = dict()", two="model = dict()")

    assert (str(caught.value), caught.value.hint) == (
        "config.py, line 2: Two bases say 'model': one.py, line 2 and two.py, line 1.",
        "Keep 'model' in one of them, or let one inherit from the other.",
    )


def test_a_dict_cannot_inherit_from_what_is_none(read):
    with pytest.raises(InvalidRecipe) as caught:
        read(
            "_base_ = 'base.py'\nhook = dict(\n    grad_clip=dict(max_norm=1))",
            base="\nhook = dict(grad_clip=None)",
        )

    assert (str(caught.value), caught.value.hint, caught.value.where) == (
        "config.py, line 3: 'hook.grad_clip' is a dict, and None in base.py, line 2.",
        "Write grad_clip=dict(_delete_=True, ...), which drops what is inherited.",
        "hook.grad_clip",
    )


def test_files_that_inherit_from_each_other_are_named_in_turn(read):
    with pytest.raises(InvalidRecipe) as caught:
        read("_base_ = 'one.py'", one="_base_ = 'two.py'", two="_base_ = 'config.py'")

    assert (str(caught.value), caught.value.hint) == (
        "'config.py' inherits from itself: config.py -> one.py -> two.py -> config.py.",
        "Take one of them out of _base_.",
    )


def test_a_base_that_nobody_has_is_named_with_the_nearest(read):
    with pytest.raises(NotFoundError) as caught:
        read("_base_ = '../_base_/models/resnet51.py'")

    assert (str(caught.value), caught.value.hint) == (
        "config.py, line 1: There is no file '../_base_/models/resnet51.py' to inherit from.",
        "Did you mean 'models/resnet50.py'?",
    )


def test_a_config_that_is_not_there_is_named_with_the_nearest(read, tmp_path):
    (tmp_path / "resnet50.py").write_text("")

    with pytest.raises(NotFoundError) as caught:
        configs.read("resnet5.py")

    assert (str(caught.value), caught.value.hint) == (
        "There is no config 'resnet5.py'.",
        "Did you mean 'resnet50.py'?",
    )


def test_what_is_not_python_is_refused_with_its_line(read):
    with pytest.raises(InvalidRecipe) as caught:
        read("a = 1\nb = dict(\n")

    assert str(caught.value) == "config.py, line 2: This is not Python: '(' was never closed."


def test_options_are_typed_as_in_the_original():
    table = tables.Table()
    words = [
        "a=1", "b=1e-3", "c=true", "d=None", "e=some text", "f=[1,2]", "g=1,x", "h=(1,[2,3])", "i='quoted'",
        "j.k.l=5", "m=",
    ]  # fmt: skip

    assert options.apply(table, words) == {
        "a": 1,
        "b": 0.001,
        "c": True,
        "d": None,
        "e": "sometext",
        "f": [1, 2],
        "g": [1, "x"],
        "h": (1, [2, 3]),
        "i": "quoted",
        "j": {"k": {"l": 5}},
        "m": "",
    }


def test_options_reach_into_lists_and_leave_the_config_as_it_was(read):
    table = read(
        "data = dict(train=dict(pipeline=[dict(type='RandomFlip', flip_prob=0.5)]))\nnothing = None\n"
    )

    changed = options.apply(table, ["data.train.pipeline.0.flip_prob=0", "nothing.x=1"])

    assert changed["data"] == {"train": {"pipeline": [{"type": "RandomFlip", "flip_prob": 0}]}}
    assert changed["nothing"] == {"x": 1}
    assert table["data"] == {"train": {"pipeline": [{"type": "RandomFlip", "flip_prob": 0.5}]}}


@pytest.mark.parametrize(
    ("option", "message", "hint"),
    [
        ("data", "'data' is no option.", "Write --cfg-options key.path=value."),
        ("dta.x=1", "--cfg-options: 'dta' is not there.", "Did you mean 'data'?"),
        ("data.trian.pipeline=1", "--cfg-options: 'data.trian' is not there.", "Did you mean 'train'?"),
        ("data.train=1", "--cfg-options: 'data.train' is a dict.", "Set one of its keys: pipeline, list."),
        (
            "data.train.list.4=1",
            "--cfg-options: 'data.train.list' is a list of 1, and has no place '4'.",
            "Places count from 0.",
        ),
        (
            "data.train.pipeline.x=1",
            "--cfg-options: 'data.train.pipeline' is 3, and has no keys.",
            "Set it as a whole.",
        ),
        ("a=" + "[" * 99 + "]" * 99, "--cfg-options: 'a' has more than 60 brackets.", "Write it in a file."),
        ("a=[1,2", "--cfg-options: The brackets of '[1,2' do not close.", "Write [a,b] or (a,b)."),
    ],
)  # fmt: skip
def test_an_option_that_leads_nowhere_is_refused(read, option, message, hint):
    table = read("data = dict(train=dict(pipeline=3, list=[1]))")

    with pytest.raises(InvalidRecipe) as caught:
        options.apply(table, [option])

    assert (str(caught.value), caught.value.hint) == (message, hint)
