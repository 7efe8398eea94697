"""Many thousands of damaged pictures, archives, lists, tables and bundles, and what they may not do."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import struct
import tarfile
import zipfile
import zlib
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pytest
from PIL import ExifTags, Image
from tests.contract import fuzz
from tests.contract.mutants import mutate
from tests.contract.test_hostile_sources import idx, parquet, pickled, tarred, zip_of
from tests.contract.test_messy import originals

import regraft
from regraft.data import facts, pictures, transforms
from regraft.data.sources import readers
from regraft.data.sources.readers import Source
from regraft.errors import InvalidPicture, RegraftError
from regraft.records import InputSpec, canonical
from regraft.store import bundle
from regraft.store.opening import open_store
from regraft.store.zips import stored

#: Times as many at night.
TIMES = 10 if os.environ.get("REGRAFT_NIGHTLY") else 1
PICTURES = 100_000 * TIMES
SOURCES = 17_000 * TIMES
BUNDLES = 3_000 * TIMES

#: What stands in files that no source may show.
SECRET = b"secret"

SPEC = InputSpec(size=32, crop=0.875, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bicubic")


@pytest.fixture
def tiny(draw, encoded):
    """Small pictures of every format and kind, some with much EXIF."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "A camera"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (1.0, 2.0, 3.0)
    photo, grey = draw(6, (12, 9)), draw(7, (12, 9), "L")
    deep = Image.fromarray(np.arange(108, dtype=np.uint16).reshape(9, 12) * 600)
    return [
        *originals(draw, encoded),
        *(encoded(photo, kind, exif=exif) for kind in ("JPEG", "PNG", "WEBP", "TIFF")),
        encoded(deep, "PNG"),
        encoded(deep, "TIFF"),
        encoded(grey.convert("1"), "PNG"),
        encoded(grey, "BMP"),
        encoded(photo, "GIF"),
        encoded(photo, "JPEG", subsampling=0, quality=100, restart_marker_blocks=1),
        encoded(photo, "TIFF", compression="packbits"),
        encoded(photo, "PNG", icc_profile=b"none at all"),
    ]


def test_no_damaged_picture_does_anything_but_be_read_or_refused(tiny):
    def look(number):
        chance = random.Random(number)
        data = mutate(tiny[number % len(tiny)], chance, tiny)
        if number % 3 == 0:
            data = with_right_checksums(data)
        functions = [pictures.check, facts.measure]
        if number % 4 == 0:
            functions.append(lambda data: transforms.prepare(data, SPEC))
        answers = set()
        for function in functions if number % 2 == 0 else functions[1:]:
            try:
                function(data)
                answers.add("read")
            except InvalidPicture as error:
                answers.add("refused" if str(error).endswith(".") else f"no sentence: {error}")
        (answer,) = answers
        return answer

    with pictures.quiet():
        outcome = fuzz.survey(look, range(PICTURES))

    assert (outcome.deaths, outcome.escaped) == ({}, {})
    assert outcome.words.keys() == {"read", "refused"}
    assert outcome.words.total() == PICTURES
    assert min(outcome.words["read"], outcome.words["refused"]) > PICTURES / 10
    assert outcome.slowest < fuzz.PATIENCE


