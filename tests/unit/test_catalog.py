"""Versions that never change, and tags that name them."""

import json
import unicodedata
from collections import Counter

import pytest

from regraft import durable
from regraft.errors import (
    ConflictError,
    IntegrityError,
    InvalidRef,
    NotFoundError,
    StorageError,
    UnknownOutcomeError,
)
from regraft.records import Record, Version, canonical, digest, encode
from regraft.refs import parse
from regraft.store.catalog import Catalog, seal, unseal
from regraft.store.storage import Folder


class Note(Record):
    """The smallest record that has versions."""

    parent: str | None
    text: str


@pytest.fixture
def catalog(tmp_path):
    return Catalog(Folder(tmp_path))


@pytest.fixture
def commit(catalog):
    """Commit a note: `commit("hotdog", "text")`."""

    def note(name, text):
        return catalog.commit(
            "datasets", name, lambda parent: Note(parent=parent.digest if parent else None, text=text)
        )

    return note


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_first_version_is_one_file_with_its_digest(tmp_path, commit):
    version, new = commit("hotdog", "first")

    path = tmp_path / "datasets" / "hotdog" / "v1.json"
    data = encode(Note(parent=None, text="first"))
    assert new
    assert version == Version(kind="datasets", name="hotdog", number=1, digest=digest(data), data=data)
    assert path.read_bytes() == seal(version)
    assert json.loads(path.read_bytes()) == {"digest": version.digest, "parent": None, "text": "first"}
    assert path.stat().st_mode & 0o777 == 0o444
    assert names(tmp_path) == ["datasets"]


def test_each_version_names_the_one_before_by_its_digest(catalog, commit):
    versions = [commit("hotdog", text)[0] for text in ("first", "second", "third")]

    parents = [version.read(Note).parent for version in versions]

    assert [str(version) for version in versions] == ["hotdog:v1", "hotdog:v2", "hotdog:v3"]
    assert parents == [None, versions[0].digest, versions[1].digest]
    assert [catalog.find("datasets", parse(f"hotdog:v{n}")) for n in (1, 2, 3)] == versions


def test_unchanged_content_is_no_new_version(catalog, commit):
    first, _ = commit("hotdog", "same")

    again, new = commit("hotdog", "same")

    assert (again, new) == (first, False)
    assert catalog.numbers("datasets", "hotdog") == [1]


def test_an_unchanged_version_is_confirmed_before_it_is_named(catalog, commit, monkeypatch):
    commit("hotdog", "same")
    monkeypatch.setattr(durable, "_passages", Counter())
    monkeypatch.setenv("REGRAFT_FAILPOINTS", "catalog.commit.published=EIO")

    with pytest.raises(UnknownOutcomeError):
        commit("hotdog", "same")

    assert catalog.numbers("datasets", "hotdog") == [1]


def test_content_of_an_earlier_version_is_a_new_version(catalog, commit):
    for text in ("one", "two", "one"):
        commit("hotdog", text)

    numbers = catalog.numbers("datasets", "hotdog")

    assert numbers == [1, 2, 3]


def test_the_latest_version_moves_by_itself(catalog, commit):
    commit("hotdog", "first")
    before = catalog.find("datasets", parse("hotdog:latest"))

    second, _ = commit("hotdog", "second")

    assert before.number == 1
    assert catalog.find("datasets", parse("hotdog")) == second
    assert catalog.find("datasets", parse("hotdog:latest")) == second
    assert catalog.latest("datasets", "hotdog") == second


def test_ten_comes_after_nine(catalog, commit):
    for number in range(1, 12):
        commit("hotdog", str(number))

    latest = catalog.find("datasets", parse("hotdog"))

    assert latest.number == 11
    assert catalog.numbers("datasets", "hotdog") == list(range(1, 12))


def test_a_writer_that_comes_second_builds_again_on_the_version_of_the_first(catalog, commit):
    seen = []

    def build(parent):
        seen.append(parent and parent.number)
        if len(seen) == 1:
            commit("hotdog", "faster")
        return Note(parent=parent.digest if parent else None, text="slower")

    version, new = catalog.commit("datasets", "hotdog", build)

    assert (version.number, new, seen) == (2, True, [None, 1])
    assert version.read(Note).parent == catalog.find("datasets", parse("hotdog:v1")).digest


