"""From a config to a recipe: every value that the config determines, and a word on every key that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft.dialects.openmmlab import datasets, heads, models, modern, options, pipelines, runtime, schedules
from regraft.dialects.openmmlab.configs import Config
from regraft.dialects.openmmlab.datasets import Data
from regraft.dialects.openmmlab.heads import Document
from regraft.dialects.openmmlab.models import Backbone
from regraft.dialects.openmmlab.parts import Book, Ignored, Part
from regraft.dialects.openmmlab.sources import Source
from regraft.dialects.openmmlab.tables import Place, Table
from regraft.recipe import Recipe, check

#: Names that configs give to what they then use, and that change nothing by themselves.
_COPIES = {
    "train_pipeline": ("data.train.pipeline", "train"),
    "val_pipeline": ("data.val.pipeline", "val"),
    "test_pipeline": ("data.test.pipeline", "test"),
}
_PLAIN = ("dataset_type", "img_norm_cfg", "policies", "rand_increasing_policies", "num_classes")
#: Keys of dicts that options may make where there is none.
KNOWN = (
    *runtime.IDLE,
    *modern.KEYS,
    "optimizer_config",
    "evaluation",
    "init_cfg",
    "grad_clip",
    "paramwise_cfg",
    "loss",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """A config as Regraft understands it."""

    path: Path
    #: The config as one table that inherits from nothing, for devices of any number.
    config: Table
    #: The recipe, with the keys that the config determines.
    document: Document
    source: Source
    #: What to know before one trusts the result.
    notes: tuple[str, ...]
    ignored: tuple[Ignored, ...]
    #: Where the config wants its results; empty where it does not say.
    work_dir: str
    #: The run that the config wants to go on with; empty for a new one.
    resume_from: str

    @property
    def name(self) -> str:
        """What the config's file is called."""
        return self.path.name

    @property
    def dataset(self) -> str:
        """The path or the name of the dataset, or the places that its pictures come from."""
        return str(self.source)

    @property
    def recipe(self) -> Recipe:
        """The recipe, with the defaults of Regraft for what a config cannot say."""
        return check(self.document)


def translate(
    config: Config, *, changes: Sequence[str] = (), devices: int = 1, seed: int | None = None
) -> Imported:
    """Make a recipe of a config; `changes` are those of `--cfg-options`.

    Raises InvalidRecipe, with file, line and remedy, for what Regraft cannot do.
    """
    book = Book(notes=list(config.notes))
    resolved = options.apply(config.table, changes, KNOWN)
    _warn_of_copies(resolved, changes, book)
    top = Part(modern.translate(resolved, book), "", book)
    # `norm_eval` and the precision are those of plain torch, and nothing ends a training early
    document: Document = {
        "model": {"freeze_stats": True},
        "data": {},
        "optim": {},
        "train": {"precision": "exact", "patience": 0},
        "eval": {"holdout": 0.0, "precision": "exact"},
    }
    scale = top.part("auto_scale_lr")
    base = scale.whole("base_batch_size", 0) if scale else 0
    if scale:
        scale.ignore("the batch is what the rate was written for", "enable")
        scale.close()
    holder = top.part("data")
    if holder is None:
        raise top.refuse("data", "The config names no pictures.", "Write data=dict(train=dict(...), ...).")
    document["data"]["workers"] = holder.whole("workers_per_gpu", 2)
    data = datasets.read_data(holder, config.path, devices=devices, base=base)
    document["data"] = pipelines.prepared(data.train, data.test, data.facts, book) | document["data"]
    _model(top, document, data)
    _training(top, document, data)
    runtime.read_runtime(top, document, data, seed)
    for key in _PLAIN:
        top.has(key)
    for key in _COPIES:
        top.has(key)
    work_dir, resume = top.text("work_dir"), top.text("resume_from")
    if top.get("resume") is True:
        book.ignore("resume", "say which: --resume-from RUN, or a folder of results")
    top.close(used=config.used)
    check(document)
    return Imported(
        path=config.path,
        config=_standalone(resolved, data.batch_size),
        document=_ordered(document),
        source=data.source,
        notes=tuple(book.notes),
        ignored=tuple(book.ignored),
        work_dir=work_dir,
        resume_from=resume,
    )


def _standalone(resolved: Table, batch_size: int) -> Table:
    """Say in a config how many pictures a step has: who said it of a device can no longer be told."""
    table = Table(resolved)
    place = Place(file="")
    scale = Table()
    scale.put("base_batch_size", batch_size, place)
    table.put("auto_scale_lr", scale, place)
    return table


def _ordered(document: Document) -> Document:
    """Put the keys of a recipe in the order in which people read them."""
    order = {name: list(type(section).model_fields) for name, section in Recipe()}
    return {
        name: {key: section[key] for key in sorted(section, key=order[name].index)}
        for name, section in document.items()
    }


