"""Opening the store of a workspace, and the places where there can be none."""

import os
from contextlib import contextmanager
from pathlib import Path

import pytest

import regraft
from regraft.errors import IntegrityError, InvalidRecord, NotAllowedError, StorageError
from regraft.store.opening import open_store

ELSEWHERE = "Choose another place with --workspace DIR or REGRAFT_HOME."


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_store_is_a_folder_with_a_marker(tmp_path):
    root = tmp_path / "some" / "where"

    store = open_store(root)

    assert store.root == root
    assert names(root) == ["store.json"]
    assert (root / "store.json").read_text() == '{\n  "format": 1\n}\n'


def test_a_store_is_opened_again_as_it_is(tmp_path):
    open_store(tmp_path)
    before = (tmp_path / "store.json").stat()

    open_store(tmp_path)

    assert (tmp_path / "store.json").stat() == before


def test_a_workspace_stands_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_HOME", str(tmp_path / "here"))

    workspace = regraft.open()

    assert workspace.path == tmp_path / "here"
    assert names(tmp_path) == ["here"]


def test_a_workspace_given_by_path_comes_before_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_HOME", str(tmp_path / "here"))

    workspace = regraft.open(tmp_path / "there")

    assert workspace.path == tmp_path / "there"
    assert names(tmp_path) == ["there"]


def test_a_store_of_a_later_format_is_left_alone(tmp_path):
    (tmp_path / "store.json").write_text('{"format": 2, "more": true}')

    with pytest.raises(InvalidRecord) as caught:
        regraft.open(tmp_path)

    assert str(caught.value) == (
        f"The store {str(tmp_path)!r} has format 2; this version of Regraft reads format 1."
    )
    assert caught.value.hint == "Update Regraft, or choose another store with --workspace."
    assert names(tmp_path) == ["store.json"]


@pytest.mark.parametrize("marker", ["", "{", "[]", "null", "{}", "1"])
def test_a_damaged_marker_is_named(tmp_path, marker):
    path = tmp_path / "store.json"
    path.write_text(marker)

    with pytest.raises(IntegrityError) as caught:
        regraft.open(tmp_path)

    assert str(caught.value) == f"The store's marker {str(path)!r} is damaged."
    assert caught.value.hint == (
        'If the store was made by this version of Regraft, write {"format": 1} into it.'
    )


@pytest.mark.parametrize("below", ["", "workspace", "work/space"])
def test_a_file_cannot_hold_a_workspace(tmp_path, monkeypatch, below):
    file = tmp_path / "file"
    file.write_text("mine")
    monkeypatch.setenv("REGRAFT_HOME", str(file / below))

    with pytest.raises(StorageError) as caught:
        regraft.open()

    message = f"The workspace {str(file / below)!r} is a file, or lies below one."
    assert (str(caught.value), caught.value.hint) == (message, ELSEWHERE)
    assert file.read_text() == "mine"


def test_a_marker_that_cannot_be_read_says_why(tmp_path):
    (tmp_path / "store.json").mkdir()

    with pytest.raises(StorageError) as caught:
        regraft.open(tmp_path)

    assert str(caught.value) == f"{str(tmp_path / 'store.json')!r} cannot be read (Is a directory)."


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="this system has no /sys")
def test_a_workspace_where_nobody_may_write_is_not_allowed():
    with pytest.raises(NotAllowedError) as caught:
        regraft.open("/sys/regraft")

    assert str(caught.value).startswith("'/sys/regraft' cannot be written (")
    assert (
        caught.value.hint
        == "Choose a place that you may write to; a workspace, with --workspace DIR or REGRAFT_HOME."
    )
    assert caught.value.exit_code == 7


@contextmanager
def nobody():
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_is_somebody_elses_is_not_allowed(tmp_path):
    root = tmp_path / "workspace"
    tmp_path.chmod(0o000)

    with nobody(), pytest.raises(NotAllowedError) as caught:
        regraft.open(root)
    tmp_path.chmod(0o700)

    assert str(caught.value) == f"{str(root / 'store.json')!r} cannot be read (Permission denied)."
    assert names(tmp_path) == []