def test_names_of_one_kind_are_listed_and_kinds_are_apart(tmp_path, catalog, commit):
    commit("b", "x")
    commit("a", "x")
    (tmp_path / "datasets" / "empty").mkdir()
    (tmp_path / "datasets" / "a file").write_text("")

    listed = {kind: catalog.names(kind) for kind in ("datasets", "models")}

    assert listed == {"datasets": ["a", "b"], "models": []}
    assert catalog.latest("models", "a") is None


def test_a_composed_and_a_decomposed_name_are_one_name(catalog, commit):
    commit(unicodedata.normalize("NFD", "crêpe"), "x")

    found = catalog.find("datasets", parse("crêpe"))

    assert found.name == "crêpe"


def test_a_version_is_found_by_its_digest(catalog, commit):
    commit("a", "one")
    wanted, _ = commit("b", "two")
    commit("b", "three")

    found = catalog.find_digest("datasets", wanted.digest)

    assert found == wanted
    assert catalog.find_digest("datasets", "ab" * 32) is None


def test_of_versions_with_one_digest_a_visible_one_is_found(catalog, commit):
    hidden, _ = commit("a", "the same")
    shown, _ = commit("b", "the same")
    catalog.remove(hidden)

    found = catalog.find_digest("datasets", hidden.digest)

    assert (found, hidden.digest) == (shown, shown.digest)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("hotdgo", "No dataset is named 'hotdgo'.", "Did you mean 'hotdog'?"),
        ("flowers", "No dataset is named 'flowers'.", "See `regraft dataset list`."),
        ("hotdog:v3", "Dataset 'hotdog' has no version 'v3'.", "The latest is v2."),
        ("hotdog:v0", "Dataset 'hotdog' has no version 'v0'.", "The latest is v2."),
        ("hotdog:bets", "Dataset 'hotdog' has no version 'bets'.", "Did you mean 'best'?"),
    ],
)
def test_what_is_not_there_is_named_with_what_is_near(catalog, commit, words, message, hint):
    commit("hotdog", "first")
    commit("hotdog", "second")
    catalog.tag("datasets", parse("hotdog:v1"), "best")

    with pytest.raises(NotFoundError) as caught:
        catalog.find("datasets", parse(words))

    assert (str(caught.value), caught.value.hint, caught.value.exit_code) == (message, hint, 3)


def test_a_tag_names_a_version_and_moves(catalog, commit):
    first, _ = commit("hotdog", "first")
    second, _ = commit("hotdog", "second")
    tagged = [catalog.tag("datasets", parse(words), "best") for words in ("hotdog:v1", "hotdog")]

    found = catalog.find("datasets", parse("hotdog:best"))

    assert tagged == [first, second]
    assert found == second
    assert catalog.tags("datasets", "hotdog") == {"best": 2}


def test_a_tag_can_be_named_by_another_tag(catalog, commit):
    first, _ = commit("hotdog", "first")
    commit("hotdog", "second")
    catalog.tag("datasets", parse("hotdog:v1"), "best")

    catalog.tag("datasets", parse("hotdog:best"), "shipped-2.0")

    assert catalog.find("datasets", parse("hotdog:shipped-2.0")) == first
    assert catalog.tags("datasets", "hotdog") == {"best": 1, "shipped-2.0": 1}


@pytest.mark.parametrize(
    "word", ["latest", "v1", "v03", "", "a b", "../x", ".x", "_x", "-x", "x:y", "x" * 101]
)
def test_a_word_that_no_ref_could_name_is_no_tag(tmp_path, catalog, commit, word):
    commit("hotdog", "first")

    with pytest.raises(InvalidRef) as caught:
        catalog.tag("datasets", parse("hotdog"), word)

    assert str(caught.value) == f"{word!r} cannot be a tag."
    assert caught.value.hint == "A tag is a word; 'latest' and 'v1' are taken."
    assert not (tmp_path / "tags").exists()


def test_a_deleted_tag_names_nothing_and_may_be_given_again(tmp_path, catalog, commit):
    first, _ = commit("hotdog", "first")
    commit("hotdog", "second")
    catalog.tag("datasets", parse("hotdog:v1"), "best")

    gone = catalog.untag("datasets", parse("hotdog"), "best")

    assert gone == first
    assert catalog.tags("datasets", "hotdog") == {}
    with pytest.raises(NotFoundError):
        catalog.find("datasets", parse("hotdog:best"))
    assert catalog.tag("datasets", parse("hotdog:v1"), "best") == first


