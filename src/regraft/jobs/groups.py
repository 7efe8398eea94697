"""What of a net would learn under a recipe, and how fast: told without training, and without weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from regraft import suggest
from regraft.engine import groups as rates
from regraft.errors import InvalidError
from regraft.hub import adapters, freezing, heads, nets
from regraft.hub.freezing import Frozen
from regraft.hub.nets import Net
from regraft.hub.sources.find import architecture_of
from regraft.hub.stages import layers, stages
from regraft.jobs import modes
from regraft.jobs.fetch import fetch
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import ModelVersion
from regraft.refs import Ref
from regraft.store.opening import Store

_HEAD = "head"


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupLine:
    """Parameters of one stage that learn alike, or that do not learn."""

    #: Of the net, from the stem to the head.
    stage: str
    #: As the optimiser's table calls it; empty where nothing learns.
    group: str
    tensors: int
    #: Numbers in them.
    parameters: int
    #: Before a schedule's factor; None where nothing learns.
    lr: float | None
    weight_decay: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupTable:
    """The parameters of a net by stage, and what becomes of each."""

    architecture: str
    strategy: str
    lines: tuple[GroupLine, ...]
    frozen: int
    trainable: int
    #: What the lines do not show.
    notes: tuple[str, ...]


def of_model(
    store: Store, ref: Ref, recipe: Recipe, *, classes: int | None, progress: Progress
) -> GroupTable:
    """Work out how a recipe would train a model, for as many classes as it knows where nobody says.

    Its weights are not read; they are fetched only where nothing else says what the net is. Raises
    InvalidRecipe where the recipe does not suit the net.
    """
    if classes is not None and classes < 1:
        raise InvalidError(f"A head for {classes} classes cannot be built.", hint="Give a number from 1 on.")
    if architecture := architecture_of(ref):
        known = nets.count_classes(nets.outline(architecture))
    else:
        model = fetch(store, ref, weights="", progress=progress).read(ModelVersion)
        architecture, known = model.architecture, len(model.labels)
    return table(architecture, recipe, classes=classes or max(known, 1))


def table(architecture: str, recipe: Recipe, *, classes: int) -> GroupTable:
    """Work out how a recipe would train a net for so many classes; of `gradual`, its last epochs.

    Raises InvalidRecipe where the recipe does not suit the net.
    """
    optim = suggest.rates(recipe.optim, recipe.train)
    if optim.lr == "auto":
        raise ValueError("the rate is still open")
    net = _build(architecture, recipe, classes)
    frozen, notes = _frozen(net, recipe)
    learning = {name: p for name, p in net.named_parameters() if name not in frozen.names}
    found = rates.parameter_groups(learning, layers=layers(net), optim=optim)
    rows = rates.table(found, lr=optim.lr, weight_decay=optim.weight_decay)
    group_of = {
        name: (row.name, row.lr, row.weight_decay)
        for group, row in zip(found, rows, strict=True)
        for name in group.names
    }
    parameters = dict(net.named_parameters())
    places = {stage.name: stage.parameters for stage in stages(net)}
    places[_HEAD] = tuple(name for name in parameters if name.startswith(f"{_HEAD}."))
    count = sum(parameter.numel() for parameter in learning.values())
    return GroupTable(
        architecture=architecture,
        strategy=recipe.train.strategy,
        lines=tuple(
            line for stage, names in places.items() for line in _lines(stage, names, parameters, group_of)
        ),
        frozen=sum(parameter.numel() for parameter in parameters.values()) - count,
        trainable=count,
        notes=notes,
    )


def _build(architecture: str, recipe: Recipe, classes: int) -> Net:
    # an adapter runs the net to see what it calls, so that it cannot be an outline
    adapted = recipe.train.strategy == "adapters"
    net = (nets.build if adapted else nets.outline)(architecture)
    return nets.replace_head(net, heads.build(recipe.model.head, net.num_features, classes))


def _frozen(net: Net, recipe: Recipe) -> tuple[Frozen, tuple[str, ...]]:
    if not recipe.train.tunes:
        note = "A probe fits the head by itself, without rates; another train.strategy learns at these."
        if recipe.train.strategy == "auto":
            note = "A head is fitted by itself, without rates; what is tuned then, the search decides."
        return freezing.find(net, "backbone"), (note,)
    added = frozenset[str]()
    if recipe.train.strategy == "adapters":
        added = adapters.add(net, recipe.model.adapter)
    return modes.build(net, recipe, added)(recipe.train.epochs - 1).frozen, ()


def _lines(
    stage: str,
    names: Sequence[str],
    parameters: Mapping[str, nn.Parameter],
    group_of: Mapping[str, tuple[str, float, float]],
) -> list[GroupLine]:
    """Put the parameters of one stage together that are in one group; those that do not learn are another."""
    members: dict[tuple[str, float, float] | None, list[str]] = {}
    for name in names:
        members.setdefault(group_of.get(name), []).append(name)
    return [
        GroupLine(
            stage=stage,
            group=group[0] if group else "",
            tensors=len(held),
            parameters=sum(parameters[name].numel() for name in held),
            lr=group[1] if group else None,
            weight_decay=group[2] if group else None,
        )
        for group, held in members.items()
    ]
