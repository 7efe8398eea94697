"""`data` of a config: which pictures it names, how they are prepared, and how large batches are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft.data.sources.arrange import SPLITS
from regraft.data.sources.readers import expand
from regraft.dialects.openmmlab.parts import Part
from regraft.dialects.openmmlab.pipelines import Facts
from regraft.dialects.openmmlab.sources import Pictures, Source, count, lines_of
from regraft.errors import did_you_mean

#: Sets that go by a name: what Regraft calls each, its side, and how many pictures and classes it has.
_NAMED = {
    "CIFAR10": ("cifar10", 32, 50_000, 10),
    "CIFAR100": ("cifar100", 32, 50_000, 100),
    "MNIST": ("mnist", 28, 60_000, 10),
    "FashionMNIST": ("fashion-mnist", 28, 60_000, 10),
}
_FOLDERS = ("CustomDataset", "ImageNet", "ImageNet21k")
#: Keys of a dataset that are read where they matter.
_READ = (
    *("type", "pipeline", "test_mode", "with_label", "multi_label", "extensions", "classes", "metainfo"),
    *("ann_file", "data_prefix", "data_root", "split"),
)
#: For so many GPUs the configs that others inherit from were written.
_GPUS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """What a config says of its pictures."""

    source: Source
    facts: Facts
    train: tuple[Part, ...]
    test: tuple[Part, ...]
    batch_size: int
    #: How often the pictures are gone through in an epoch.
    times: int = 1
    balanced: bool = False
    #: Whether the pictures to validate by are those of the test, or others that are there for it.
    shared: bool = False
    validated: bool = False


def read_data(part: Part, config: Path, *, devices: int, base: int) -> Data:
    """Read where pictures lie, and both pipelines; `base` is the batch that the rates are meant for, or 0."""
    trains = _splits(part, "train")
    if not trains:
        raise part.refuse(
            "train", "The config names no pictures to learn from.", "Write data=dict(train=...)."
        )
    times, balanced = 1, False
    while trains[0].text("type") in (
        "RepeatDataset",
        "ClassBalancedDataset",
        "ConcatDataset",
        "KFoldDataset",
    ):
        wrapper = trains[0]
        kind, inner = wrapper.text("type"), wrapper.parts("dataset") + wrapper.parts("datasets")
        if kind == "KFoldDataset" or not inner:
            hint = "Name the pictures of one fold: Regraft validates across folds in a probe alone."
            raise wrapper.refuse("type", f"There is no {kind} of pictures.", hint)
        times *= wrapper.whole("times", 1)
        balanced |= kind == "ClassBalancedDataset"
        if kind == "ClassBalancedDataset":
            wrapper.ignore("rare classes are drawn as often as others", "oversample_thr")
        wrapper.ignore("all pictures are measured together", "separate_eval")
        wrapper.close()
        trains = [*inner, *trains[1:]]
    vals, tests = _splits(part, "val"), _splits(part, "test")
    measured = tests or vals
    batch = _batch(part, config, devices=devices, base=base)
    _loader(part)
    source, facts = _source(trains, vals, measured)
    pipelines = [tuple(one.parts("pipeline")) for one in (trains[0], *measured[:1])]
    if vals and tests and vals[0].get("pipeline") != tests[0].get("pipeline"):
        vals[0].ignore("pictures are measured on as those of the test are", "pipeline")
    for one in (*trains, *vals, *tests):
        one.ignore("files are read as they lie", "file_client_args", "lazy_init", "serialize_data")
        for key in _READ:
            one.has(key)
        one.close()
    part.close()
    shared = bool(vals) and _where(vals[0]) == _where(measured[0])
    return Data(
        source=source,
        facts=facts,
        train=pipelines[0],
        test=pipelines[-1],
        batch_size=batch,
        times=times,
        balanced=balanced,
        shared=shared,
        validated=bool(vals and tests) and not shared,
    )


def _splits(part: Part, key: str) -> list[Part]:
    return part.parts(key) if part.has(key) else []


def _batch(part: Part, config: Path, *, devices: int, base: int) -> int:
    """Return how many pictures a step sees on all devices together."""
    loader = part.part("train_dataloader")
    key, holder = "samples_per_gpu", part
    if loader is not None and loader.has(key):
        holder = loader
    samples = holder.whole(key, 32)
    if samples < 1:
        raise holder.wrong(key, "Write 1 or more.")
    place, name = holder.place(key), holder.name(key)
    if base:
        part.book.note(f"The batch has {base} pictures, as auto_scale_lr says, on however many devices.")
        return base
    if place is not None and place.own:
        part.book.note(
            f"{name}={samples} is said in {place}, and so counts for each device: with --devices {devices} "
            f"the batch has {samples * devices} pictures. The rate has to suit that."
        )
        return samples * devices
    gpus = _gpus(config, samples)
    part.book.note(
        f"{name}={samples} is inherited, and was written for {gpus} GPUs: the batch has {samples * gpus} "
        "pictures, on one device as on eight."
    )
    return samples * gpus


def _gpus(config: Path, samples: int) -> int:
    """Return the GPUs that the name of a config tells, as in `resnet50_8xb16_cifar10.py`."""
    if found := re.search(r"(?:^|_)(\d+)xb(\d+)(?:_|-|$)", config.stem):
        gpus, each = int(found[1]), int(found[2])
    elif found := re.search(r"(?:^|_)b(\d+)x(\d+)(?:_|-|$)", config.stem):
        each, gpus = int(found[1]), int(found[2])
    else:
        return _GPUS
    return gpus if each == samples and gpus else _GPUS


def _loader(part: Part) -> None:
    part.ignore("threads of this process make batches", "persistent_workers", "pin_memory", "prefetch_factor")
    for key in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if (loader := part.part(key)) is not None:
            if key == "train_dataloader":
                loader.has("samples_per_gpu")
                loader.expect("drop_last", False, hint="Regraft learns from every picture: leave it out.")
                loader.expect("shuffle", None, True)
            else:
                loader.ignore("measuring takes batches of its own", "samples_per_gpu", "drop_last", "shuffle")
            loader.ignore("threads of this process make batches", "persistent_workers", "pin_memory")
            loader.ignore("it is data.workers_per_gpu", "workers_per_gpu")
            loader.ignore("each picture is seen once in an epoch", "sampler", "collate_fn")
            loader.close()


def _where(part: Part) -> tuple[str, str]:
    """Return the folder and the list that a dataset names, as it writes them."""
    prefix = part.get("data_prefix", "")
    root = part.text("data_root")
    if isinstance(prefix, dict):
        prefix = prefix.get("img_path", "")
    if not isinstance(prefix, str):
        raise part.wrong("data_prefix", "Write the folder of the pictures.")
    split = part.text("split") if part.text("type") in _FOLDERS and not prefix else ""
    listed = part.text("ann_file")
    folder = str(Path(root) / (prefix or split))
    if listed and root and not Path(listed).is_absolute():
        listed = str(Path(root) / listed)
    return folder.rstrip("/"), listed


def _source(trains: Sequence[Part], vals: Sequence[Part], tests: Sequence[Part]) -> tuple[Source, Facts]:
    first = trains[0]
    kind = first.text("type")
    if kind in _NAMED:
        return _named(first, kind, [*trains, *vals, *tests])
    parts = list(_listed(trains, "train"))
    shared = bool(vals) and bool(tests) and _where(vals[0]) == _where(tests[0])
    if vals and not shared and tests is not vals:
        parts += _listed(vals, "val")
    parts += [one for one in _listed(tests, "test") if tests]
    facts = count([one for one in parts if one.split == "train"], parts)
    simple = {one.folder.resolve().parent for one in parts}
    names = {one.folder.name: one.split for one in parts}
    if len(parts) == 1 and parts[0].listed is None:
        first.book.note("The config names no pictures to measure on: Regraft holds some of these out.")
        return Source(words=str(parts[0].folder)), facts
    whole = len(simple) == 1 and not any(one.listed for one in parts) and len(names) == len(parts)
    alone = "val" not in names.values()  # what is measured on may as well be called val then
    if whole and all(
        SPLITS.get(name.casefold()) in ((split, "val") if split == "test" and alone else (split,))
        for name, split in names.items()
    ):
        home = parts[0].folder.parent
        there = {path.name for path in home.iterdir() if path.is_dir()} if home.is_dir() else set(names)
        if {name for name in there if name.casefold() in SPLITS} == set(names):
            return Source(words=str(home)), facts
    return Source(pictures=tuple(parts)), facts


def _named(first: Part, kind: str, parts: Sequence[Part]) -> tuple[Source, Facts]:
    name, side, pictures, classes = _NAMED[kind]
    folder = ""
    for part in parts:
        if part.text("type", kind) != kind:
            fact = f"{part.get('type')!r} is measured on, and {kind!r} is learned from."
            raise part.refuse("type", fact, "Name one dataset in train, val and test.")
        named = _where(part)[0]
        folder = folder or named
        part.ignore("a set that goes by a name has its own list", "ann_file", "classes")
        part.ignore("it is fetched where it is not there", "download")
    there = folder not in ("", ".") and expand(folder).is_dir() and any(expand(folder).iterdir())
    if not there:
        first.book.note(f"There is nothing in {folder!r}: the set {name!r} is fetched, and checked.")
    facts = Facts(side=side, red_first=True, pictures=pictures, classes=classes)
    return Source(words=folder if there else name), facts


def _listed(parts: Sequence[Part], split: str) -> Iterator[Pictures]:
    for part in parts:
        kind = part.text("type", "CustomDataset")
        if kind not in _FOLDERS:
            known = [*_NAMED, *_FOLDERS]
            hint = "CustomDataset reads class folders, or a list of paths and numbers."
            raise part.refuse(
                "type", f"There is no dataset {kind!r}.", did_you_mean(kind, known, otherwise=hint)
            )
        folder, listed = _where(part)
        part.ignore("Regraft reads jpg, png, webp, bmp, gif and tiff, by their content", "extensions")
        part.expect("with_label", True)
        part.expect("multi_label", False)
        classes = part.get("classes")
        if (meta := part.part("metainfo")) is not None:
            classes = meta.get("classes", classes)
        if not listed:
            part.ignore("labels are the names of the folders", "classes", "metainfo")
            classes = None
        yield Pictures(
            split=split,
            folder=expand(folder),
            listed=expand(listed) if listed else None,
            classes=_names(part, classes),
        )


def _names(part: Part, classes: object) -> tuple[str, ...]:
    """Return the names of classes, which may stand in a file, one on each line."""
    if isinstance(classes, str):
        return tuple(line.strip() for line in lines_of(expand(classes)) if line.strip())
    if not isinstance(classes, list | tuple | None):
        raise part.wrong("classes", "Write a list of names, or a file with one on each line.")
    return tuple(map(str, classes or ()))