@pytest.mark.parametrize(
    ("ref", "tag", "hint"),
    [
        ("hotdog", "worst", "The tags of 'hotdog': 'best', 'shipped'."),
        ("hotdog:v2", "best", "The tags of 'hotdog': 'best', 'shipped'."),
        ("bun", "best", "'bun' has no tags."),
    ],
)
def test_a_tag_that_is_not_there_cannot_be_deleted(catalog, commit, ref, tag, hint):
    for name in ("hotdog", "bun"):
        commit(name, "first")
    commit("hotdog", "second")
    for word in ("best", "shipped"):
        catalog.tag("datasets", parse("hotdog:v1"), word)

    with pytest.raises(NotFoundError) as caught:
        catalog.untag("datasets", parse(ref), tag)

    assert (str(caught.value), caught.value.hint) == (f"Dataset {ref!r} has no tag {tag!r}.", hint)
    assert catalog.tags("datasets", "hotdog") == {"best": 1, "shipped": 1}


def test_a_tag_of_what_is_not_there_is_refused(tmp_path, catalog):
    with pytest.raises(NotFoundError) as caught:
        catalog.tag("datasets", parse("hotdog"), "best")

    assert str(caught.value) == "No dataset is named 'hotdog'."
    assert names(tmp_path) == []


def test_a_damaged_tag_is_named_and_heals_as_the_hint_says(tmp_path, catalog, commit):
    first, _ = commit("hotdog", "first")
    catalog.tag("datasets", parse("hotdog"), "best")
    path = tmp_path / "tags" / "datasets" / "hotdog" / "best.json"
    path.write_bytes(b"")

    with pytest.raises(IntegrityError) as caught:
        catalog.find("datasets", parse("hotdog:best"))
    catalog.tag("datasets", parse("hotdog:v1"), "best")

    assert str(caught.value) == "The tag 'tags/datasets/hotdog/best.json' is damaged."
    assert caught.value.hint == "Tag a version again."
    assert catalog.find("datasets", parse("hotdog:best")) == first


def test_nothing_is_built_upon_a_damaged_manifest(tmp_path, catalog, commit):
    commit("hotdog", "first")
    path = tmp_path / "datasets" / "hotdog" / "v1.json"
    durable.swap(path, b"")

    with pytest.raises(IntegrityError) as caught:
        commit("hotdog", "second")

    assert str(caught.value) == "The version file 'datasets/hotdog/v1.json' is damaged."
    assert catalog.numbers("datasets", "hotdog") == [1]


def test_a_draft_that_a_killed_writer_left_is_no_version(tmp_path, catalog, commit):
    commit("hotdog", "first")
    folder = tmp_path / "datasets" / "hotdog"
    (folder / f"{durable.DRAFT}0123456789abcdef").write_text(json.dumps({"parent": None}))

    version, _ = commit("hotdog", "second")

    assert version.number == 2
    assert catalog.numbers("datasets", "hotdog") == [1, 2]


def test_a_name_that_the_disk_cannot_hold_is_refused_in_words(tmp_path, commit):
    commit("hotdog", "first")
    name = "猫" * 100  # 100 letters, 300 bytes

    with pytest.raises(StorageError) as caught:
        commit(name, "first")

    path = tmp_path / "datasets" / name
    assert str(caught.value) == f"{str(path)!r} cannot be read (File name too long)."


def test_a_version_that_was_replaced_is_not_returned(tmp_path, catalog, commit):
    commit("hotdog", "first")
    second, _ = commit("hotdog", "second")
    document = json.loads((tmp_path / "datasets" / "hotdog" / "v1.json").read_bytes())
    forged = canonical({**document, "text": "forged"})
    durable.swap(tmp_path / "datasets" / "hotdog" / "v1.json", forged)

    with pytest.raises(IntegrityError) as caught:
        catalog.find("datasets", parse("hotdog:v1"))

    assert str(caught.value) == "The version file 'datasets/hotdog/v1.json' is damaged."
    assert caught.value.hint == (
        "See `regraft store verify`. Restore it from a copy of the workspace, or use another version."
    )
    assert catalog.find("datasets", parse("hotdog")) == second


