"""The docs say what is so: commands parse, links lead somewhere, every dependency has its reason."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from regraft.cli.main import cli
from regraft.recipe import Recipe

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


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


def test_every_key_of_a_recipe_is_documented():
    page = (ROOT / "docs" / "index.md").read_text()
    keys = [f"{section}.{key}" for section, values in Recipe().model_dump().items() for key in values]

    assert [key for key in keys if f"`{key}`" not in page] == []


def test_the_readme_shows_code_early():
    lines = (ROOT / "README.md").read_text().splitlines()

    first = next(number for number, line in enumerate(lines, start=1) if line.startswith("```"))
    assert first <= 25
