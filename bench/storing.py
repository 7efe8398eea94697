"""Benchmarks of datasets: bring pictures in, read them one by one and all, append, and the memory of it."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from PIL import Image

from measuring import ROUNDS, child, forget, ratios, report, say, timed
from pictures import draw, small, tiny, variants, write

SIZES = (1_000, 10_000, 100_000)


def ingest(scratch: Path, data: Path) -> None:
    """Add folders of pictures, against decoding each with Pillow and copying its bytes."""
    large = sorted(draw(scratch / "large", 1000).rglob("*.jpg"))
    compare_ingest("1,000 JPEG files of 500 x 375", scratch / "large", large)
    files = write(scratch / "small", (small(index) for index in range(2000)))
    compare_ingest("2,000 JPEG files of 8.9 KB", scratch / "small", files)


def header(scratch: Path, data: Path) -> None:
    """Add a folder with a look at headers and digests alone, against the same by hand."""
    files = write(scratch / "files", variants(10_000))
    say("goal 5,000 a second of CPU")
    compare_ingest("10,000 JPEG files of 8.9 KB, headers alone", scratch / "files", files, decode=False)


def compare_ingest(title: str, folder: Path, files: Sequence[Path], *, decode: bool = True) -> None:
    """Measure both arms on some files, and print pictures a second of CPU and of wall time."""
    import regraft

    def plain(target: Path) -> None:
        target.mkdir()
        for file in files:
            body = file.read_bytes()
            with Image.open(file) as image:
                if decode:
                    image.load()
            (target / sha256(body).hexdigest()).write_bytes(body)

    ours, theirs = [], []
    for turn in range(ROUNDS):
        name = f"{folder.name}-{decode}-{turn}"
        theirs.append(timed(lambda name=name: plain(folder.parent / f"copy-{name}"))[1])
        workspace = regraft.open(folder.parent / f"store-{name}")
        ours.append(timed(lambda w=workspace: w.datasets.add("drawn", folder, decode=decode))[1])
    say(f"ingest of {title}")
    for name, seconds in (("regraft", ours), ("plain", theirs)):
        cpu, wall = (len(files) / statistics.median(each[i] for each in seconds) for i in (0, 1))
        report(name, seconds, f"{cpu:,.0f} pictures a second of CPU, {wall:,.0f} of wall")
    cpu, wall = ratios(theirs, ours)
    say(f"  {cpu:5.1f}x CPU, {wall:5.1f}x wall")


def access(scratch: Path, data: Path) -> None:
    """Read pictures at random, verified, against loose files; datasets of three sizes, cold and warm."""
    import regraft

    files = write(scratch / "loose", variants(10_000))
    order = [random.Random(0).randrange(len(files)) for _ in range(2000)]
    loose = [timed(lambda: [files[i].read_bytes() for i in order])[1] for _ in range(ROUNDS)]
    say("random access, 8.9 KB, the digest checked (goal 1 ms); loose files unchecked")
    report("loose", loose, f"{statistics.median(w for _, w in loose) / len(order) * 1e6:.0f} us a picture")
    for size in SIZES:
        folder = scratch / f"store-{size}"
        workspace = regraft.open(folder)
        fill(workspace, size, variants(size))
        packs = [path for path in (folder / "packs").rglob("*") if path.is_file()]
        places = [random.Random(1).randrange(size) for _ in range(2000)]
        keys = [name(index) for index in places]
        for words, wanted in (("position", places), ("key", keys)):
            first, cold, warm = [], [], []
            for _ in range(ROUNDS):
                forget(packs)
                dataset = workspace.datasets.get("bench")
                first.append(timed(lambda d=dataset, w=wanted: d.read(d[w[0]]))[1])
                cold.append(timed(lambda d=dataset, w=wanted: [d.read(d[i]) for i in w])[1])
                warm.append(timed(lambda d=dataset, w=wanted: [d.read(d[i]) for i in w])[1])
            once = statistics.median(w for _, w in first) * 1e3
            each = [statistics.median(w for _, w in part) / len(places) * 1e6 for part in (cold, warm)]
            say(
                f"  {size:7,} by {words:8} {each[0]:6.0f} us cold {each[1]:6.0f} us warm, "
                f"the very first {once:.1f} ms"
            )


def passes(scratch: Path, data: Path) -> None:
    """Read all pictures in order, against one file of the same size, read in pieces of 1 MiB."""
    import regraft

    for title, count, bodies in (
        ("8.9 KB", 50_000, variants(50_000)),
        ("500 x 375", 4_000, repeated(draw(scratch / "drawn", 100), 4_000)),
    ):
        folder = scratch / title.replace(" ", "")
        workspace = regraft.open(folder)
        fill(workspace, count, bodies)
        dataset = workspace.datasets.get("bench")
        packs = sorted(path for path in (folder / "packs").rglob("*") if path.is_file())
        single = folder.with_suffix(".bin")
        with single.open("wb") as file:
            for pack in packs:
                file.write(pack.read_bytes())
        arms: dict[str, Callable[[], object]] = {
            "file": lambda f=single: read_file(f),
            "hashed": lambda f=single: read_file(f, hashed=True),
            "regraft": lambda d=dataset: sum(len(body) for _, body in d.read_all()),
            "one by one": lambda d=dataset: sum(len(d.read(row)) for row in d),
            "unverified": lambda d=dataset: sum(len(body) for body in unverified(d)),
        }
        say(f"a full pass, {count:,} pictures of {title}, {single.stat().st_size / 1e6:,.0f} MB (goal 0.9x)")
        for state in ("cold", "warm"):
            times = {arm: [] for arm in arms}
            for _ in range(ROUNDS):
                for arm, work in arms.items():
                    if state == "cold":
                        forget([*packs, single])
                    times[arm].append(timed(work)[1])
            for arm, seconds in times.items():
                (_, wall), (_, hashed) = ratios(times["file"], seconds), ratios(times["hashed"], seconds)
                words = f"{wall:.2f}x wall of the file, {hashed:.2f}x of the file hashed"
                report(f"{state} {arm}", seconds, words)


def append(scratch: Path, data: Path) -> None:
    """Append 100 pictures to datasets of three sizes, with everything that is checked by default."""
    import regraft

    say("append of 100 rows of 8.9 KB (goal: as fast to a large dataset as to a small one)")
    for size in SIZES:
        workspace = regraft.open(scratch / f"store-{size}")
        before = size + 50  # so that the last table is not full
        made = timed(lambda w=workspace, n=before: fill(w, n, map(tiny, range(n)), decode=True))[1]
        seconds = []
        for turn in range(ROUNDS + 1):
            bodies = [small(before + 100 * turn + index) for index in range(100)]
            seconds.append(timed(lambda w=workspace, b=bodies: more(w, b))[1])
        report(
            f"to {before:,}", seconds[1:], f"the first {seconds[0][1]:.3f} s wall; making it {made[1]:.1f} s"
        )


def memory(scratch: Path, data: Path) -> None:
    """Add 100,000 pictures in a process of its own, and look at the most memory that it takes."""
    code = """
