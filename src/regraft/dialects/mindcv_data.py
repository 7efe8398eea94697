"""Data sets and loaders by MindCV's names, and its downloads; the pictures are kept by a workspace."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import regraft
from regraft.data.draws import generator
from regraft.data.sources.arrange import SPLITS
from regraft.data.sources.readers import SETS, Source
from regraft.data.sources.spreading import spread
from regraft.data.sources.unpacking import keep_unpacked
from regraft.dialects.mindcv_missing import refuse
from regraft.dialects.mindcv_transforms import Transforms, create_transforms
from regraft.dialects.mindspore_data import Loader, tell_left_out
from regraft.dialects.mindspore_folders import class_folders, number, store
from regraft.engine.device import count_cores
from regraft.errors import InvalidError, MismatchError, NotFoundError, did_you_mean
from regraft.progress import silent
from regraft.records import Row
from regraft.store.fetch import Downloads, remote
from regraft.workspace.dataset import Dataset

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """The pictures of one split of a dataset in the workspace."""

    dataset: Dataset
    rows: tuple[Row, ...]
    #: In the order of their numbers.
    classes: tuple[str, ...]
    split: str
    shuffle: bool
    #: Threads that make batches ahead of the net.
    workers: int

    def __len__(self) -> int:
        return len(self.rows)

    def get_dataset_size(self) -> int:
        """Return how many pictures there are."""
        return len(self.rows)

    def num_classes(self) -> int:
        """Return how many classes the dataset has, in all its splits."""
        return len(self.classes)

    def get_class_indexing(self) -> dict[str, int]:
        """Return the number of each class."""
        return {label: number for number, label in enumerate(self.classes)}


def create_dataset(
    name: str = "",
    root: str | Path = "./",
    split: str = "train",
    shuffle: bool = True,
    num_samples: int | None = None,
    num_shards: int | None = None,
    shard_id: int | None = None,
    num_parallel_workers: int | None = None,
    download: bool = False,
    num_aug_repeats: int = 0,
    *,
    workspace: regraft.Workspace | None = None,
) -> ImageSet:
    """Return the pictures of a split: of `root/split/class/picture`, or of a set such as `cifar10`.

    They become a version of a dataset in the workspace, whose pictures are looked at once; what is left out,
    such as a picture that is there twice, is a warning. Classes are numbered over all splits. A set is read
    from the files that lie in `root`, or fetched where `download` says so. `num_samples` takes some by
    chance, always the same. Raises InvalidError where `num_aug_repeats` asks for something.
    """
    refuse("num_aug_repeats", num_aug_repeats, 0)
    place = workspace or regraft.open()
    if name.casefold() in ("", "imagenet"):
        dataset, rows, classes = _of_folder(place, Path(root), split)
    else:
        dataset, rows = _of_set(place, name.casefold(), Path(root), split, download=download)
        classes = dataset.labels
    if num_samples is not None and num_samples < len(rows):
        chosen = generator(f"samples:{split}").permutation(len(rows))[:num_samples]
        rows = [rows[place] for place in sorted(chosen.tolist())]
    if num_shards is not None:
        rows = rows[shard_id or 0 :: num_shards]
    workers = 2 if num_parallel_workers is None else num_parallel_workers
    return ImageSet(
        dataset=dataset, rows=tuple(rows), classes=classes, split=split, shuffle=shuffle, workers=workers
    )


def _of_folder(
    place: regraft.Workspace, root: Path, split: str
) -> tuple[Dataset, list[Row], tuple[str, ...]]:
    if not (root / split).is_dir():
        near = [path.name for path in root.glob("*") if path.is_dir()]
        raise NotFoundError(
            f"There is no folder {str(root / split)!r}.",
            hint=did_you_mean(split, near, otherwise="Pictures lie in root/split/class/picture."),
        )
    if split.casefold() not in SPLITS:  # the folder beside it may be anything
        dataset, splits, below = store(place, root / split), [split], ""
    else:
        dataset = store(place, root)
        splits = [path.name for path in root.iterdir() if path.name.casefold() in SPLITS]
        below = f"{split}/"  # by its folder, because a split that stands alone is shared out by Regraft
    rows = [row for row in dataset if row.key.startswith(below)]
    refused = [item for item in dataset.refused if item.key.startswith(below)]
    tell_left_out(dataset, refused, kept=len(rows), place=repr(str(root / split)))
    names = {label for name in splits for label in class_folders(root / name)}
    return dataset, rows, number(names, dataset)


def _of_set(
    place: regraft.Workspace, name: str, root: Path, split: str, *, download: bool
) -> tuple[Dataset, list[Row]]:
    if name not in SETS:
        raise NotFoundError(
            f"There is no data set {name!r}.",
            hint=did_you_mean(name, SETS, otherwise="Leave the name empty for a folder of your own."),
        )
    if download:
        added = place.datasets.add(name, name)
    else:
        added = place.datasets.add(name, root, reading=Source(reader=name))
    dataset = place.datasets.get(str(added.version))
    tell_left_out(dataset, dataset.refused, kept=len(dataset), place=f"{name!r}")
    return dataset, list(dataset.rows(split=SPLITS.get(split.casefold(), split)))


def create_loader(
    dataset: ImageSet,
    batch_size: int,
    drop_remainder: bool = False,
    is_training: bool = False,
    *,
    mixup: float = 0.0,
    cutmix: float = 0.0,
    cutmix_prob: float = 1.0,
    num_classes: int | None = None,
    transform: Transforms | None = None,
    target_transform: object = None,
    num_parallel_workers: int | None = None,
    seed: int = 0,
) -> Loader:
    """Return batches of pictures, made ready, and of the numbers of their classes.

    What happens to a picture is what `transform` says, by default that of measuring; `is_training` lets
    pictures be mixed, and nothing else. Raises MismatchError where the dataset has more classes than
    `num_classes`, InvalidError where there is a `target_transform`.
    """
    refuse("target_transform", target_transform, None)
    steps = transform or create_transforms()
    labels = dataset.classes
    if num_classes is not None and len(labels) > num_classes:
        raise MismatchError(
            f"The dataset has {len(labels)} classes, and num_classes is {num_classes}.",
            hint=f"They are {', '.join(labels[:10])}. Say num_classes={len(labels)}.",
        )
    if cutmix_prob not in (0, 1):
        raise InvalidError(
            f"Pictures of {cutmix_prob:.0%} of the batches cannot be mixed: it is all batches or none.",
            hint="Leave cutmix_prob out.",
            where="cutmix_prob",
        )
    if steps.augment and SPLITS.get(dataset.split.casefold()) in ("val", "test"):
        log.warning(
            "The pictures of %r are changed by chance: the transforms are for training.", dataset.split
        )
    mixes = is_training and cutmix_prob == 1
    batches = dataset.dataset.batches(
        steps.augment,
        size=steps.spec.size,
        batch_size=batch_size,
        rows=dataset.rows,
        spec=steps.spec,
        shuffle=dataset.shuffle,
        seed=seed,
        side=int(steps.spec.size / steps.spec.crop),
        mixup=mixup if mixes else 0.0,
        cutmix=cutmix if mixes else 0.0,
        workers=min(dataset.workers if num_parallel_workers is None else num_parallel_workers, count_cores()),
    )
    return Loader(
        batches,
        steps.spec,
        count=len(dataset),
        batch_size=batch_size,
        labels=labels,
        stored=dataset.dataset.labels,
        classes=num_classes or len(labels),
        drop_remainder=drop_remainder,
        channels=steps.channels,
    )


class DownLoad:
    """Files from the network: resumed where they broke off, verified where a checksum is given."""

    def __init__(self, workspace: regraft.Workspace | None = None) -> None:
        self._cache = (workspace or regraft.open()).path / "cache"

    def download_url(self, url: str, *, md5: str | None = None) -> Path:
        """Fetch a file into the cache of the workspace, and return where it lies.

        Raises FetchError, which says what to put where by hand, and IntegrityError.
        """
        return Downloads(self._cache / "downloads").fetch(remote(url, md5=md5 or ""), silent)

    def download_and_extract_archive(
        self,
        url: str,
        download_path: str | Path | None = None,
        extract_path: str | Path | None = None,
        *,
        md5: str | None = None,
        remove_finished: bool = False,
    ) -> None:
        """Fetch a zip or tar archive and unpack it below a folder, where nothing is replaced.

        The archive itself stays in the cache, and `remove_finished` changes nothing. Its members are checked
        one by one. Raises InvalidArchive where one of them is not safe, and ConflictError where another file
        stands in the way of one.
        """
        archive = self.download_url(url, md5=md5)
        spread(keep_unpacked(archive, self._cache / "unpacked"), Path(extract_path or download_path or "."))