def _model(top: Part, document: Document, data: Data) -> None:
    """Put net, weights, head and loss into a recipe."""
    part = top.part("model")
    if part is None:
        raise top.refuse("model", "The config has no model.", "Inherit from '../_base_/models/resnet50.py'.")
    part.expect("type", "ImageClassifier")
    inner, book = part.part("backbone"), top.book
    if inner is None:
        raise part.refuse(
            "backbone", "The model has no backbone.", "Write backbone=dict(type='ResNet', depth=50)."
        )
    backbone = models.read_backbone(inner)
    model, train = document["model"], document["train"]
    pretrained = _weights(top, part, inner, backbone, document)
    inner.close()
    if backbone.size not in (0, document["data"]["size"]):
        fact = (
            f"The net takes pictures of {backbone.size} pixels, and gets some of {document['data']['size']}."
        )
        raise inner.refuse("type", fact, f"Write Resize(size={backbone.size}) into the pipelines.")
    model["freeze"] = backbone.freeze
    model["norm_eval"] = backbone.norm_eval
    if backbone.drop_path:
        model["drop_path"] = backbone.drop_path
    train["strategy"] = ("partial" if backbone.freeze else "full") if pretrained else "scratch"
    if not pretrained:
        book.note(
            "NOTHING PRETRAINED: neither init_cfg nor load_from names weights, so that the net learns from "
            "random ones" + (", and its frozen stages stay random." if backbone.freeze else ".")
        )
    if backbone.sync_batchnorm:
        train["sync_batchnorm"] = True
    heads.read_neck(part.part("neck"))
    head = part.part("head")
    if head is None:
        raise part.refuse(
            "head", "The model has no head.", "Write head=dict(type='LinearClsHead', num_classes=10)."
        )
    classes = heads.read_head(head, backbone, document)
    if classes and data.facts.classes and classes != data.facts.classes:
        raise head.refuse(
            "num_classes",
            f"The head tells {classes:,} classes apart, and the pictures are of {data.facts.classes:,}.",
            f"Write head=dict(num_classes={data.facts.classes}).",
        )
    heads.read_mixing(part.part("train_cfg"), document)
    part.ignore("mean and std of it are taken with the pipelines", "data_preprocessor")
    part.ignore("it is for shows of the original", "init_cfg")
    part.close()


def _weights(top: Part, part: Part, inner: Part, backbone: Backbone, document: Document) -> bool:
    """Put the weights to begin with into a recipe; tell whether there are any."""
    model, book = document["model"], top.book
    pretrained = heads.read_init(inner, backbone, document)
    for holder, key in ((part, "pretrained"), (top, "load_from")):
        if holder.has(key):
            if pretrained:
                book.note(f"{holder.name(key)!r} takes the place of the weights that the backbone names.")
            for word in ("ref", "weights", "weights_prefix", "architecture"):
                model.pop(word, None)
            heads.read_weights(holder, key, backbone, document)
            pretrained = True
    if top.has("load_from"):
        book.note("'load_from' gives the backbone its weights; the head begins anew.")
    if pretrained:
        return True
    name = backbone.architecture
    model["ref"] = name if ":" in name else f"timm:{name}"
    return backbone.pretrained


def _training(top: Part, document: Document, data: Data) -> None:
    """Put optimiser, rates, length and batches into a recipe."""
    optimizer = top.part("optimizer")
    if optimizer is None:
        hint = "Write optimizer=dict(type='SGD', lr=0.01, momentum=0.9), or inherit from a schedule."
        raise top.refuse("optimizer", "The config has no optimizer.", hint)
    schedules.read_optimizer(optimizer, document)
    hook = top.part("optimizer_config")
    if top.has("fp16"):
        document["train"]["precision"] = "auto"
        top.ignore("the fastest precision of this machine is found, and taken", "fp16")
    batch = data.batch_size * schedules.read_clipping(hook, document)
    if batch != data.batch_size:
        top.book.note(f"Gradients of {batch // data.batch_size} batches add up: a step has {batch} pictures.")
    document["train"]["batch_size"] = batch
    length = schedules.read_length(
        top.part("runner"),
        top.whole("total_epochs", 0),
        batch=batch,
        pictures=data.facts.pictures,
        times=data.times,
    )
    if not top.has("runner") and not top.has("total_epochs"):
        hint = "Write runner=dict(type='EpochBasedRunner', max_epochs=100)."
        raise top.refuse("runner", "The config does not say how long to train.", hint)
    document["train"]["epochs"] = length.epochs
    schedules.read_schedule(top.part("lr_config"), document, length)
    if data.balanced:
        document["train"]["balance"] = "sampler"


def _warn_of_copies(config: Table, changes: Sequence[str], book: Book) -> None:
    """Warn where a name is changed that another value is a copy of."""
    for name, (where, split) in _COPIES.items():
        data = config.get("data")
        part = data.get(split) if isinstance(data, Table) else None
        if name not in config or not isinstance(part, Table) or "pipeline" not in part:
            continue
        place, other = config.places[name], part.places["pipeline"]
        option = next((change for change in changes if change.partition("=")[0].split(".")[0] == name), "")
        if option:
            book.note(
                f"--cfg-options {option} changes nothing: {where!r} is a copy of what {name!r} was in "
                f"{other}. Change {where}."
            )
        elif place.own and place.file != other.file and part["pipeline"] != config[name]:
            book.note(
                f"{name!r} in {place} changes nothing: {where!r} is a copy of what it was in {other}. Write "
                f"data=dict({split}=dict(pipeline={name})) below it."
            )
