"""What only an object storage can do: lose an answer, refuse, or not be what it says it is."""

import json
import socket
import sys
import time
from pathlib import Path

import pytest

import regraft
from regraft.errors import (
    ConflictError,
    IntegrityError,
    InvalidError,
    InvalidRecord,
    MissingExtraError,
    NotAllowedError,
    StorageError,
    UnknownOutcomeError,
)
from regraft.records import Record
from regraft.store.catalog import Catalog
from regraft.store.objects import Objects
from regraft.store.opening import open_store

CREDENTIALS = "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what the bucket allows them."
ADDRESSES = "Write s3://BUCKET/PREFIX."


class Rows(Record):
    """Rows that are appended to."""

    parent: str | None
    rows: tuple[str, ...]


def said(caught):
    return type(caught.value), str(caught.value), caught.value.hint


@pytest.mark.parametrize("name", ["v1.unsaid", "v1.cut"])
def test_a_write_whose_answer_is_lost_has_succeeded(make_bucket, name):
    storage = Objects(make_bucket())

    storage.put(name, b"mine", point="x")

    assert storage.read(name) == b"mine"
    with pytest.raises(ConflictError):
        storage.put(name, b"mine", point="x")


@pytest.mark.parametrize("name", ["v1.unsaid", "v1.cut"])
def test_a_swap_whose_answer_is_lost_has_succeeded(make_bucket, name):
    storage = Objects(make_bucket())

    storage.swap(name, b"mine", point="x")

    assert storage.read(name) == b"mine"


def test_an_append_is_done_once_although_its_answer_is_lost(make_bucket):
    catalog = Catalog(Objects(make_bucket()))

    def append(parent):
        assert parent is None  # it would take its own version for another's, and append to it
        return Rows(parent=None, rows=("new",))

    version, new = catalog.commit("datasets", "hotdog.unsaid", append)

    assert (version.number, new, version.read(Rows).rows) == (1, True, ("new",))
    assert catalog.history("datasets", "hotdog.unsaid") == [version]


def test_a_write_that_nobody_can_tell_of_is_unknown(make_bucket):
    storage = Objects(make_bucket())

    caught = []
    for write in (storage.put, storage.swap):
        with pytest.raises(UnknownOutcomeError) as error:
            write("v1.dark", b"mine", point="x")
        caught.append(said(error))

    expected = (
        UnknownOutcomeError,
        f"'{storage.url}/v1.dark' may be written or not: the storage's answer was lost.",
        "Check the connection, and whether the new version is listed, before you try again.",
    )
    assert caught == [expected, expected]


@pytest.mark.parametrize("bucket", ["careless", "forgetful"])
def test_a_storage_that_passes_over_conditions_or_metadata_is_refused(make_bucket, bucket):
    url = f"{make_bucket(bucket)}/workspace"

    with pytest.raises(StorageError) as caught:
        regraft.open(url)

    assert said(caught) == (
        StorageError,
        f"The storage at {url!r} keeps no versions safe: two may write one name.",
        "Use a storage that knows conditional writes (If-None-Match), or a folder.",
    )
    assert list(Objects(f"s3://{bucket}").list("")) == []


def test_a_bucket_that_is_not_there_is_named(cloud):
    storage = Objects("s3://nothing/prefix")
    acts = [
        lambda: regraft.open("s3://nothing/prefix"),
        lambda: storage.put("a", b"", point="x"),
        lambda: storage.swap("a", b"", point="x"),
        lambda: storage.read("a"),
        lambda: list(storage.list("a")),
    ]

    caught = []
    for act in acts:
        with pytest.raises(StorageError) as error:
            act()
        caught.append(said(error))

    expected = (
        StorageError,
        "There is no bucket for 's3://nothing/prefix'.",
        "Make it, or check AWS_ENDPOINT_URL and AWS_REGION.",
    )
    assert caught == [expected] * len(acts)


def test_a_bucket_of_somebody_else_is_not_allowed(cloud):
    storage = Objects("s3://private/prefix")
    acts = [
        lambda: regraft.open("s3://private/prefix"),
        lambda: storage.put("a", b"", point="x"),
        lambda: storage.swap("a", b"", point="x"),
        lambda: storage.read("a"),
    ]

    caught = []
    for act in acts:
        with pytest.raises(NotAllowedError) as error:
            act()
        caught.append(said(error))

    words = "'s3://private/prefix' may not be used with these credentials (AccessDenied)."
    assert caught == [(NotAllowedError, words, CREDENTIALS)] * len(acts)


def test_a_bucket_of_another_region_is_named(cloud):
    with pytest.raises(StorageError) as caught:
        regraft.open("s3://elsewhere/prefix")

    assert said(caught) == (
        StorageError,
        "The bucket of 's3://elsewhere/prefix' is in another region.",
        "Set AWS_REGION to its region.",
    )


