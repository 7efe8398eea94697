"""Commands that are killed, or refused by the disk, at every point at which anything becomes durable."""

import pytest
from tests.faults import scenes

SCENES = (
    "first version",
    "second version",
    "another dataset",
    "append",
    "edit",
    "tag",
    "remove",
    "recover",
    "gc",
    "import",
    "copy",
)


def test_every_scene_is_played(all_scenes):
    assert tuple(all_scenes) == SCENES


@pytest.mark.parametrize("name", SCENES)
def test_a_command_killed_at_any_point_loses_nothing_and_works_again(all_scenes, run, name):
    found, points = scenes.killed(all_scenes[name], run)

    assert found == []
    assert {point.rpartition(".")[0] for point in points} >= {all_scenes[name].visible or "gc.condemn"}


@pytest.mark.parametrize("name", SCENES)
def test_a_command_refused_at_any_point_says_why_and_loses_nothing(all_scenes, run, name):
    found = scenes.refused(all_scenes[name], run)

    assert found == []
