"""Picture bytes end to end in packs."""

import os
from hashlib import sha256

import pytest

from regraft.errors import IntegrityError, StorageError
from regraft.records import Row
from regraft.store import packs
from regraft.store.packs import Packs, PackWriter, Place

PICTURES = [bytes([number]) * 40 for number in range(5)]
HEAL = "Delete the pack if it is damaged, then add the same pictures again: it is made anew."


def sha(*chunks):
    return sha256(b"".join(chunks)).hexdigest()


def store(root, pictures):
    writer = PackWriter(Packs(root))
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
    read = [Packs(tmp_path).read(row(places[sha(data)], data)) for data in PICTURES]
    assert read == PICTURES


def test_a_picture_larger_than_a_pack_has_a_pack_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "PACK_SIZE", 50)
    large = bytes(range(200))

    places = store(tmp_path, [PICTURES[0], large, PICTURES[1]])

    assert [place.pack for place in places.values()] == [sha(PICTURES[0]), sha(large), sha(PICTURES[1])]
    assert Packs(tmp_path).read(row(places[sha(large)], large)) == large


def test_no_pictures_make_no_pack(tmp_path):
    places = store(tmp_path, [])

    assert places == {}
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_byte_is_found_and_the_picture_and_the_file_are_named(tmp_path):
    places = store(tmp_path, PICTURES)
    path = Packs(tmp_path).files.path(sha(*PICTURES))
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(45)
        file.write(b"!")

    with pytest.raises(IntegrityError) as caught:
        Packs(tmp_path).read(row(places[sha(PICTURES[1])], PICTURES[1], "dog/7.jpg"))

    assert (str(caught.value), caught.value.hint) == (
        f"Picture 'dog/7.jpg' is damaged in {str(path)!r}.",
        HEAL,
    )
    assert Packs(tmp_path).read(row(places[sha(PICTURES[0])], PICTURES[0])) == PICTURES[0]


def test_a_pack_that_was_cut_short_is_damaged(tmp_path):
    places = store(tmp_path, PICTURES)
    path = Packs(tmp_path).files.path(sha(*PICTURES))
    path.chmod(0o644)
    os.truncate(path, 190)

    with pytest.raises(IntegrityError, match=r"^Picture 'cat/1.jpg' is damaged in "):
        Packs(tmp_path).read(row(places[sha(PICTURES[4])], PICTURES[4]))


def test_a_missing_pack_is_named_with_the_picture(tmp_path):
    place = Place(pack="ab" * 32, offset=0, length=40)

    with pytest.raises(IntegrityError) as caught:
        Packs(tmp_path).read(row(place, PICTURES[0]))

    path = tmp_path / "ab" / ("ab" * 31)
    assert (str(caught.value), caught.value.hint) == (
        f"The pack {str(path)!r} of picture 'cat/1.jpg' is missing.",
        HEAL,
    )


def test_a_pack_that_cannot_be_read_says_why(tmp_path):
    path = tmp_path / "ab" / ("ab" * 31)
    path.mkdir(parents=True)

    with pytest.raises(StorageError) as caught:
        Packs(tmp_path).read(row(Place(pack="ab" * 32, offset=0, length=40), PICTURES[0]))

    assert str(caught.value) == f"{str(path)!r} cannot be read (Is a directory)."
