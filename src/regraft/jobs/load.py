"""Load a model as a plain module of torch: whole, with a fresh head, or without one."""

from __future__ import annotations

import torch
from torch import nn

from regraft.errors import InvalidError, MismatchError
from regraft.hub import bodies, heads, nets
from regraft.hub.nets import Net
from regraft.hub.sources.find import architecture_of
from regraft.jobs import trunk
from regraft.jobs.fetch import fetch
from regraft.progress import Progress
from regraft.records import ModelVersion
from regraft.refs import Ref
from regraft.store.opening import Store


def load(
    store: Store,
    ref: Ref,
    *,
    include_top: bool,
    pretrained: bool,
    num_classes: int | None,
    in_channels: int,
    pool: bool,
    weights: str,
    progress: Progress,
) -> nn.Module:
    """Return a model in eval mode: logits [n, classes] or, without its top, features or maps.

    Raises InvalidError for words that contradict each other, MismatchError for what the net does not have,
    and what `fetch` raises.
    """
    _check(include_top=include_top, num_classes=num_classes, in_channels=in_channels, pool=pool)
    if weights and not pretrained:
        raise InvalidError(
            "A net without pretrained weights takes none from a file.",
            hint="Leave weights out, or pretrained=False.",
            where="weights",
        )
    if pretrained:
        model = fetch(store, ref, weights=weights, progress=progress).read(ModelVersion)
        net, spec = trunk.load_net(store, model), model.input
        if in_channels != 3:
            net = _for_channels(net, in_channels)
    else:
        net = nets.build(architecture(store, ref), in_channels=in_channels)
        spec = nets.input_spec(net)
    if num_classes is not None:
        nets.replace_head(net, heads.build("linear", net.num_features, num_classes))
    if not include_top:
        example = torch.zeros(1, in_channels, spec.size, spec.size)
        return bodies.pooled(net) if pool else bodies.mapped(net.eval(), example)
    if not nets.count_classes(net):
        raise MismatchError(
            f"The model {str(ref)!r} has no classifier.",
            hint="Give it a fresh one by num_classes=N, or take features by include_top=False.",
        )
    return net.eval()


def _check(*, include_top: bool, num_classes: int | None, in_channels: int, pool: bool) -> None:
    if num_classes is not None and not include_top:
        raise InvalidError(
            "A net without its top has no classes.",
            hint="Leave away num_classes, or include_top=False.",
            where="num_classes",
        )
    if include_top and not pool:
        raise InvalidError(
            "A classifier takes features, which are pooled.", hint="Say include_top=False, too.", where="pool"
        )
    for name, number in (("num_classes", num_classes), ("in_channels", in_channels)):
        if number is not None and number < 1:
            raise InvalidError(f"{name} is {number}.", hint="It is 1 or more.", where=name)


def architecture(store: Store, ref: Ref) -> str:
    """Return what `hub.nets` calls the net that a ref names, without any file of weights.

    Raises InvalidError where only the weights can tell, and NotFoundError.
    """
    if not ref.source:
        return store.catalog.find("models", ref).read(ModelVersion).architecture
    if known := architecture_of(ref):
        return known
    raise InvalidError(
        f"What {str(ref)!r} is can be known from its weights alone.",
        hint="Name the architecture: timm:NAME or torchvision:NAME.",
        where="pretrained",
    )


def _for_channels(net: Net, count: int) -> Net:
    """Return a net of the same architecture and weights that takes so many channels."""
    state, _ = nets.split_state(net)
    other = nets.load_trunk(nets.build(net.architecture, in_channels=count), state)
    if net.head_kind != "own":
        return nets.replace_head(other, net.head)
    other.head = net.head
    return other
