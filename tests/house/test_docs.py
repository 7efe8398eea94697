"""The docs say what is so: commands parse, links lead somewhere, every dependency has its reason."""

import inspect
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from regraft.cli.main import cli
from regraft.data.augment.pipeline import AUGMENTATIONS
from regraft.engine.losses import LOSSES
from regraft.engine.optim import OPTIMIZERS
from regraft.engine.schedules import SCHEDULES
from regraft.hub.adapters import ADAPTERS
from regraft.hub.heads import HEADS
from regraft.recipe import Recipe
from regraft.registry import Registry

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FINETUNING = ROOT / "docs" / "finetuning.md"


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), flags=re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`(regraft finetune [^`]*)`", page.read_text())
    return [line for line in [*lines, *inline] if line.startswith("regraft ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_docs_parses(page):
    for line in commands(page):
        words = shlex.split(line)[1:]
        command: click.Command = cli
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words.pop(0))
        command.make_context(line, words)


def test_the_readme_and_the_tutorial_have_commands():
    assert len(commands(ROOT / "README.md")) >= 3
    assert len(commands(ROOT / "docs" / "tutorial.md")) >= 6


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_in_the_docs_leads_to_a_file(page):
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    reasons = (ROOT / "docs" / "dependencies.md").read_text()

    missing = [name for name in (re.split(r"[<>=]", item)[0] for item in named) if name not in reasons]
    assert missing == []


def test_every_key_of_a_recipe_is_documented_with_its_default():
    rows = re.findall(r"^\| `(\w+\.\w+)` \| (?:`(.*?)` )?\| ", FINETUNING.read_text(), flags=re.MULTILINE)

    documented = {key: _value(default) for key, default in rows}

    document = Recipe().model_dump()
    assert documented == {
        f"{section}.{key}": list(value) if isinstance(value, tuple) else value
        for section, values in document.items()
        for key, value in values.items()
    }


@pytest.mark.parametrize(
    "registry",
    [HEADS, ADAPTERS, OPTIMIZERS, SCHEDULES, LOSSES, AUGMENTATIONS],
    ids=["heads", "adapters", "optimizers", "schedules", "losses", "augmentations"],
)
def test_whatever_a_recipe_may_name_is_documented_with_its_options(registry):
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*)", FINETUNING.read_text(), flags=re.MULTILINE)

    missing = [
        name
        for name in registry
        if not any(
            all(f"`{option}`" in words for option in _options(registry, name))
            for known, words in rows
            if known == name
        )
    ]

    assert missing == []


def _options(registry: Registry, name: str) -> list[str]:
    required = {"step": {"every": 1}, "multistep": {"milestones": [1]}}
    item, _ = registry.find({"name": name, **required.get(name, {})}, where="here")
    return [p.name for p in inspect.signature(item).parameters.values() if p.kind is p.KEYWORD_ONLY]


def _value(default: str) -> object:
    try:
        return tomllib.loads(f"value = {default}")["value"]
    except tomllib.TOMLDecodeError:
        return default  # a bare word is a string, as for --set


def test_the_readme_shows_code_early():
    lines = (ROOT / "README.md").read_text().splitlines()

    first = next(number for number, line in enumerate(lines, start=1) if line.startswith("```"))
    assert first <= 25
