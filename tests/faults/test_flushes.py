"""What a process that was killed has left unflushed is flushed by the next one that relies on it."""

import pytest
from tests.faults import traced


@pytest.fixture
def flushes(run, strace):
    """Run a command and return the paths that it flushed, in order."""

    def watched(scene, root):
        ended = run(*scene.words(root), strace=["-y", "-e", "trace=fsync"])
        assert ended.status == 0, ended
        return traced.flushed(ended.trace)

    return watched


def test_folders_that_are_there_are_flushed_before_a_version_is_acknowledged(all_scenes, flushes):
    scene = all_scenes["second version"]
    root = scene.begin()

    paths = flushes(scene, root)

    holders = {
        root.parent,
        root,
        root / "datasets",
        root / "datasets" / "photos",
        root / "blobs",
        root / "packs",
    }
    assert {*map(str, holders)} <= {*paths}


def test_a_recovered_version_is_not_hidden_again_by_a_power_cut(all_scenes, flushes):
    scene = all_scenes["recover"]
    root = scene.begin()

    paths = flushes(scene, root)

    assert paths[-1] == str(root / "datasets" / "gone")


def test_a_copy_flushes_what_a_killed_copy_has_left(all_scenes, run, flushes):
    scene = all_scenes["copy"]
    root = scene.begin()
    killed = run(*scene.words(root), failpoints="catalog.commit.publish=kill")

    paths = flushes(scene, root)

    left = [path for kind in ("blobs", "packs") for path in (root / kind).glob("??/*")]
    assert (killed.status, len(left)) == (-9, 4)
    assert {str(path.parent) for path in left} <= {*paths}