def test_who_has_no_credentials_is_told_how_to_give_them(cloud, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"{cloud}/nothing")

    with pytest.raises(NotAllowedError) as caught:
        regraft.open("s3://bucket/prefix")

    assert said(caught) == (
        NotAllowedError,
        "There are no credentials for 's3://bucket/prefix'.",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    )


def test_a_storage_that_cannot_be_reached_is_named_within_seconds(cloud, monkeypatch):
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        place = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", place)
        began = time.monotonic()

        with pytest.raises(StorageError) as caught:
            regraft.open("s3://bucket/prefix")

    assert time.monotonic() - began < 10
    assert said(caught) == (
        StorageError,
        f"The storage at {place!r} cannot be reached (Connection refused).",
        "Check the connection, AWS_ENDPOINT_URL and AWS_REGION.",
    )


@pytest.mark.parametrize(
    "place", ["http://192.0.2.1:9000", "http://storage.example", "http://127.0.0.1.example"]
)
def test_nothing_travels_unencrypted_to_another_machine(cloud, monkeypatch, place):
    monkeypatch.setenv("AWS_ENDPOINT_URL", place)

    with pytest.raises(NotAllowedError) as caught:
        regraft.open("s3://bucket/prefix")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")

    assert said(caught) == (
        NotAllowedError,
        f"The storage at {place!r} is not encrypted.",
        "Use https, or set AWS_ALLOW_HTTP=true where the network is your own.",
    )
    assert Objects("s3://bucket/prefix").url == "s3://bucket/prefix"


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///prefix",
        "s3://b u",
        "s3://bucket//prefix",
        "s3://bucket/../x",
        "s3://bucket/x/.",
        "s3://b?x=1",
    ],
)
def test_what_is_no_address_is_refused(cloud, url):
    with pytest.raises(InvalidError) as caught:
        regraft.open(url)

    assert said(caught) == (InvalidError, f"{url!r} is not the address of a bucket.", ADDRESSES)
    assert caught.value.where == url


@pytest.mark.parametrize("url", ["gs://bucket/prefix", "https://host/bucket", Path("s3://bucket/prefix")])
def test_a_storage_that_is_not_known_makes_no_folder(tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidError) as caught:
        regraft.open(url)

    assert said(caught) == (
        InvalidError,
        f"Regraft has no storage for {str(url)!r}.",
        'Give a folder, or "s3://BUCKET/PREFIX" as text.',
    )
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_line_that_installs_it_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    monkeypatch.delitem(sys.modules, "regraft.store.objects")
    monkeypatch.delitem(sys.modules, "regraft.store.bucket")

    with pytest.raises(MissingExtraError) as caught:
        regraft.open("s3://bucket/prefix")

    assert said(caught) == (
        MissingExtraError,
        "A workspace at 's3://bucket/prefix' needs the 's3' extra.",
        "pip install 'regraft[s3]'",
    )
    assert caught.value.exit_code == 1


def test_a_new_store_is_a_marker_below_the_prefix(make_bucket, tmp_path):
    url = f"{make_bucket()}/team/pictures"

    store = open_store(f"{url}/")
    again = open_store(url)

    assert (store.address, again.address) == (url, url)
    assert [found.name for found in Objects(url).list("")] == ["store.json"]
    assert Objects(url).read("store.json") == b'{\n  "format": 1\n}\n'
    assert store.root == again.root
    assert store.root.parent == tmp_path / "caches" / "regraft"


def test_two_stores_of_one_bucket_know_nothing_of_each_other(make_bucket):
    bucket = make_bucket()
    one, other = open_store(f"{bucket}/a"), open_store(f"{bucket}/ab")

    one.blobs.put(b"bytes")

    assert list(other.storage.list("blobs")) == []
    assert one.root != other.root


def test_a_prefix_that_is_used_by_others_is_left_alone(make_bucket):
    bucket = make_bucket()
    Objects(bucket).put("somebody/else.txt", b"mine", point="x")

    with pytest.raises(ConflictError) as caught:
        regraft.open(f"{bucket}/somebody")

    assert said(caught) == (
        ConflictError,
        f"'{bucket}/somebody' is no workspace, and it is not empty.",
        "Give a workspace, or a prefix that is not used yet.",
    )
    assert [found.name for found in Objects(bucket).list("")] == ["somebody/else.txt"]


def test_a_damaged_marker_and_one_of_a_later_format_are_named(make_bucket):
    url = make_bucket()
    caught = []

    for marker in (b"{", json.dumps({"format": 2}).encode()):
        Objects(url).swap("store.json", marker, point="x")
        with pytest.raises((IntegrityError, InvalidRecord)) as error:
            regraft.open(url)
        caught.append(said(error))

    assert caught == [
        (
            IntegrityError,
            f"The store's marker '{url}/store.json' is damaged.",
            'If the store was made by this version of Regraft, write {"format": 1} into it.',
        ),
        (
            InvalidRecord,
            f"The store {url!r} has format 2; this version of Regraft reads format 1.",
            "Update Regraft, or choose another store with --workspace.",
        ),
    ]
