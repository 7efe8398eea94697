"""Neck, head, loss and mixing of a config, and the weights that it begins with."""

from __future__ import annotations

from urllib.parse import urlsplit

from regraft.dialects.openmmlab.models import Backbone
from regraft.dialects.openmmlab.parts import Part
from regraft.errors import did_you_mean

#: A recipe as its TOML has it.
Document = dict[str, dict[str, object]]

_HEADS = ("LinearClsHead", "StackedLinearClsHead", "VisionTransformerClsHead")
#: How a head begins, by the initialiser that a config names.
_BEGINS = {"Normal": "normal", "Xavier": "xavier", "Kaiming": "kaiming", "Constant": "zero"}
_ZOO = "Give the address of its file, from the page of the model zoo: https://download.openmmlab.com/..."


def read_neck(part: Part | None) -> None:
    """Check that features are averaged over the picture, which every net of Regraft does by itself."""
    if part is not None:
        part.expect("type", "GlobalAveragePooling")
        part.expect("dim", 2)
        part.close()


def read_head(part: Part, backbone: Backbone, document: Document) -> int:
    """Put head and loss into a recipe; return the number of classes, 0 where it is not said."""
    kind = part.text("type", "LinearClsHead")
    if kind not in _HEADS:
        near = did_you_mean(kind, _HEADS, otherwise=f"There is {', '.join(_HEADS)}.")
        raise part.refuse("type", f"There is no head {kind!r}.", near)
    section = document["model"]
    section["head"] = "linear"
    if kind == "StackedLinearClsHead":
        middle = part.numbers("mid_channels")
        if len(middle) != 1:
            raise part.wrong("mid_channels", "Regraft has a head with one layer in between: write [256].")
        part.expect("dropout_rate", 0.0)
        part.expect("norm_cfg", None)
        part.expect("act_cfg", None)
        section["head"] = {"name": "mlp", "hidden": int(middle[0])}
    part.expect("hidden_dim", None)
    if part.has("in_channels") and backbone.features not in (0, part.get("in_channels")):
        part.ignore(f"the net gives {backbone.features} features", "in_channels")
    section["head_init"] = _begin(part, "zero" if kind == "VisionTransformerClsHead" else "normal")
    part.ignore("which of them are reported follows from the classes", "topk")
    part.ignore("the accuracy of training steps is not computed", "cal_acc", "cal_accuracy")
    if (loss := part.part("loss")) is not None:
        _loss(loss, document)
    classes = part.whole("num_classes", 0)
    part.close()
    return classes


def _begin(part: Part, usual: str) -> str:
    init = part.part("init_cfg")
    if init is None:
        return usual
    kind = init.text("type")
    if kind not in _BEGINS:
        raise init.refuse("type", f"A head cannot begin by {kind!r}.", f"There is {', '.join(_BEGINS)}.")
    init.expect("layer", "Linear")
    init.expect("val", 0, 0.0)
    init.expect("bias", 0, 0.0)
    if kind == "Normal":
        init.expect("std", 0.01)
    init.ignore("Regraft knows one of each kind", "distribution", "mode", "nonlinearity", "gain", "a")
    init.close()
    return _BEGINS[kind]


def _loss(part: Part, document: Document) -> None:
    train, kind = document["train"], part.text("type", "CrossEntropyLoss")
    train["loss"] = "cross-entropy"
    if kind == "CrossEntropyLoss":
        if part.flag("use_sigmoid"):
            train["loss"] = "bce"
        part.ignore("targets of mixed pictures are soft anyway", "use_soft")
        part.expect("pos_weight", None)
    elif kind == "LabelSmoothLoss":
        share, mode = part.number("label_smooth_val", 0.0), part.text("mode", "original")
        part.expect("mode", "original", "classy_vision", hint="Write mode='original'.")
        train["label_smoothing"] = share / (1 + share) if mode == "classy_vision" else share
        part.ignore("it is the number of labels", "num_classes")
        part.expect("use_sigmoid", False)
    else:
        hint = "There is CrossEntropyLoss and LabelSmoothLoss; others by --set train.loss=focal."
        raise part.refuse("type", f"There is no loss {kind!r}.", hint)
    part.expect(
        "class_weight", None, hint="Weights that follow from the pictures: --set train.balance=weights."
    )
    part.expect("loss_weight", 1.0, 1, hint="Change the rate by that factor.")
    train["reduction"] = part.text("reduction", "mean")
    part.expect("reduction", "mean", "sum")
    part.close()


