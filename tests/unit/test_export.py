"""Pictures written where other programs find them, and what comes back."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from regraft import durable
from regraft.data import ingest, parquet_writer
from regraft.data.assembly import open_rows
from regraft.data.export import export, format_of
from regraft.data.naming import MAX_NAME, safe
from regraft.data.sources.folders import read_folder
from regraft.data.sources.listing import Entry, Listing
from regraft.data.sources.lists import read_jsonl
from regraft.data.sources.parquet import read_parquet
from regraft.data.sources.readers import read
from regraft.data.sources.zips import read_zip
from regraft.errors import ConflictError, IntegrityError, InvalidError, StorageError
from regraft.progress import silent
from regraft.records import DatasetVersion, SplitRule, digest
from regraft.store import zips
from regraft.store.opening import open_store

#: Key, label, split, group, metadata.
PICTURES = [
    ("in/0.png", "cat", "train", "g1", '{"camera":"α","iso":100}'),
    ("in/1.PNG", "cat", "train", "", "{}"),
    ("in/2.png", "großer Hund", "train", "", "{}"),
    ("more/0.png", "cat", "train", "g1", '{"tags":["a",{"b":null}]}'),
    ("in/3", "cat", "test", "", "{}"),
    ("in/4.png", "großer Hund", "val", "", "{}"),
]
LAID_OUT = [
    "train/cat/0.png",
    "train/cat/1.PNG",
    "train/großer Hund/2.png",
    "train/cat/0-{}.png",
    "test/cat/3.png",
    "val/großer Hund/4.png",
]


class Stored:
    """A dataset in a store."""

    def __init__(self, store, pictures):
        entries = [
            Entry(
                key=key, label=label, split=split, group=group, metadata=metadata, read=lambda data=data: data
            )
            for (key, label, split, group, metadata), data in pictures
        ]
        listing = Listing(reader="test", entries=entries)
        version = ingest.add(store, "photos", listing, SplitRule(fractions={}, seed=0), silent).version
        self.store = store
        self.record = version.read(DatasetVersion)
        self.rows = open_rows(store, self.record)

    def export(self, path, **options):
        export(self.store, self.record, options.pop("rows", self.rows), path, progress=silent, **options)
        return path


@pytest.fixture
def make(tmp_path, draw, encoded):
    """Store pictures as a dataset: `make([(key, label, split, group, metadata), ...])`."""

    def build(pictures):
        data = [encoded(draw(number), "PNG") for number in range(len(pictures))]
        return Stored(open_store(tmp_path / "workspace"), list(zip(pictures, data, strict=True)))

    return build


@pytest.fixture
def stored(make):
    return make(PICTURES)


@pytest.fixture
def out(tmp_path):
    """Where exports go."""
    return tmp_path / "out"


def paths(stored):
    return [path.format(row.digest[:8]) for path, row in zip(LAID_OUT, stored.rows, strict=True)]


def pictures(stored):
    return {path: stored.store.packs.read(row) for path, row in zip(paths(stored), stored.rows, strict=True)}


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def listed(stored):
    """Return what the list beside the pictures should say."""
    return [
        {
            "path": path,
            "key": row.key,
            "label": row.label,
            "split": row.split,
            "group": row.group,
            "metadata": json.loads(row.metadata),
        }
        for path, row in zip(paths(stored), stored.rows, strict=True)
    ]


def lines(data):
    return [json.loads(line) for line in data.splitlines()]


def test_a_folder_holds_the_very_bytes_and_a_list(stored, out):
    stored.export(out / "photos", format="folder")

    found = files(out / "photos")
    assert lines(found.pop("rows.jsonl")) == listed(stored)
    assert found == pictures(stored)
    assert [path.name for path in out.iterdir()] == ["photos"]


def test_a_zip_holds_the_same_and_any_tool_reads_it(stored, out):
    path = stored.export(out / "photos.zip")

    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        found = {info.filename: archive.read(info) for info in archive.infolist()}
        kinds = {
            (info.compress_type, info.external_attr >> 16, info.date_time) for info in archive.infolist()
        }
    assert damaged is None
    assert list(found) == [*paths(stored), "rows.jsonl"]
    assert lines(found.pop("rows.jsonl")) == listed(stored)
    assert found == pictures(stored)
    assert kinds == {(zipfile.ZIP_STORED, 0o100644, (1980, 1, 1, 0, 0, 0))}


@pytest.mark.parametrize("name", ["photos.zip", "photos.parquet"])
def test_equal_rows_give_equal_files(stored, out, name):
    first, second = stored.export(out / name), stored.export(out / f"again-{name}")

    assert first.read_bytes() == second.read_bytes()


def test_an_archive_beyond_the_limits_of_the_old_form_is_written_in_the_new_one(stored, out, monkeypatch):
    monkeypatch.setattr(zips, "LARGE", 500)
    monkeypatch.setattr(zips, "MANY", 3)

    path = stored.export(out / "photos.zip")

    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read(paths(stored)[5]) == pictures(stored)[paths(stored)[5]]
    assert b"PK\6\6" in path.read_bytes()
    assert len(read_zip(path).entries) == len(PICTURES)


def test_an_archive_without_pictures_is_one(tmp_path):
    path = tmp_path / "empty.zip"
    path.write_bytes(b"".join(zips.stored([])))

    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == []


def test_a_parquet_file_says_what_its_columns_are_as_hugging_face_says_it(stored, out):
    path = stored.export(out / "photos.parquet")

    table = pq.read_table(path)
    text = {"dtype": "string", "_type": "Value"}
    assert json.loads(table.schema.metadata[b"huggingface"]) == {
        "info": {
            "features": {
                "key": text,
                "image": {"_type": "Image"},
                "label": {"names": ["cat", "großer Hund"], "_type": "ClassLabel"},
                "split": text,
                "group": text,
                "metadata": text,
            }
        }
    }
    assert table.to_pylist() == [
        {
            "key": row.key,
            "image": {"bytes": stored.store.packs.read(row), "path": row.key},
            "label": ["cat", "großer Hund"].index(row.label),
            "split": row.split,
            "group": row.group,
            "metadata": row.metadata,
        }
        for row in stored.rows
    ]


@pytest.mark.parametrize(("limit", "value"), [("MAX_ROWS", 2), ("MAX_BYTES", 300)])
def test_row_groups_are_bounded(stored, out, monkeypatch, limit, value):
    monkeypatch.setattr(parquet_writer, limit, value)
    sizes = [row.length for row in stored.rows]

    file = pq.ParquetFile(stored.export(out / "photos.parquet"))

    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert len(groups) > 1
    assert sum(groups) == len(sizes)
    assert all(count <= 2 for count in groups) if limit == "MAX_ROWS" else max(sizes) < 300


def said(entries):
    return {
        entry.key: (digest(entry.read()), entry.label, entry.split, entry.group, entry.metadata)
        for entry in entries
    }


def stated(stored):
    return {row.key: (row.digest, row.label, row.split, row.group, row.metadata) for row in stored.rows}


def test_the_list_in_a_folder_brings_everything_back(stored, out):
    path = stored.export(out / "photos")

    listing = read_jsonl(path / "rows.jsonl", {}, None)

    assert (said(listing.entries), listing.refused) == (stated(stored), [])


def test_a_parquet_file_brings_everything_back(stored, out):
    path = stored.export(out / "photos.parquet")

    listing = read_parquet(path, {}, None)

    assert (said(listing.entries), listing.refused) == (stated(stored), [])


def test_the_folders_of_an_export_bring_pictures_labels_and_splits_back(stored, out):
    path = stored.export(out / "photos")

    listing = read_folder(path)

    found = {entry.key: (digest(entry.read()), entry.label, entry.split) for entry in listing.entries}
    assert found == {
        path: (row.digest, row.label, row.split) for path, row in zip(paths(stored), stored.rows, strict=True)
    }


def test_a_folder_that_is_as_it_was_exported_brings_everything_back(stored, out):
    path = stored.export(out / "photos")

    listing = read(path)

    assert (said(listing.entries), listing.refused) == (stated(stored), [])


@pytest.mark.parametrize("top", ["", "photos/"])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_of_an_export_brings_everything_back(stored, out, kind, top):
    members = {f"{top}{name}": data for name, data in files(stored.export(out / "photos")).items()}
    path = out / f"packed.{kind}"
    if kind == "zip":
        path.write_bytes(b"".join(zips.stored(members.items())))
    else:
        with tarfile.open(path, "w:gz") as archive:
            for name, data in sorted(members.items()):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))

    listing = read(path)

    assert (said(listing.entries), listing.refused, listing.ignored) == (stated(stored), [], {})
    assert listing.reader == kind[:3]


@pytest.mark.parametrize("change", ["more", "less", "moved", "other list"])
def test_an_archive_that_was_changed_since_says_that_its_list_does_not_fit(stored, out, change):
    members = files(stored.export(out / "photos"))
    if change == "more":
        members["train/cat/new.png"] = members["train/cat/0.png"]
    elif change == "less":
        del members["train/cat/0.png"]
    elif change == "moved":
        members["val/cat/0.png"] = members.pop("train/cat/0.png")
    else:
        members["rows.jsonl"] = b"somebody's own"
    path = out / "photos.zip"
    path.write_bytes(b"".join(zips.stored(members.items())))

    listing = read(path)

    assert {entry.key for entry in listing.entries} == members.keys() - {"rows.jsonl"}
    assert listing.ignored == {"lists (rows.jsonl) that do not fit the files": 1}


@pytest.mark.parametrize("change", ["more", "moved", "other list"])
def test_a_folder_that_was_changed_since_is_read_as_it_is(stored, out, change):
    path = stored.export(out / "photos")
    if change == "more":
        (path / "train" / "cat" / "new.png").write_bytes((path / "train" / "cat" / "0.png").read_bytes())
    elif change == "moved":
        (path / "train" / "cat" / "0.png").rename(path / "val" / "großer Hund" / "0.png")
    else:
        (path / "rows.jsonl").write_text("somebody's own")

    listing = read(path)

    assert listing.ignored == {"lists (rows.jsonl) that do not fit the files": 1}
    there = {name for name in files(path) if name != "rows.jsonl"}
    assert {entry.key for entry in listing.entries} == there
    assert {entry.key: entry.label for entry in listing.entries} == {
        name: name.split("/")[1] for name in there
    }


def test_some_rows_are_exported_alone(stored, out):
    rows = [row for row in stored.rows if row.split == "train"][:2]

    path = stored.export(out / "photos", rows=rows)

    assert sorted(files(path)) == ["rows.jsonl", "train/cat/0.png", "train/cat/1.PNG"]


def test_progress_is_told(stored, out):
    heard = []

    export(
        stored.store,
        stored.record,
        stored.rows,
        out / "photos.zip",
        progress=lambda *words: heard.append(words),
    )

    assert heard == [("Writing pictures", done, 6) for done in range(1, 7)]


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("plain name.jpg", "plain name.jpg"),
        ("猫 Kätzchen.png", "猫 Kätzchen.png"),
        ("Ka\u0308tzchen", "Kätzchen"),
        ("a/b\\c:d", "a_b_c_d"),
        ('<"what?*|">', "__what_____"),
        ("a\tb\n\x7f\x85", "a_b___"),
        ("..", "__"),
        (".", "_"),
        ("", "_"),
        (".hidden", "_.hidden"),
        ("dots...", "dots___"),
        ("space ", "space_"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("com¹", "_com¹"),
        ("console", "console"),
        ("Thumbs.db", "_Thumbs.db"),
        ("__MACOSX", "___MACOSX"),
        ("ä" * 200, "ä" * 127),
        ("x" * 300 + ".jpeg", "x" * 250 + ".jpeg"),
    ],
)
def test_a_name_becomes_one_that_every_disk_keeps(name, changed):
    assert safe(name) == changed
    assert safe(changed) == changed
    assert len(changed.encode()) <= MAX_NAME


def test_labels_that_some_disk_takes_for_one_have_folders_of_their_own(make, out):
    labels = ["cat", "Cat", "a/b", "a_b", "..", "nul", "x" * 300, "x" * 299]
    stored = make([(f"{number}.png", label, "train", "", "{}") for number, label in enumerate(labels)])

    path = stored.export(out / "photos")

    rows = lines((path / "rows.jsonl").read_bytes())
    folders = {row["label"]: Path(row["path"]).parts[1] for row in rows}
    assert list(folders) == labels
    assert (folders["Cat"], folders["a_b"], folders[".."], folders["nul"]) == ("Cat", "a_b", "__", "_nul")
    assert folders["cat"] == f"cat-{digest(b'cat')[:8]}"
    assert folders["a/b"] == f"a_b-{digest(b'a/b')[:8]}"
    assert len({folder.casefold() for folder in folders.values()}) == len(labels)
    assert max(len(folder.encode()) for folder in folders.values()) == MAX_NAME
    assert [Path(path / row["path"]).read_bytes() for row in rows] == [
        stored.store.packs.read(row) for row in stored.rows
    ]


def test_pictures_that_some_disk_takes_for_one_have_names_of_their_own(make, out):
    keys = ["a/one.png", "b/ONE.png", "c/one.PNG", "d/..", "e/con.png", "f/" + "ä" * 300 + ".png"]
    stored = make([(key, "cat", "train", "", "{}") for key in keys])

    path = stored.export(out / "photos.zip")

    marks = [row.digest[:8] for row in stored.rows]
    with zipfile.ZipFile(path) as archive:
        names = [Path(name).name for name in archive.namelist()[:-1]]
    assert names == [
        "one.png",
        f"ONE-{marks[1]}.png",
        f"one-{marks[2]}.PNG",
        "_...png",
        "_con.png",
        "ä" * 125 + ".png",
    ]
    assert len(read_zip(path).entries) == len(keys)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("photos", "folder"),
        ("photos.v2", "folder"),
        ("photos.zip", "zip"),
        ("PHOTOS.ZIP", "zip"),
        ("photos.parquet", "parquet"),
        ("photos.regraft", "bundle"),
    ],
)
def test_the_suffix_says_the_format(name, kind):
    assert format_of(Path(name)) == kind


def test_a_suffix_of_another_kind_of_file_is_refused():
    with pytest.raises(InvalidError) as caught:
        format_of(Path("photos.tar.gz"))

    assert str(caught.value) == "A dataset is not exported as '.gz'."
    assert caught.value.hint == "Give a folder, or a name that ends in .zip, .parquet or .regraft."


def test_an_unknown_format_names_its_neighbour(stored, out):
    with pytest.raises(InvalidError) as caught:
        stored.export(out / "photos", format="parket")

    assert (str(caught.value), caught.value.hint) == (
        "Pictures are not exported as 'parket'.",
        "Did you mean 'parquet'?",
    )


@pytest.mark.parametrize("name", ["photos", "photos.zip", "photos.parquet"])
def test_what_exists_stays_as_it_is(stored, out, name):
    out.mkdir()
    path = out / name
    path.write_bytes(b"mine")

    with pytest.raises(ConflictError) as caught:
        stored.export(path)

    assert str(caught.value) == f"{str(path)!r} exists already."
    assert files(out) == {name: b"mine"}


@pytest.mark.parametrize("name", ["photos.zip", "photos.parquet"])
def test_a_file_is_replaced_where_that_is_asked(stored, out, name):
    out.mkdir()
    path = out / name
    path.write_bytes(b"old")

    stored.export(path, replace=True)

    assert path.read_bytes() == stored.export(out / f"new-{name}").read_bytes()


@pytest.mark.parametrize("kind", ["folder", "zip", "parquet"])
def test_a_folder_is_never_replaced(stored, out, kind):
    (out / "photos").mkdir(parents=True)
    (out / "photos" / "mine.txt").write_bytes(b"mine")

    with pytest.raises(ConflictError) as caught:
        stored.export(out / "photos", format=kind, replace=True)

    assert caught.value.hint == "A folder is never replaced, nor a file by a folder: choose another name."
    assert files(out) == {"photos/mine.txt": b"mine"}


@pytest.mark.parametrize("name", ["photos", "photos.zip", "photos.parquet"])
def test_a_damaged_picture_leaves_nothing_behind(stored, out, name):
    out.mkdir()
    (pack,) = [path for path in (stored.store.root / "packs").rglob("*") if path.is_file()]
    pack.chmod(0o644)
    pack.write_bytes(pack.read_bytes()[:-1] + b"!")

    with pytest.raises(IntegrityError, match=r"^Picture 'in/4.png' is damaged in "):
        stored.export(out / name)

    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "point"),
    [
        ("photos", "export.write=ENOSPC@3"),
        ("photos", "export.publish=EIO"),
        ("photos.zip", "export.flush=ENOSPC"),
    ],
)
def test_a_full_disk_leaves_nothing_behind(stored, out, monkeypatch, name, point):
    out.mkdir()
    monkeypatch.setattr(durable, "_passages", durable.Counter())
    monkeypatch.setenv("REGRAFT_FAILPOINTS", point)

    with pytest.raises(StorageError):
        stored.export(out / name)

    assert list(out.iterdir()) == []


def test_a_folder_that_appeared_meanwhile_stays(tmp_path):
    def export_late():
        with durable.tree(tmp_path / "out") as tree:
            tree.put("a/b.txt", b"one", b"two")
            (tmp_path / "out").mkdir()

    with pytest.raises(ConflictError) as caught:
        export_late()

    assert str(caught.value) == f"{str(tmp_path / 'out')!r} exists already."
    assert files(tmp_path) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
