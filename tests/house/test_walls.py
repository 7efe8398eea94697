"""The walls of the house: layers, what an import costs, and one vocabulary for shell and Python."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

import regraft
from regraft.cli.main import COMMANDS, cli
from regraft.dialects.openmmlab import main as openmmlab

ROOT = Path(__file__).parents[2]

#: Every command, and the attribute of a workspace that it calls.
VERBS = {
    "finetune": "finetune",
    "predict": "predict",
    "explain": "explain",
    "evaluate": "evaluate",
    "dataset add": "datasets.add",
    "dataset build": "datasets.build",
    "dataset edit": "datasets.edit",
    "dataset import": "datasets.import_",
    "dataset list": "datasets.list",
    "dataset info": "datasets.get",
    "dataset head": "datasets.get",
    "dataset history": "datasets.history",
    "dataset diff": "datasets.diff",
    "dataset show": "datasets.show",
    "dataset check": "datasets.check",
    "dataset suggest-labels": "datasets.suggest_labels",
    "dataset tag": "datasets.tag",
    "dataset remove": "datasets.remove",
    "dataset recover": "datasets.recover",
    "dataset copy": "datasets.copy",
    "dataset export": "datasets.export",
    "store verify": "store.verify",
    "store gc": "store.gc",
    "store info": "store.info",
    "model list": "models.list",
    "model info": "models.get",
    "model tag": "models.tag",
    "model add-class": "models.add_class",
    "model add-data": "models.add_data",
    "run list": "runs.list",
    "run info": "runs.get",
    "run watch": "runs.watch",
    "run resume": "runs.resume",
    "run extend": "runs.extend",
    "run stop": "runs.stop",
    "run remove": "runs.remove",
    "run compare": "runs.compare",
    "run reproduce": "runs.reproduce",
    "recipe list": "recipes.list",
    "recipe show": "recipes.show",
    "recipe diff": "recipes.diff",
    "recipe schema": "recipes.schema",
    "recipe suggest": "recipes.suggest",
    "recipe check": "recipes.check",
    "recipe schedule": "recipes.schedule",
    "recipe find-lr": "recipes.find_lr",
    "report list": "reports.list",
    "report info": "reports.get",
    "report compare": "reports.compare",
    "report export": "reports.export",
    "report open": "reports.page",
}

#: Commands of other toolkits' words, which no workspace knows, and the function that each calls.
DIALECTS = {"recipe import": openmmlab.read}

#: Run a command line of Regraft, then write the modules that are loaded to standard error.
DRIVER = """
import json, runpy, sys
try:
    if sys.argv[1:]:
        runpy.run_module("regraft", run_name="__main__", alter_sys=True)
    else:
        import regraft
finally:
    sys.stderr.write(json.dumps(sorted(sys.modules)))
"""


def modules_after(*words):
    child = subprocess.run(
        [sys.executable, "-c", DRIVER, *words], capture_output=True, text=True, check=False
    )
    return child.stdout, {name.partition(".")[0] for name in json.loads(child.stderr)}


def commands(group=cli, path=()):
    """Yield every command below a group with the words that call it, groups too."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        words = (*path, name)
        yield " ".join(words), command
        if isinstance(command, click.Group):
            yield from commands(command, words)


def leaves():
    return [(words, command) for words, command in commands() if not isinstance(command, click.Group)]


def test_the_layers_import_downwards_only():
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"

    child = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (child.returncode, "1 kept, 0 broken" in child.stdout) == (0, True), child.stdout + child.stderr


@pytest.mark.parametrize(
    ("words", "says", "absent"),
    [
        ((), "", {"click", "pydantic", "pyarrow", "numpy", "PIL", "rich"}),
        (("--help",), "Fine-tune a pretrained vision model", {"pydantic", "pyarrow", "numpy", "PIL", "rich"}),
        (("--version",), "regraft ", {"pydantic", "pyarrow", "numpy", "PIL", "rich"}),
        (("dataset", "list"), "photos:v1", {"rich"}),
    ],
    ids=["import regraft", "regraft --help", "regraft --version", "regraft dataset list"],
)
def test_what_is_not_needed_is_not_loaded(make_folder, words, says, absent):
    regraft.open().datasets.add("photos", make_folder({"cat": 2, "dog": 2}))

    out, loaded = modules_after(*words)

    assert says in out
    assert "regraft" in loaded
    assert loaded & ({"torch", "torchvision", "timm", "sklearn", "scipy"} | absent) == set()


def test_the_public_names_are_these_and_all_of_them_are_there():
    names = sorted(regraft.__all__)

    assert names == ["FinetuneResult", "RegraftError", "Report", "Workspace", "__version__", "load", "open"]
    assert {name: getattr(regraft, name).__name__ for name in names if name != "__version__"} == {
        "FinetuneResult": "FinetuneResult",
        "RegraftError": "RegraftError",
        "Report": "Report",
        "Workspace": "Workspace",
        "load": "load",
        "open": "open",
    }
    assert dir(regraft) == names


def test_a_name_that_is_not_public_is_none():
    with pytest.raises(AttributeError) as caught:
        regraft.finetune  # noqa: B018

    assert str(caught.value) == "module 'regraft' has no attribute 'finetune'"


def test_the_first_page_of_help_says_what_the_commands_say():
    table = {name: words for name, (_, words) in COMMANDS.items()}

    said = {
        name: cli.get_command(click.Context(cli), name).get_short_help_str(limit=1000) for name in COMMANDS
    }

    assert said == table


def test_every_command_and_every_option_has_help():
    options = {
        f"{words} {option.opts[0]}": option.help
        for words, command in commands()
        for option in command.params
        if isinstance(option, click.Option)
    }

    without = [words for words, command in commands() if not command.help]
    without += [name for name, help_ in options.items() if not help_]

    assert len(options) > 30
    assert without == []


def test_every_command_takes_a_workspace_and_gives_json():
    options = {
        words: {name for option in command.params for name in option.opts} for words, command in leaves()
    }

    without = {words: {"--json", "--workspace"} - names for words, names in options.items()}

    assert without == {words: set() for words in (*VERBS, *DIALECTS)}


def test_every_command_calls_its_namesake_of_the_workspace(workspace):
    spoken = {words for words, _ in leaves()}

    missing = []
    for words, verb in VERBS.items():
        noun, _, _ = words.rpartition(" ")
        place = workspace
        for part in verb.split("."):
            place = getattr(place, part, None)
        if not callable(place) or (noun and not verb.startswith((f"{noun}s.", "store."))):
            missing.append(words)

    assert spoken == set(VERBS) | set(DIALECTS)
    assert missing == []