def read_mixing(part: Part | None, document: Document) -> None:
    """Put Mixup and CutMix into a recipe."""
    if part is None:
        return
    mixers = part.parts("augments")
    for mixer in mixers:
        kind = mixer.text("type").removeprefix("Batch").lower()
        if kind not in ("mixup", "cutmix"):
            raise mixer.refuse(
                "type", f"There is no {mixer.get('type')!r} of pictures.", "There is Mixup and CutMix."
            )
        document["train"][kind] = mixer.number("alpha", 1.0)
        mixer.expect("prob", 1.0 / len(mixers), 1.0, hint="Regraft mixes every batch: leave prob out.")
        mixer.expect("cutmix_minmax", None)
        mixer.ignore("it is the number of labels", "num_classes")
        mixer.ignore("the part that is cut is always within the picture", "correct_lam")
        mixer.close()
    probabilities = part.numbers("probs")
    if probabilities and len({*probabilities}) != 1:
        raise part.wrong("probs", "Of two ways to mix, chance takes either as often: leave probs out.")
    part.close()


def read_weights(part: Part, key: str, backbone: Backbone, document: Document, *, prefix: str = "") -> None:
    """Put the file of pretrained weights that stands at a key into a recipe."""
    model, words = document["model"], part.text(key)
    source, colons, rest = words.partition("://")
    ref = backbone.architecture if ":" in backbone.architecture else f"timm:{backbone.architecture}"
    if not backbone.same_names and source != "torchvision" and (prefix or "openmmlab" in words):
        raise part.refuse(
            key,
            f"In {words!r} weights have other names than in {backbone.architecture}.",
            f"Take torchvision's own, without a prefix: checkpoint='torchvision://{ref.partition(':')[2]}'.",
        )
    if not colons or source == "file":
        model |= {"ref": ref, "weights": rest if colons else words}
    elif source in ("http", "https"):
        model |= {"ref": words, "architecture": backbone.architecture}
    elif source == "torchvision":
        if f"torchvision:{rest}" != backbone.architecture:
            fact = f"{words!r} are no weights for {backbone.architecture}."
            raise part.refuse(key, fact, f"Write checkpoint='{ref.replace(':', '://')}'.")
        if prefix:
            raise part.refuse(
                "prefix", f"In {words!r} no name begins with {prefix!r}.", "Leave the prefix out."
            )
        model["ref"] = f"torchvision:{rest}/IMAGENET1K_V1"  # what mmcv means by that name
    elif source in ("open-mmlab", "openmmlab", "mmcls", "jit"):
        raise part.refuse(
            key, f"{words!r} stands for a file by a table of mmcv, which Regraft has not.", _ZOO
        )
    else:
        raise part.refuse(
            key, f"{words!r} is nowhere that Regraft can read.", "Fetch the file, and give its path."
        )
    if prefix:
        model["weights_prefix"] = prefix
    if source in ("http", "https") and not urlsplit(words).path.strip("/"):
        raise part.wrong(key, _ZOO)


def read_init(part: Part, backbone: Backbone, document: Document) -> bool:
    """Put `init_cfg` of a backbone into a recipe; tell whether its weights are pretrained."""
    value = part.get("init_cfg")
    if isinstance(value, list | tuple):
        part.ignore("Regraft begins such layers as torchvision does", "init_cfg")
        return False
    init = part.part("init_cfg")
    if init is None:
        return False
    kind = init.text("type")
    if kind != "Pretrained":
        if near := did_you_mean(kind, ["Pretrained"]):
            raise init.refuse("type", f"There is no initialiser {kind!r}.", near)
        part.ignore("Regraft begins such layers as torchvision does", "init_cfg")
        return False
    if not init.has("checkpoint"):
        raise part.refuse("init_cfg", "There is no checkpoint to begin with.", "Write checkpoint='FILE'.")
    init.ignore("weights are read where they are needed", "map_location")
    read_weights(init, "checkpoint", backbone, document, prefix=init.text("prefix"))
    init.close()
    return True