import json, sys
from pathlib import Path
import regraft
import measuring, pictures, storing
from regraft.recipe import DataSection, Recipe
kind, scratch = sys.argv[1], Path(sys.argv[2])
workspace = regraft.open(scratch / f"store-{kind}")
if kind == "nothing":
    import regraft.workspace.datasets, pyarrow.parquet, PIL.JpegImagePlugin
elif kind == "folder":
    workspace.datasets.add(
        "bench", scratch / "files", decode=False, recipe=Recipe(data=DataSection(similar=False)))
elif kind == "rows":
    storing.fill(workspace, 100_000, pictures.variants(100_000))
else:
    storing.fill(workspace, 100_000, map(pictures.tiny, range(100_000)), decode=True)
print(json.dumps({"peak": measuring.peak()}))
"""
    write(scratch / "files", variants(100_000))
    say("most memory of a process that adds 100,000 pictures (goal 500 MB)")
    for kind, words in (
        ("nothing", "imports alone"),
        ("folder", "files of 8.9 KB, headers alone"),
        ("rows", "the same row by row"),
        ("tiny", "900 bytes, all different, decoded and compared"),
    ):
        say(f"  {kind:8} {child(code, kind, scratch)['peak']:6.0f} MB  {words}")


def fill(workspace: object, size: int, bodies: object, *, decode: bool = False) -> None:
    """Make a dataset of so many pictures, row by row."""
    with workspace.datasets.build("bench", decode=decode) as rows:
        for index, body in zip(range(size), bodies, strict=True):
            rows.append(body, label=f"class {index % 10}", key=name(index))


def more(workspace: object, bodies: Sequence[bytes]) -> None:
    """Append pictures with names of their own."""
    with workspace.datasets.build("bench", mode="append") as rows:
        for index, body in enumerate(bodies):
            rows.append(body, label=f"class {index % 10}")


def name(index: int) -> str:
    """Return the key of a picture."""
    return f"class {index % 10}/{index:06}.jpg"


def repeated(folder: Path, count: int) -> object:
    """Yield the files of a folder again and again, each with other bytes at its end."""
    bodies = [path.read_bytes() for path in sorted(folder.rglob("*.jpg"))]
    return (bodies[index % len(bodies)] + b"%012d" % index for index in range(count))


def read_file(path: Path, *, hashed: bool = False) -> int:
    """Read a file in pieces, and perhaps its digest."""
    running, size = sha256(), 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(2**20):
            size += len(piece)
            if hashed:
                running.update(piece)
    return size


def unverified(dataset: object) -> object:
    """Yield the bytes of all pictures as they lie, in one read each."""
    files = dataset._store.packs.files
    return (files.read(row.pack, offset=row.offset, length=row.length) for row in dataset)
