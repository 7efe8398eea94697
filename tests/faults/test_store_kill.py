"""A commit that is killed, or refused by the disk, at every point at which anything becomes durable."""

import json
import re
import shutil
from collections import Counter
from itertools import count

import pytest

STAGES = ("write", "flush", "publish", "published")
PARTS = ("store.create", "blob", "catalog.commit")
#: How often a commit of new pictures passes each part: the pack, the table and the refused files are blobs.
PASSAGES = {"store.create": 1, "blob": 3, "catalog.commit": 1}

NO_ROOM = r"The disk has no room for '{root}/[^']+' \(No space left on device\)\."
FAILING = r"'{root}/[^']+' cannot be written \(Input/output error\)\."
FORBIDDEN = r"'{root}/[^']+' cannot be written \(Permission denied\)\."
UNKNOWN = r"'{root}/[^']+' was written, but the disk did not confirm it \([A-Z][a-z/ ]+\)\."


@pytest.fixture(params=["the first version", "a second version"])
def scene(request, tmp_path, photos, more_photos, add, everything):
    """Give a workspace before and after a commit: `begin()` makes a new copy of how it was before."""
    before, after = tmp_path / "before", tmp_path / "after"
    numbers = count()

    def begin():
        case = tmp_path / f"case-{next(numbers)}"
        if before.exists():
            shutil.copytree(before, case)
        return case

    if request.param == "a second version":
        assert add(before, photos).status == 0
        shutil.copytree(before, after)
    assert add(after, more_photos).status == 0
    old = everything(before) if before.exists() else {}
    passages = {name: n for name, n in PASSAGES.items() if name != "store.create" or not before.exists()}
    return begin, old, everything(after), passages


def explore(fails):
    """Let `fails(point, n)` plant a fault at each passage of each point until it is not met any more."""
    met = Counter()
    for part in PARTS:
        for stage in STAGES:
            for passage in count(1):
                if not fails(f"{part}.{stage}", passage):
                    break
                met[part, stage] += 1
    return met


def every_stage(passages):
    return Counter({(part, stage): n for part, n in passages.items() for stage in STAGES})


def test_a_killed_commit_loses_nothing_that_was_acknowledged(scene, more_photos, add, everything):
    begin, old, new, passages = scene

    def killed(point, passage):
        root = begin()
        ended = add(root, more_photos, failpoints=f"{point}=kill@{passage}")
        state = everything(root)
        visible = ended.status == 0 or point == "catalog.commit.published"
        assert ended.status in (0, -9), (point, passage, ended)
        assert state == (new if visible else old), (point, passage)
        again = add(root, more_photos)
        assert (again.status, everything(root)) == (0, new), (point, passage, again)
        return ended.status != 0

    assert explore(killed) == every_stage(passages)


@pytest.mark.parametrize(
    ("code", "kind", "status", "message"),
    [
        ("ENOSPC", "StorageError", 1, NO_ROOM),
        ("EIO", "StorageError", 1, FAILING),
        ("EACCES", "NotAllowedError", 7, FORBIDDEN),
    ],
    ids=["full", "failing", "forbidden"],
)
def test_a_refused_commit_says_why_and_loses_nothing(
    scene, more_photos, add, everything, drafts, code, kind, status, message
):
    begin, old, new, passages = scene

    def refused(point, passage):
        root = begin()
        ended = add(root, more_photos, failpoints=f"{point}={code}@{passage}")
        if ended.status == 0:
            assert everything(root) == new
            return False
        error = json.loads(ended.err)
        unknown = point.endswith(".published")
        expected = ("UnknownOutcomeError", 1, UNKNOWN) if unknown else (kind, status, message)
        assert (error["error"], ended.status) == expected[:2], (point, passage)
        assert re.fullmatch(expected[2].format(root=re.escape(str(root))), error["message"]), error
        assert error["hint"].endswith(".")
        assert (ended.out, drafts(root)) == ("", []), (point, passage)
        assert everything(root) == (new if point == "catalog.commit.published" else old), (point, passage)
        again = add(root, more_photos)
        assert (again.status, everything(root)) == (0, new), (point, passage, again)
        return True

    assert explore(refused) == every_stage(passages)


def test_a_killed_tag_names_the_old_version_or_the_new_one(tmp_path, photos, more_photos, add, run):
    root = tmp_path / "root"
    add(root, photos)
    add(root, more_photos)
    words = ("dataset", "tag", "--workspace", root, "--json")

    named = {}
    for stage in STAGES:
        assert run(*words, "photos:v1", "best").status == 0
        assert run(*words, "photos:v2", "best", failpoints=f"catalog.tag.{stage}=kill").status == -9
        found = run("dataset", "info", "photos:best", "--workspace", root, "--json")
        named[stage] = json.loads(found.out)["ref"]

    old, new = "photos:v1", "photos:v2"
    assert named == {"write": old, "flush": old, "publish": old, "published": new}