@pytest.fixture
def sources(draw, encoded):
    """Sources of each kind: the name of the file that is damaged, its bytes, and the files beside it."""
    files = {
        f"photos/{split}/{label}/{number}.png": encoded(draw(number, (6, 4)), "PNG")
        for split, label, number in [("train", "cat", 0), ("train", "dog", 1), ("test", "cat", 2)]
    }
    tar, beside = tarred(files), {"x y.png": files["photos/train/cat/0.png"], "z.png": b""}
    lists = {
        "a.csv": b'path,label,split,note\n"x y.png",cat,train,"x ""y"""\nz.png,dog,test,\r\n',
        "b.csv": b"path;cat;dog\nx y.png;1;0\nz.png;0;1\n",
        "c.csv": b"path,label\n../../secret.png,cat\n/etc/passwd,dog\nx y.png,owl\n",
        "a.tsv": b"path\tlabel\tgroup\nx y.png\tcat\tg\nz.png\tdog\t\n",
        "a.jsonl": b'{"path":"x y.png","label":1,"a":{"b":[1.5]}}\n{"path":"z.png","label":2.0}\n',
        "a.json": b'[{"path":"x y.png","label":"a"},{"path":"z.png","label":"b","split":"val"}]',
    }
    return [
        ("a.zip", zip_of(files, zipfile.ZIP_STORED), {}),
        ("a.zip", zip_of(files), {}),
        ("a.zip", zip_of(files, zipfile.ZIP_BZIP2), {}),
        ("a.zip", hostile_zip(files), {}),
        ("a.tar", tar, {}),
        ("a.tar", tarred(files, tarfile.GNU_FORMAT, long=True), {}),
        ("a.tar", tarred(files, tarfile.PAX_FORMAT, long=True), {}),
        ("a.tar", hostile_tar(files), {}),
        ("a.tar.gz", gzip.compress(tar), {}),
        ("a.tar.zst", pa.Codec("zstd").compress(tar, asbytes=True), {}),
        *((name, data, beside) for name, data in lists.items()),
        ("a.parquet", parquet(list(files.values())), {}),
        (
            "train-images-idx3-ubyte",
            idx(np.arange(60, dtype=np.uint8).reshape(5, 3, 4)),
            {"train-labels-idx1-ubyte": idx(np.arange(5, dtype=np.uint8))},
        ),
        (
            "train-labels-idx1-ubyte",
            idx(np.arange(5, dtype=np.uint8)),
            {"train-images-idx3-ubyte": idx(np.arange(60, dtype=np.uint8).reshape(5, 3, 4))},
        ),
        (
            "data_batch_1.bin",
            bytes([2]) + bytes(range(256)) * 12 + bytes(3073),
            {"test_batch.bin": bytes(3073)},
        ),
        ("data_batch_1", pickled([3, 5], ["a.png", "b.png"]), {"test_batch": pickled([9], ["c.png"])}),
    ]


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A tree around the folder in which everything happens, of which nothing may change; return its state."""
    for name in ("evil.png", "home/evil.png", "work/evil.png", "work/deep/note.txt", "secret.png"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(SECRET)
    monkeypatch.setenv("HOME", str(tmp_path / "tree" / "home"))
    monkeypatch.chdir(tmp_path / "tree" / "work" / "deep")

    def state():
        return {
            str(path): path.read_bytes() if path.is_file() else None
            for path in (tmp_path / "tree").rglob("*")
        }

    return state


def test_no_damaged_source_does_anything_but_be_read_or_refused(tmp_path, sources, canary):
    everything = [data for _, data, _ in sources]
    before = canary()

    def place(number):
        _, kind = divmod(number, len(sources))
        return tmp_path / "mutants" / str(os.getpid()) / str(kind)

    def prepare(number):
        turn, kind = divmod(number, len(sources))
        name, good, beside = sources[kind]
        packed = good.startswith(b"\x1f\x8b") and turn % 2
        data = mutate(gzip.decompress(good) if packed else good, random.Random(number), everything)
        folder = place(number)
        if not folder.exists():
            folder.mkdir(parents=True)
            for other, content in beside.items():
                (folder / other).write_bytes(content)
        (folder / name).write_bytes(gzip.compress(data, 1) if packed else data)

    def look(number):
        name, _, _ = sources[number % len(sources)]
        source = place(number) / name if name.startswith(("a.", "b.", "c.")) else place(number)
        return read_in_full(source, number)

    outcome = fuzz.survey(look, range(SOURCES), prepare=prepare)

    assert (outcome.deaths, outcome.escaped) == ({}, {})
    assert canary() == before
    assert outcome.words.total() == SOURCES
    assert min(outcome.words[word] for word in ("read", "read in part", "refused")) > SOURCES / 50
    assert outcome.slowest < fuzz.PATIENCE


def test_no_damaged_bundle_does_anything_but_be_read_or_refused(tmp_path, draw, canary):
    workspace = regraft.open(tmp_path / "source")
    with workspace.datasets.build("photos") as rows:
        for number in range(4):
            rows.append(draw(number, (6, 4)), label="cat" if number % 2 else "dog")
        rows.append(b"Buy more film.", label="cat")
    with workspace.datasets.edit("photos") as edit:
        edit.relabel(next(iter(workspace.datasets.get("photos"))), "owl")
    good = workspace.datasets.export("photos", tmp_path / "good.regraft").read_bytes()
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    store = open_store(tmp_path / "target")
    before = canary()

    def prepare(number):
        chance = random.Random(number)
        data = mutate(good, chance) if number % 3 == 0 else damaged_inside(members, chance)
        (tmp_path / f"{os.getpid()}.regraft").write_bytes(data)

    def look(number):
        try:
            bundle.read_bundle(store, tmp_path / f"{os.getpid()}.regraft")
        except RegraftError:
            return "refused"
        return "read"

    outcome = fuzz.survey(look, range(BUNDLES), prepare=prepare, writes_below=str(tmp_path / "target"))

    assert (outcome.deaths, outcome.escaped) == ({}, {})
    assert canary() == before
    assert outcome.words["refused"] > BUNDLES / 2
    assert outcome.slowest < fuzz.PATIENCE
    assert regraft.open(tmp_path / "target").store.verify(deep=True).faults == ()


def read_in_full(source, number):
    """Read a source and all its pictures, and say what came of it."""
    asked = Source(reader=("csv", "jsonl", "parquet", "zip", "tar")[number % 5]) if number % 50 == 0 else None
    try:
        listing = readers.read(source, asked)
    except RegraftError:
        return "refused"
    damaged = bool(listing.refused)
    for entry in listing.entries:
        json.dumps([entry.key, entry.label, entry.split, entry.group, json.loads(entry.metadata)]).encode()
        assert entry.split in ("", "train", "val", "test")
        assert entry.label
        try:
            assert entry.read() != SECRET
        except InvalidPicture:
            damaged = True
    return "read in part" if damaged else "read"


def with_right_checksums(data):
    """Put the checksums of a PNG right, so that what lies behind them is reached."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    whole, at = bytearray(data), 8
    while at + 12 <= len(whole):
        (length,) = struct.unpack_from(">I", whole, at)
        end = at + 8 + length
        if end + 4 > len(whole):
            break
        struct.pack_into(">I", whole, end, zlib.crc32(whole[at + 4 : end]))
        at = end + 4
    return bytes(whole)


