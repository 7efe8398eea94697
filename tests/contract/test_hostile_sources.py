"""Sources that are damaged, or made to do harm: nothing but RegraftError comes out of them."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

MUTANTS = Path(__file__).with_name("mutants.py")


@pytest.fixture
def cases(tmp_path, draw, encoded):
    """A small good source of every kind, each in a folder of its own."""
    files = {
        f"photos/{split}/{label}/{number}.png": encoded(draw(number, (6, 4)), "PNG")
        for split, label, number in [("train", "cat", 0), ("train", "dog", 1), ("test", "cat", 2)]
    }
    tar = tarred(files)
    zipped = {
        "stored": zipfile.ZIP_STORED,
        "deflated": zipfile.ZIP_DEFLATED,
        "bzip2": zipfile.ZIP_BZIP2,
    }
    sources = {
        **{f"zip-{name}/a.zip": zip_of(files, method) for name, method in zipped.items()},
        "tar/a.tar": tar,
        "tar-gnu/a.tar": tarred(files, tarfile.GNU_FORMAT, long=True),
        "tar-pax/a.tar": tarred(files, tarfile.PAX_FORMAT, long=True),
        "tar-gz/a.tar.gz": gzip.compress(tar),
        "tar-bz2/a.tar.bz2": bz2.compress(tar),
        "tar-xz/a.tar.xz": lzma.compress(tar),
        "tar-zst/a.tar.zst": pa.Codec("zstd").compress(tar, asbytes=True),
        "csv/a.csv": b'path,label,split,note\n"x y.png",cat,train,"x ""y"""\nz.png,dog,test,\r\n',
        "classes/a.csv": b"path;cat;dog\nx y.png;1;0\nz.png;0;1\n",
        "jsonl/a.jsonl": b'{"path":"x y.png","label":1,"a":{"b":[1.5]}}\n{"path":"z.png","label":2.0}\n',
        **{f"{kind}/{name}.png": b"" for kind in ("csv", "classes", "jsonl") for name in ("x y", "z")},
        "parquet/a.parquet": parquet(list(files.values())),
        "idx/train-images-idx3-ubyte": idx(np.arange(60, dtype=np.uint8).reshape(5, 3, 4)),
        "idx/train-labels-idx1-ubyte": idx(np.arange(5, dtype=np.uint8)),
        "idx/t10k-images-idx3-ubyte.gz": gzip.compress(idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))),
        "idx/t10k-labels-idx1-ubyte.gz": gzip.compress(idx(np.arange(2, dtype=np.uint8))),
        "cifar/data_batch_1.bin": bytes([2]) + bytes(range(256)) * 12 + bytes(3073),
        "cifar/test_batch.bin": bytes([9]) + bytes(3072),
        "cifar-python/data_batch_1": pickled([3, 5], ["a.png", "b.png"]),
        "cifar-python/test_batch": pickled([9], ["c.png"]),
    }
    for name, data in sources.items():
        path = tmp_path / "cases" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "cases"


def test_damaged_sources_are_read_or_refused_and_never_kill_the_process(cases, tmp_path):
    child = subprocess.run(
        [sys.executable, "-W", "error", MUTANTS, cases, "250", tmp_path / "scratch"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert (child.returncode, child.stderr) == (0, "")
    outcome = json.loads(child.stdout)
    assert outcome["escaped"] == []
    assert outcome["slowest"] < 5
    assert len(outcome["outcomes"]) == len(list(cases.iterdir()))
    assert {case: sum(found.values()) for case, found in outcome["outcomes"].items() if len(found) < 2} == {}


def zip_of(files, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(files, form=tarfile.PAX_FORMAT, *, long=False):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name.replace(".png", "-" * 120 + "ä.png") if long else name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def parquet(pictures):
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    table = pa.table(
        {
            "image": [{"bytes": data, "path": f"{number}.png"} for number, data in enumerate(pictures)],
            "label": [0, 1, 0],
            "split": ["train", "train", "test"],
            "note": ["x", None, "ä"],
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=2)
    return sink.getvalue().to_pybytes()


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
    return head + array.tobytes()


def pickled(labels, names):
    """Return a batch as Python 2 pickled it, opcode by opcode."""
    data = bytes(3072 * len(labels))

    def word(text):
        return b"U" + bytes([len(text)]) + text.encode()

    array = [
        b"cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85" + word("b"),
        b"\x87Rq\x05(K\x01K" + bytes([len(labels)]) + b"M\x00\x0c\x86cnumpy\ndtype\nq\x06" + word("u1"),
        b"K\x00K\x01\x87R(K\x03" + word("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T",
        struct.pack("<i", len(data)) + data + b"tb",
    ]
    return b"".join(
        [
            b"\x80\x02}q\x01(",
            word("labels") + b"]q\x02(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e",
            word("data") + b"".join(array),
            word("filenames") + b"](" + b"".join(map(word, names)) + b"e",
            b"u.",
        ]
    )
