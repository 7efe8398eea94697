"""What is stored: the canonical form, and what is not read."""

import math

import pytest
from pydantic import ValidationError

from regraft.errors import InvalidRecord
from regraft.records import (
    DatasetVersion,
    InputSpec,
    Label,
    Prediction,
    Segment,
    SplitRule,
    Version,
    canonical,
    decode,
    digest,
    encode,
)

SPEC = InputSpec(size=224, crop=0.875, mean=(0.5, 0.25, 0.125), std=(1, 1, 1), interpolation="bicubic")
SPEC_ON_DISK = """\
{
  "crop": 0.875,
  "interpolation": "bicubic",
  "mean": [
    0.5,
    0.25,
    0.125
  ],
  "resize": "crop",
  "size": 224,
  "std": [
    1.0,
    1.0,
    1.0
  ]
}
"""


def dataset(**changes):
    values = {
        "parent": None,
        "labels": ("chien", "crêpe"),
        "splits": {"test": {"chien": 1}, "train": {"chien": 2, "crêpe": 3}},
        "split_rule": SplitRule(fractions={"train": 0.8, "test": 0.2}, seed=0),
        "count": 6,
        "segments": (Segment(digest="ab" * 32, count=6),),
        "packs": ("cd" * 32,),
        "size": 1234,
        "refused": None,
        "refused_count": 0,
    }
    return DatasetVersion(**{**values, **changes})


def test_a_document_has_one_form_on_disk():
    document = {"b": [1, 2.5, None, True], "a": {"ü": "猫", "empty": {}}}

    data = canonical(document)

    assert data.decode() == (
        '{\n  "a": {\n    "empty": {},\n    "ü": "猫"\n  },\n'
        '  "b": [\n    1,\n    2.5,\n    null,\n    true\n  ]\n}\n'
    )
    assert canonical(dict(reversed(document.items()))) == data


def test_a_record_is_written_byte_for_byte_and_read_back():
    data = encode(SPEC)

    again = decode(InputSpec, data, where="spec")

    assert data.decode() == SPEC_ON_DISK
    assert again == SPEC


def test_the_digest_of_a_record_never_changes():
    record = dataset()

    name = digest(encode(record))

    assert name == "17ed9961302e15e99acf1cec535157852fdb65236c21f41a86f263df712320cf"


def test_equal_records_made_in_another_order_have_one_digest():
    record = dataset(splits={"test": {"chien": 1}, "train": {"chien": 2, "crêpe": 3}})

    other = dataset(splits={"train": {"crêpe": 3, "chien": 2}, "test": {"chien": 1}})

    assert digest(encode(other)) == digest(encode(record))


@pytest.mark.parametrize(
    ("data", "reason", "place"),
    [
        (SPEC_ON_DISK.replace("{", '{"colour": 1,', 1), "Extra inputs are not permitted", "colour"),
        (SPEC_ON_DISK.replace('"size": 224,', ""), "Field required", "size"),
        (
            SPEC_ON_DISK.replace("0.25", '"much"'),
            "Input should be a valid number, unable to parse string as a number",
            "mean.1",
        ),
        (
            SPEC_ON_DISK.replace("bicubic", "magic"),
            "Input should be 'bilinear' or 'bicubic'",
            "interpolation",
        ),
    ],
    ids=["unknown key", "missing key", "wrong type", "wrong value"],
)
def test_a_document_of_another_shape_is_refused_with_its_place(data, reason, place):
    with pytest.raises(InvalidRecord) as caught:
        decode(InputSpec, data.encode(), where="models/x/v1.json")

    assert str(caught.value) == f"models/x/v1.json cannot be read: {reason} at {place!r}."
    assert caught.value.hint == "It was written by another version of Regraft, or changed by hand."
    assert caught.value.where == place


def test_half_a_document_is_refused():
    half = SPEC_ON_DISK[:40].encode()

    with pytest.raises(InvalidRecord) as caught:
        decode(InputSpec, half, where="models/x/v1.json")

    assert str(caught.value).startswith("models/x/v1.json cannot be read: Invalid JSON: ")


def test_a_number_that_is_none_is_not_stored():
    with pytest.raises(ValidationError, match="finite number"):
        Label(label="cat", probability=math.nan)

    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"loss": math.inf})


def test_a_record_cannot_be_changed():
    record = dataset()

    with pytest.raises(ValidationError, match="frozen"):
        record.count = 7

    assert record == dataset()


def test_the_splits_are_counted_in_their_order():
    record = dataset()

    sizes = record.split_sizes()

    assert list(sizes.items()) == [("train", 5), ("test", 1)]


def test_a_version_is_written_as_a_ref_and_reads_its_manifest():
    data = encode(dataset())

    version = Version(kind="datasets", name="photos", number=3, digest=digest(data), data=data)

    assert str(version) == "photos:v3"
    assert version.read(DatasetVersion) == dataset()


def test_the_manifest_of_a_version_is_named_where_it_cannot_be_read():
    version = Version(kind="datasets", name="photos", number=3, digest="", data=encode(SPEC))

    with pytest.raises(InvalidRecord) as caught:
        version.read(DatasetVersion)

    assert str(caught.value) == "datasets/photos/v3.json cannot be read: Field required at 'parent'."


def test_a_prediction_names_the_likeliest_label_or_none():
    cat, dog = Label(label="cat", probability=0.75), Label(label="dog", probability=0.25)

    seen = Prediction(picture="a.jpg", top=(cat, dog))
    unseen = Prediction(picture="b.jpg", top=(), error="truncated")

    assert (seen.label, seen.probability) == ("cat", 0.75)
    assert (unseen.label, unseen.probability) == (None, None)