def damaged_inside(members, chance):
    """Return a bundle whose members are damaged, with the digests that say so, or with other names."""
    files = dict(members)
    name = chance.choice(sorted(files))
    files[name] = mutate(files[name], chance)
    if name.startswith("blobs") and chance.random() < 0.7:
        files = renamed(files, name)
    if chance.random() < 0.1:
        files[
            chance.choice(["../evil.png", "/evil.png", "blobs/../../evil", "store.json", "runs/x/run.json"])
        ] = b"evil"
    return b"".join(stored(files.items()))


def renamed(files, name):
    """Return files of a bundle in which one has the digest of what it holds, and the version says so too."""
    old, new = "".join(name.split("/")[1:]), sha256(files[name]).hexdigest()
    result = {key: data for key, data in files.items() if key != name}
    result[f"blobs/{new[:2]}/{new[2:]}"] = files[name]
    index = json.loads(files["bundle.json"])
    for packed in index["versions"]:
        path = f"{packed['kind']}/{packed['name']}/v{packed['number']}.json"
        document = json.loads(files[path].replace(old.encode(), new.encode()))
        document.pop("digest")
        packed["digest"] = sha256(canonical(document)).hexdigest()
        result[path] = canonical({**document, "digest": packed["digest"]})
    result["bundle.json"] = canonical(index)
    return result


def hostile_zip(files):
    """Return a zip whose members want to be elsewhere, or links, or each other."""
    buffer = io.BytesIO(zip_of(files))
    with zipfile.ZipFile(buffer, "a") as archive:
        for name in ("../../evil.png", "/evil.png", "a/../../evil.png", "..\\evil.png", "C:\\evil.png"):
            archive.writestr(name, b"evil")
        link = zipfile.ZipInfo("photos/train/cat/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "../../../secret.png")
    return buffer.getvalue()


def hostile_tar(files):
    """Return a tar with members that want to be elsewhere, links, pipes and devices."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("../../evil.png", "/evil.png", "train/cat/../../../evil.png", *files):
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"evil"))
        kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE)
        for number, kind in enumerate(kinds):
            info = tarfile.TarInfo(f"photos/train/cat/{number}.png")
            info.type, info.linkname = kind, "../../../../secret.png"
            archive.addfile(info)
    return buffer.getvalue()
