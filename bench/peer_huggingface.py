"""Hugging Face `datasets`: rows with bytes into Arrow files, which are saved and opened again."""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset, Features, Image, Value, load_from_disk

from peer_clock import compare

FEATURES = Features({"image": Image(decode=False), "label": Value("string")})


def ingest(files: list[Path], home: Path) -> object:
    """Generate the rows and save them."""

    def rows() -> object:
        for file in files:
            yield {"image": {"bytes": file.read_bytes(), "path": None}, "label": file.parent.name}

    Dataset.from_generator(rows, features=FEATURES, cache_dir=str(home / "cache")).save_to_disk(home / "made")
    return load_from_disk(home / "made")


def iterate(made: object) -> int:
    """Read everything."""
    return sum(len(row["image"]["bytes"]) for row in made)


def access(made: object, place: int) -> int:
    """Read one row by its place."""
    return len(made[place]["image"]["bytes"])


compare(ingest, iterate, access, times=200)