def test_a_damaged_version_does_not_hide_the_one_before(tmp_path, catalog, commit):
    first, _ = commit("hotdog", "first")
    commit("hotdog", "second")
    durable.swap(tmp_path / "datasets" / "hotdog" / "v2.json", b"")

    found = catalog.find("datasets", parse("hotdog:v1"))

    assert found == first


def test_a_removed_version_is_hidden_and_its_number_is_not_given_again(catalog, commit):
    first, _ = commit("hotdog", "first")
    second, _ = commit("hotdog", "second")

    catalog.remove(second)
    catalog.remove(second)
    third, _ = commit("hotdog", "third")

    assert (third.number, third.read(Note).parent) == (3, first.digest)
    assert (catalog.numbers("datasets", "hotdog"), catalog.removed("datasets", "hotdog")) == ([1, 3], [2])
    assert catalog.find_digest("datasets", second.digest) == second
    with pytest.raises(NotFoundError) as caught:
        catalog.find("datasets", parse("hotdog:v2"))
    assert (str(caught.value), caught.value.hint) == (
        "Dataset 'hotdog:v2' was removed.",
        "Get it back with: regraft dataset recover hotdog:v2",
    )


def test_a_name_whose_versions_are_all_removed_is_not_listed_and_says_how_to_get_it_back(catalog, commit):
    first, _ = commit("hotdog", "first")
    catalog.remove(first)

    with pytest.raises(NotFoundError) as caught:
        catalog.find("datasets", parse("hotdog"))

    assert catalog.names("datasets") == []
    assert caught.value.hint == "It was removed. Get it back with: regraft dataset recover hotdog:v1"


def test_a_recovered_version_is_as_it_was(catalog, commit):
    first, _ = commit("hotdog", "first")
    catalog.remove(first)

    catalog.recover(first)

    assert catalog.find("datasets", parse("hotdog")) == first
    assert list(catalog.every("datasets")) == [("hotdog", 1, None)]


def test_every_version_is_listed_with_the_time_of_its_removal(tmp_path, catalog, commit):
    first, _ = commit("hotdog", "first")
    commit("hotdog", "second")
    commit("apple", "first")
    catalog.remove(first)

    listed = list(catalog.every("datasets"))

    removed = (tmp_path / "datasets" / "hotdog" / "v1.removed").stat().st_mtime
    assert listed == [("apple", 1, None), ("hotdog", 1, removed), ("hotdog", 2, None)]


def test_a_version_that_a_tag_names_is_not_removed(catalog, commit):
    first, _ = commit("hotdog", "first")
    catalog.tag("datasets", parse("hotdog"), "best")

    with pytest.raises(ConflictError) as caught:
        catalog.remove(first)

    assert (str(caught.value), caught.value.hint) == (
        "The tag 'best' names 'hotdog:v1'.",
        "Delete it first: regraft dataset tag hotdog best --delete",
    )
    assert catalog.numbers("datasets", "hotdog") == [1]


def test_an_adopted_version_keeps_its_digest_and_its_number_where_that_is_free(tmp_path, commit):
    versions = [commit("hotdog", text)[0] for text in ("one", "two", "three")]
    other = Catalog(Folder(tmp_path / "other"))

    taken, _ = other.commit("datasets", "hotdog", lambda parent: Note(parent=None, text="taken"))

    adopted = [other.adopt(version) for version in (versions[1], versions[2], versions[0])]

    assert taken.number == 1
    assert [(version.number, version.digest, new) for version, new in adopted] == [
        (2, versions[1].digest, True),
        (3, versions[2].digest, True),
        (4, versions[0].digest, True),
    ]
    assert other.find("datasets", parse("hotdog:v4")).data == versions[0].data


def test_adopting_again_gives_the_version_that_is_there_and_shows_it(tmp_path, commit):
    version, _ = commit("hotdog", "first")
    other = Catalog(Folder(tmp_path / "other"))
    here, _ = other.adopt(version)
    other.remove(here)

    again = other.adopt(version)

    assert again == (here, False)
    assert other.numbers("datasets", "hotdog") == [1]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b'{"digest": 1}', b'{"digest": "ab", "x": NaN}', b"[" * 100_000]
)
def test_what_is_no_sealed_version_is_not_unsealed(data):
    assert unseal(data) is None


def test_a_sealed_version_is_unsealed_as_it_was(commit):
    version, _ = commit("hotdog", "first")

    plain = unseal(seal(version))

    assert plain == version.data
