"""Picture bytes end to end in packs."""

import os
from hashlib import sha256
from itertools import islice

import pytest

from regraft.errors import IntegrityError, StorageError
from regraft.records import Row
from regraft.store import packs
from regraft.store.packs import Packs, PackWriter, Place
from regraft.store.storage import Folder

PICTURES = [bytes([number]) * 40 for number in range(5)]
HEAL = "Delete the pack if it is damaged, then add the same pictures again: it is made anew."


def sha(*chunks):
    return sha256(b"".join(chunks)).hexdigest()


def store(root, pictures):
    writer = PackWriter(Packs(Folder(root)))
    for data in pictures:
        writer.add(sha(data), data)
    return writer.finish()


def row(place, data, key="cat/1.jpg"):
    return Row(
        key=key,
        digest=sha(data),
        pack=place.pack,
        offset=place.offset,
        length=place.length,
        label="cat",
        split="train",
        width=1,
        height=1,
    )


def test_pictures_fill_packs_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "PACK_SIZE", 100)

    places = store(tmp_path, PICTURES)

    first, second, third = sha(*PICTURES[:2]), sha(*PICTURES[2:4]), sha(PICTURES[4])
    assert list(places.items()) == [
        (sha(PICTURES[0]), Place(pack=first, offset=0, length=40)),
        (sha(PICTURES[1]), Place(pack=first, offset=40, length=40)),
        (sha(PICTURES[2]), Place(pack=second, offset=0, length=40)),
        (sha(PICTURES[3]), Place(pack=second, offset=40, length=40)),
        (sha(PICTURES[4]), Place(pack=third, offset=0, length=40)),
    ]
    read = [Packs(Folder(tmp_path)).read(row(places[sha(data)], data)) for data in PICTURES]
    assert read == PICTURES


def test_a_picture_larger_than_a_pack_has_a_pack_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "PACK_SIZE", 50)
    large = bytes(range(200))

    places = store(tmp_path, [PICTURES[0], large, PICTURES[1]])

    assert [place.pack for place in places.values()] == [sha(PICTURES[0]), sha(large), sha(PICTURES[1])]
    assert Packs(Folder(tmp_path)).read(row(places[sha(large)], large)) == large


def test_no_pictures_make_no_pack(tmp_path):
    places = store(tmp_path, [])

    assert places == {}
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_byte_is_found_and_the_picture_and_the_file_are_named(tmp_path):
    places = store(tmp_path, PICTURES)
    name = Packs(Folder(tmp_path)).files.name(sha(*PICTURES))
    path = tmp_path / name
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(45)
        file.write(b"!")

    with pytest.raises(IntegrityError) as caught:
        Packs(Folder(tmp_path)).read(row(places[sha(PICTURES[1])], PICTURES[1], "dog/7.jpg"))

    assert (str(caught.value), caught.value.hint) == (
        f"Picture 'dog/7.jpg' is damaged in {name!r}.",
        HEAL,
    )
    assert Packs(Folder(tmp_path)).read(row(places[sha(PICTURES[0])], PICTURES[0])) == PICTURES[0]


def test_a_pack_that_was_cut_short_is_damaged(tmp_path):
    places = store(tmp_path, PICTURES)
    path = tmp_path / Packs(Folder(tmp_path)).files.name(sha(*PICTURES))
    path.chmod(0o644)
    os.truncate(path, 190)

    with pytest.raises(IntegrityError, match=r"^Picture 'cat/1.jpg' is damaged in "):
        Packs(Folder(tmp_path)).read(row(places[sha(PICTURES[4])], PICTURES[4]))


def test_a_missing_pack_is_named_with_the_picture(tmp_path):
    place = Place(pack="ab" * 32, offset=0, length=40)

    with pytest.raises(IntegrityError) as caught:
        Packs(Folder(tmp_path)).read(row(place, PICTURES[0]))

    assert (str(caught.value), caught.value.hint) == (
        f"The pack 'packs/ab/{'ab' * 31}' of picture 'cat/1.jpg' is missing.",
        HEAL,
    )


def test_a_pack_that_cannot_be_read_says_why(tmp_path):
    path = tmp_path / "packs" / "ab" / ("ab" * 31)
    path.mkdir(parents=True)

    with pytest.raises(StorageError) as caught:
        Packs(Folder(tmp_path)).read(row(Place(pack="ab" * 32, offset=0, length=40), PICTURES[0]))

    assert str(caught.value) == f"{str(path)!r} cannot be read (Is a directory)."


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 0, 2, 1, 3], [0, 3], [2, 2, 1], [3], []])
@pytest.mark.parametrize(("at_once", "gap"), [(2**20, 2**16), (90, 50), (1, 0)])
def test_many_pictures_come_in_the_order_that_is_asked_for(tmp_path, monkeypatch, order, at_once, gap):
    monkeypatch.setattr(packs, "PACK_SIZE", 130)
    monkeypatch.setattr(packs, "_READ", at_once)
    monkeypatch.setattr(packs, "_GAP", gap)
    places = store(tmp_path, PICTURES)
    rows = [row(places[sha(PICTURES[number])], PICTURES[number]) for number in order]

    read = list(Packs(Folder(tmp_path)).read_all(rows))

    assert read == [(one, PICTURES[number]) for one, number in zip(rows, order, strict=True)]


@pytest.mark.parametrize("length", [130, 0])
def test_of_many_pictures_those_before_the_damage_are_read(tmp_path, length):
    places = store(tmp_path, PICTURES)
    rows = [row(places[sha(data)], data, f"cat/{number}.jpg") for number, data in enumerate(PICTURES)]
    name = Packs(Folder(tmp_path)).files.name(sha(*PICTURES))
    (tmp_path / name).chmod(0o644)
    os.truncate(tmp_path / name, length)
    reading = Packs(Folder(tmp_path)).read_all(rows)

    read = [data for _, data in islice(reading, length // 40)]

    assert read == PICTURES[: length // 40]
    with pytest.raises(IntegrityError) as caught:
        next(reading)
    assert str(caught.value) == f"Picture 'cat/{length // 40}.jpg' is damaged in {name!r}."


def test_of_many_pictures_the_first_of_a_missing_pack_is_named(tmp_path):
    gone = row(Place(pack="ab" * 32, offset=0, length=40), PICTURES[1], "dog/1.jpg")
    places = store(tmp_path, PICTURES[:1])
    reading = Packs(Folder(tmp_path)).read_all([row(places[sha(PICTURES[0])], PICTURES[0]), gone])

    first = next(reading)

    assert first[1] == PICTURES[0]
    with pytest.raises(IntegrityError) as caught:
        next(reading)
    assert str(caught.value) == f"The pack 'packs/ab/{'ab' * 31}' of picture 'dog/1.jpg' is missing."
