"""Readers: which files of a folder are pictures of which class and split."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from regraft.data import pictures
from regraft.data.sources import readers
from regraft.data.sources.listing import natural
from regraft.errors import InvalidError, InvalidPicture, NotAllowedError, NotFoundError
from regraft.records import Refused


def test_folders_are_classes_and_their_files_wait_for_a_split(make_folder):
    root = make_folder({"dog": 1, "cat": 2})

    listing = readers.read_folder(root)

    assert listed(listing) == [("cat/0.png", "cat", ""), ("cat/1.png", "cat", ""), ("dog/0.png", "dog", "")]
    assert (listing.reader, listing.refused, listing.ignored) == ("folder", [], {})


def test_an_entry_reads_the_bytes_of_its_file(make_folder):
    root = make_folder({"cat": 2})

    listing = readers.read_folder(root)

    assert [entry.read() for entry in listing.entries] == [
        (root / "cat" / "0.png").read_bytes(),
        (root / "cat" / "1.png").read_bytes(),
    ]


def test_train_val_and_test_above_the_classes_are_splits(make_folder):
    root = make_folder({"train/cat": 1, "train/dog": 1, "val/cat": 1, "test/dog": 1})

    listing = readers.read_folder(root)

    assert listed(listing) == [
        ("test/dog/0.png", "dog", "test"),
        ("train/cat/0.png", "cat", "train"),
        ("train/dog/0.png", "dog", "train"),
        ("val/cat/0.png", "cat", "val"),
    ]


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("Training", "valid", "testing"), ("TRAIN", "Validation", "Test"), ("training", "VAL", "TESTING")],
)
def test_splits_go_by_several_names_in_any_case(make_folder, train, val, test):
    root = make_folder({f"{train}/cat": 1, f"{val}/cat": 1, f"{test}/cat": 1})

    listing = readers.read_folder(root)

    assert sorted(listed(listing)) == sorted(
        [
            (f"{train}/cat/0.png", "cat", "train"),
            (f"{val}/cat/0.png", "cat", "val"),
            (f"{test}/cat/0.png", "cat", "test"),
        ]
    )


def test_where_all_is_train_nothing_is_held_out_yet(make_folder):
    root = make_folder({"train/cat": 1, "Training/dog": 1})

    listing = readers.read_folder(root)

    assert listed(listing) == [("Training/dog/0.png", "dog", ""), ("train/cat/0.png", "cat", "")]


def test_classes_may_be_called_test_and_train(make_folder):
    root = make_folder({"test": 1, "train": 1})

    listing = readers.read_folder(root)

    assert listed(listing) == [("test/0.png", "test", ""), ("train/0.png", "train", "")]


def test_a_class_called_train_among_others_is_a_class(make_folder):
    root = make_folder({"bus": 1, "train": 1})

    listing = readers.read_folder(root)

    assert listed(listing) == [
        ("bus/0.png", "bus", ""),
        ("train/0.png", "train", ""),
    ]


def test_folders_inside_a_class_folder_belong_to_the_class(make_folder):
    root = make_folder({"cat/2023/may": 1, "cat": 1})
    nested = make_folder({"train/cat/2023": 1, "test/cat": 1}, name="nested")

    assert listed(readers.read_folder(root)) == [("cat/0.png", "cat", ""), ("cat/2023/may/0.png", "cat", "")]
    assert listed(readers.read_folder(nested)) == [
        ("test/cat/0.png", "cat", "test"),
        ("train/cat/2023/0.png", "cat", "train"),
    ]


@pytest.mark.parametrize("top", ["photos", "wrap/photos"])
@pytest.mark.parametrize(
    ("counts", "labels"),
    [
        ({"glass": 1, "metal": 1}, {("glass/0.png", "glass", ""), ("metal/0.png", "metal", "")}),
        (
            {"train/glass": 1, "test/glass": 1},
            {("train/glass/0.png", "glass", "train"), ("test/glass/0.png", "glass", "test")},
        ),
    ],
)
def test_a_folder_around_the_classes_or_the_splits_is_passed_through(make_folder, counts, labels, top):
    root = make_folder({f"{top}/{name}": count for name, count in counts.items()}, name="outer")
    (root / "README.txt").write_text("about")

    listing = readers.read(root)

    assert set(listed(listing)) == labels
    assert listing.refused == [Refused(key="README.txt", reason="not inside a class folder")]


@pytest.mark.parametrize(
    "counts", [{"cat": 2}, {"cat/2023/may": 2}, {"cat/2022": 1, "cat/2023": 1, "cat": 1}]
)
def test_the_pictures_of_one_class_stay_that_class(make_folder, counts):
    root = make_folder(counts)

    listing = readers.read(root)

    assert {entry.label for entry in listing.entries} == {"cat"}


@pytest.mark.parametrize(
    ("folder", "place", "row", "hint"),
    [
        ("flat", "flat/labels.csv", "0.png", "flat/labels.csv"),
        ("flat", "labels.csv", "flat/0.png", "labels.csv"),
        ("flat", "labels.csv", "0.png", "labels.csv --root {}/flat"),
        ("flat/images", "flat/labels.csv", "images/0.png", "flat/labels.csv"),
        ("flat/images", "flat/labels.csv", "0.png", "flat/labels.csv --root {}/flat/images"),
    ],
)
def test_a_list_beside_or_above_pictures_without_classes_is_named(
    make_folder, tmp_path, folder, place, row, hint
):
    make_folder({folder: 2}, name=".")
    (tmp_path / place).write_text(f"path,label\n{row},cat\n")

    with pytest.raises(InvalidError) as caught:
        readers.read(tmp_path / folder)

    name = f"{str(tmp_path / folder)!r}"
    assert (
        str(caught.value) == f"The pictures of {name} are not in class folders, but in the list 'labels.csv'."
    )
    assert caught.value.hint == f"Add the list: regraft dataset add NAME {tmp_path}/{hint.format(tmp_path)}"


def test_a_list_of_pictures_in_one_folder_below_is_named(make_folder):
    root = make_folder({"images": 2})
    (root / "labels.tsv").write_text("path\tlabel\nimages/0.png\tcat\nimages/1.png\tdog\n")

    with pytest.raises(InvalidError) as caught:
        readers.read(root)

    assert caught.value.hint == f"Add the list: regraft dataset add NAME {root}/labels.tsv"


def test_a_table_that_names_no_pictures_is_no_list(make_folder):
    root = make_folder({"cat": 1})
    (root / "notes.csv").write_text("path,label\nelsewhere.png,cat\nnowhere.png,dog\n")

    listing = readers.read(root)

    assert listed(listing) == [("cat/0.png", "cat", "")]
    assert listing.refused == [Refused(key="notes.csv", reason="not inside a class folder")]


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("minst", "Did you mean 'mnist'? It may be a folder of class folders, or a named set: digits, "),
        (
            "fashion_mnist",
            "Did you mean 'fashion-mnist'? It may be a folder of class folders, or a named set: ",
        ),
        (
            "imagenet",
            "Give the folder that holds one folder for each class, or a named set: digits, planted, ",
        ),
    ],
)
def test_a_word_that_is_no_folder_may_have_meant_a_set(tmp_path, monkeypatch, name, start):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(NotFoundError) as caught:
        readers.read(Path(name))

    assert str(caught.value) == f"There is no folder {name!r}."
    assert caught.value.hint.startswith(start)


def test_a_file_outside_every_class_folder_is_refused(make_folder):
    root = make_folder({"cat": 1, ".": 1})
    nested = make_folder({"train/cat": 1, "train": 1, "test/cat": 1, ".": 1}, name="nested")

    reason = "not inside a class folder"

    assert readers.read_folder(root).refused == [Refused(key="0.png", reason=reason)]
    assert readers.read_folder(nested).refused == [
        Refused(key="0.png", reason=reason),
        Refused(key="train/0.png", reason=reason),
    ]


def test_junk_is_passed_over_and_counted(make_folder):
    root = make_folder(
        {"cat": 1, "cat/.thumbnails": 3, ".git/objects": 2, "__MACOSX/cat": 2, "cat/@eaDir": 1}
    )
    for name in (".DS_Store", "cat/.DS_Store", "cat/._0.png", "cat/Thumbs.db", "desktop.ini", "cat/Icon\r"):
        (root / name).write_bytes(b"junk")

    listing = readers.read_folder(root)

    assert listed(listing) == [("cat/0.png", "cat", "")]
    assert listing.refused == []
    assert listing.ignored == {"hidden files": 5, "system files": 5}


def test_a_link_to_a_file_of_the_folder_is_read_and_others_are_passed_over(make_folder, tmp_path):
    root = make_folder({"cat": 1, "dog": 0, "empty": 0})
    elsewhere = make_folder({"cat": 1}, name="elsewhere")
    (root / "dog" / "near.png").symlink_to("../cat/0.png")
    (root / "dog" / "far.png").symlink_to(elsewhere / "cat" / "0.png")
    (root / "dog" / "broken.png").symlink_to("nowhere.png")
    (root / "dog" / "loop.png").symlink_to("loop.png")
    (root / "dog" / "folder").symlink_to(elsewhere, target_is_directory=True)
    (root / "circle").symlink_to(root, target_is_directory=True)

    listing = readers.read_folder(root)

    assert listed(listing) == [("cat/0.png", "cat", ""), ("dog/near.png", "dog", "")]
    assert listing.ignored == {"links that leave the folder": 1, "broken links": 2, "links to folders": 2}


def test_a_folder_may_itself_be_reached_through_a_link(make_folder, tmp_path):
    root = make_folder({"cat": 1, "dog": 0})
    (root / "dog" / "near.png").symlink_to("../cat/0.png")
    (tmp_path / "link").symlink_to(root, target_is_directory=True)

    listing = readers.read_folder(tmp_path / "link")

    assert listed(listing) == [("cat/0.png", "cat", ""), ("dog/near.png", "dog", "")]
    assert listing.ignored == {}


def test_pipes_and_sockets_are_passed_over_and_never_waited_for(make_folder):
    root = make_folder({"cat": 1})
    os.mkfifo(root / "cat" / "pipe.png")
    (root / "cat" / "link.png").symlink_to("pipe.png")

    listing = readers.read_folder(root)

    assert listed(listing) == [("cat/0.png", "cat", "")]
    assert listing.ignored == {"special files": 2}


def test_names_are_kept_in_composed_unicode(make_folder):
    root = make_folder({unicodedata.normalize("NFD", "Äpfel"): 1})

    listing = readers.read_folder(root)

    assert listed(listing) == [(unicodedata.normalize("NFC", "Äpfel/0.png"), "Äpfel", "")]
    assert listing.entries[0].read()


def test_the_order_of_the_listing_does_not_depend_on_how_a_disk_writes_names(make_folder):
    names = ["Zebra", "Äpfel", "apple", "Ö", "été"]
    composed = make_folder({unicodedata.normalize("NFC", name): 1 for name in names})
    decomposed = make_folder(
        {unicodedata.normalize("NFD", name): 1 for name in reversed(names)}, name="other"
    )

    listings = [readers.read_folder(root) for root in (composed, decomposed)]

    assert listed(listings[0]) == listed(listings[1])


def test_a_name_that_is_not_utf8_is_kept_with_its_bytes_escaped(make_folder):
    root = make_folder({"cat": 1})
    (root / "cat" / "0.png").rename(root / "cat" / os.fsdecode(b"caf\xe9.png"))

    listing = readers.read_folder(root)

    assert listed(listing) == [("cat/caf\\xe9.png", "cat", "")]
    assert listing.entries[0].read()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["10", "9", "1"], ["1", "9", "10"]),
        (["img12", "img2", "IMG1"], ["IMG1", "img2", "img12"]),
        (["b", "a10b2", "a10b1", "a9", "10", "2"], ["2", "10", "a9", "a10b1", "a10b2", "b"]),
        (["", "x", "٣", "2"], ["", "2", "٣", "x"]),
    ],
)
def test_numbers_in_labels_sort_as_numbers(texts, expected):
    assert sorted(texts, key=natural) == expected


def test_a_missing_folder_names_its_neighbour(make_folder, tmp_path):
    make_folder({"cat": 1})

    with pytest.raises(NotFoundError) as caught:
        readers.read_folder(tmp_path / "photo")

    assert str(caught.value) == f"There is no folder {str(tmp_path / 'photo')!r}."
    assert caught.value.hint == "Did you mean 'photos'?"


def test_a_missing_folder_without_a_neighbour_says_what_is_wanted(tmp_path):
    with pytest.raises(NotFoundError) as caught:
        readers.read_folder(tmp_path / "nowhere" / "at" / "all")

    assert caught.value.hint == "Give the folder that holds one folder for each class."


def test_a_file_in_place_of_a_folder_is_refused(make_folder):
    path = make_folder({"cat": 1}) / "cat" / "0.png"

    with pytest.raises(InvalidError) as caught:
        readers.read_folder(path)

    assert str(caught.value) == f"{str(path)!r} is a file, not a folder."
    assert caught.value.hint == "Give the folder that holds one folder for each class."
    assert caught.value.where == str(path)


@pytest.mark.parametrize("counts", [{}, {"cat": 0}, {".": 3}])
def test_a_folder_without_pictures_in_class_folders_is_refused(make_folder, counts):
    root = make_folder(counts)

    with pytest.raises(InvalidError) as caught:
        readers.read_folder(root)

    assert str(caught.value) == f"The folder {str(root)!r} has no pictures in class folders."
    assert caught.value.hint == (
        "Make a folder for each class and put its pictures there: photos/cat/1.jpg, photos/dog/2.jpg."
    )
    assert caught.value.where == str(root)


def test_a_folder_of_nothing_but_links_says_why_it_has_no_pictures(make_folder):
    root = make_folder({"cat": 0, ".hidden": 1})
    elsewhere = make_folder({"cat": 2}, name="elsewhere")
    for path in (elsewhere / "cat").iterdir():
        (root / "cat" / path.name).symlink_to(path)

    with pytest.raises(InvalidError) as caught:
        readers.read_folder(root)

    assert str(caught.value) == (
        f"The folder {str(root)!r} has no pictures in class folders "
        "(passed over: 1 hidden files, 2 links that leave the folder)."
    )


def test_a_folder_that_may_not_be_read_is_refused(make_folder, monkeypatch):
    root = make_folder({"cat": 1})
    monkeypatch.setattr(os, "access", lambda path, mode: False)

    with pytest.raises(InvalidError) as caught:
        readers.read_folder(root)

    assert str(caught.value) == f"The folder {str(root)!r} cannot be read."
    assert caught.value.hint == "Check its permissions."


def test_a_class_folder_that_may_not_be_read_is_counted(make_folder, monkeypatch):
    root = make_folder({"cat": 1, "dog": 1})
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)

    listing = readers.read_folder(root)

    assert listed(listing) == [("cat/0.png", "cat", "")]
    assert listing.ignored == {"unreadable folders": 1}


def test_a_file_that_vanishes_after_the_listing_is_refused_when_it_is_read(make_folder):
    root = make_folder({"cat": 1})
    listing = readers.read_folder(root)
    (root / "cat" / "0.png").unlink()

    with pytest.raises(InvalidPicture) as caught:
        listing.entries[0].read()

    assert str(caught.value) == "vanished while it was read."


def test_the_pictures_of_a_folder_are_found_without_junk_and_in_order(make_folder):
    root = make_folder({"b": 1, "a/deep": 1, ".": 1, ".hidden": 1})

    found = readers.find_pictures(root)

    assert found == [root / "0.png", root / "a/deep/0.png", root / "b/0.png"]


def test_digits_are_1797_small_pictures_of_ten_classes():
    listing = readers.read_digits()

    sizes = {pictures.check(entry.read()) for entry in listing.entries[:50]}
    counts = np.unique([entry.label for entry in listing.entries], return_counts=True)
    assert sizes == {(8, 8)}
    assert (listing.reader, len({entry.key for entry in listing.entries})) == ("digits", 1797)
    assert counts[0].tolist() == [str(digit) for digit in range(10)]
    assert counts[1].tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def listed(listing):
    return [(entry.key, entry.label, entry.split) for entry in listing.entries]


@pytest.mark.parametrize(
    ("counts", "odd"),
    [
        ({"train/cat": 1, "train/dog": 1, "test/cat": 1, "unlabeled": 2}, "unlabeled"),
        ({"train/cat": 1, "test/cat": 1, "more/cat": 1}, "more"),
        ({"train/cat": 1, "train/dog": 1, "unlabeled": 2}, "unlabeled"),
        ({"test/cat": 1, "cat": 1}, "cat"),
        ({"bus": 1, "train": 1, "train/steam": 1, "zoo": 1}, "bus"),
    ],
)
def test_a_folder_beside_a_split_is_refused_by_name(make_folder, counts, odd):
    folder = make_folder(counts)

    with pytest.raises(InvalidError) as caught:
        readers.read_folder(folder)

    assert str(caught.value) == f"The folder {odd!r} stands beside the splits of {str(folder)!r}."
    assert caught.value.hint == "Move it out of the way, or call it train, val or test."
    assert caught.value.where == odd


def test_labels_that_differ_by_a_leading_nought_alone_have_one_order():
    assert sorted({"c01", "c1", "c001"}, key=natural) == ["c001", "c01", "c1"]


def test_a_name_is_kept_as_composed_text():
    names = [unicodedata.normalize("NFD", "Äpfel"), os.fsdecode(b"caf\xe9")]

    assert [readers.text(name) for name in names] == ["Äpfel", "caf\\xe9"]


def test_a_tilde_stands_for_a_home_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    expanded = [
        readers.expand(words) for words in ("~/photos", Path("~/photos"), "~nosuchuser/photos", "a~b")
    ]

    assert expanded == [tmp_path / "photos", tmp_path / "photos", Path("~nosuchuser/photos"), Path("a~b")]


def test_a_path_exists_or_does_not_whatever_its_words_are(tmp_path):
    file = tmp_path / "file"
    file.write_text("")

    found = [readers.exists(path) for path in (tmp_path, file, tmp_path / "no", file / "below")]
    odd = [readers.exists(Path(words)) for words in ("x" * 300, "x/" * 5000, "a\0b")]

    assert (found, odd) == ([True, True, False, False], [False, False, False])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_what_lies_below_a_folder_that_may_not_be_entered_is_not_allowed(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)

    with pytest.raises(NotAllowedError) as caught:
        readers.exists(closed / "photos")

    closed.chmod(0o700)
    assert str(caught.value) == f"{str(closed / 'photos')!r} cannot be read (Permission denied)."
