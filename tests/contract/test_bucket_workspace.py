"""A workspace in a bucket is a workspace: the same verbs, from any machine that knows its address."""

import json
import subprocess
import sys

import pytest

import regraft
from regraft.store.bucket import connect


@pytest.fixture
def url(make_bucket):
    return f"{make_bucket()}/team"


@pytest.fixture
def photos(make_folder):
    return make_folder({f"{split}/{label}": 6 for split in ("train", "test") for label in ("cat", "dog")})


def test_datasets_are_added_listed_read_and_tagged(url, photos, make_folder):
    workspace = regraft.open(url)
    added = workspace.datasets.add("crêpe", photos)
    make_folder({"train/cat": 7})
    again = workspace.datasets.add("crêpe", photos)

    workspace.datasets.tag("crêpe:v1", "first")

    other = regraft.open(url).datasets
    tagged = other.get("crêpe:first")
    pictures = {row.key: other.get("crêpe").read(row) for row in other.get("crêpe")}
    assert [str(version) for version in other.list()] == ["crêpe:v2"]
    assert tagged.version == added.version
    assert again.version.number == 2
    assert tagged.record.splits == {"train": {"cat": 6, "dog": 6}, "test": {"cat": 6, "dog": 6}}
    assert pictures == {
        path.relative_to(photos).as_posix(): path.read_bytes() for path in photos.rglob("*.png")
    }


def test_a_model_that_one_machine_made_is_used_by_another(url, photos, tmp_path, monkeypatch):
    done = regraft.open(url).finetune(photos)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    other = regraft.open(url)
    said = other.predict(done.model, photos / "test" / "cat")

    assert done.page.is_file()
    assert (tmp_path / "caches") in done.page.parents
    assert [str(version) for version in other.models.list()][-1:] == [done.model]
    assert [str(version) for version in other.reports.list()] == [done.model]
    assert other.reports.get(done.model) == done.report
    assert [answer.error for answer in said] == [None] * 6
    assert other.runs.list() == []  # they stay where they were executed


def test_a_dataset_travels_to_a_bucket_and_back(workspace, url, photos, tmp_path):
    added = workspace.datasets.add("photos", photos).version

    there = workspace.datasets.copy("photos", url)
    again = workspace.datasets.copy("photos", url)
    back = regraft.open(url).datasets.copy("photos", tmp_path / "back")

    assert [copied.version for copied in (there, again, back)] == [added] * 3
    assert [copied.new for copied in (there, again, back)] == [True, False, True]
    assert (again.sent, again.present) == (0, there.sent)
    assert back.sent_bytes == there.sent_bytes
    assert regraft.open(tmp_path / "back").store.verify(deep=True).faults == ()


def test_a_collector_leaves_nothing_of_a_removed_dataset(url, photos, make_folder):
    workspace = regraft.open(url)
    kept = workspace.datasets.add("kept", photos)
    workspace.datasets.add("gone", make_folder({"cat": 2, "dog": 2}, name="others"))
    workspace.datasets.add("again", photos)  # touches what is there
    workspace.datasets.remove("gone")

    done = workspace.store.gc(grace=0)

    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    keys = [facts["path"] for page in connect(bucket, prefix, seconds=30).list() for facts in page]
    removed = {file.name for file in done.removed}
    assert {file.kind for file in done.removed} == {"blob", "pack"}
    assert [key for key in keys if key.removesuffix(".touched") in removed] == []
    assert any(key.endswith(".touched") for key in keys)
    assert [str(version) for version in workspace.datasets.list()] == ["again:v1", "kept:v1"]
    assert workspace.store.verify(deep=True).faults == ()
    assert len(workspace.datasets.get("kept")) == kept.record.count


def test_the_command_line_takes_an_address(url, photos):
    regraft.open(url).datasets.add("photos", photos)

    child = subprocess.run(
        [sys.executable, "-m", "regraft", "dataset", "list", "--json", "--workspace", url],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (child.returncode, child.stderr) == (0, "")
    assert [line["ref"] for line in json.loads(child.stdout)] == ["photos:v1"]


def test_a_folder_workspace_loads_no_object_storage(workspace, photos):
    workspace.datasets.add("photos", photos)
    driver = "import sys, regraft; regraft.open(sys.argv[1]).datasets.list(); print('obstore' in sys.modules)"

    child = subprocess.run(
        [sys.executable, "-c", driver, workspace.path], capture_output=True, text=True, check=False
    )

    assert (child.returncode, child.stdout) == (0, "False\n")
