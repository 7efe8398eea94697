"""The contract that every net fulfils: a trunk from pictures to features, and a head from features to logits.

It is met by any timm net whose classifier is one linear layer, by torchvision's classification nets, and by
the nets that come with Regraft. A parameter of the trunk is called as in the architecture, below `trunk.`;
those of the head stand below `head.`.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d

from regraft.errors import MismatchError
from regraft.hub import builders, heads
from regraft.hub.layouts import State
from regraft.records import HeadKind, InputSpec


class MapHead(nn.Sequential):
    """The classifier of a SqueezeNet, which takes the trunk's map [n, c, h, w] in place of features."""


class Net(nn.Module):
    """A trunk, which turns pictures into features [n, num_features], and a head, which makes logits of them.

    Below a MapHead the trunk gives a map; with any other head it gives features.
    """

    def __init__(self, trunk: nn.Module, head: nn.Module, *, architecture: str, classifier: str) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head
        #: As `build` knows it.
        self.architecture = architecture
        #: Name of the head within the architecture.
        self.classifier = classifier
        self.num_features = next(tensor.shape[1] for tensor in head.parameters())

    @property
    def head_kind(self) -> HeadKind:
        """What the head is; `own` where it is the architecture's, and no linear layer with a bias."""
        return heads.kind(self.head)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Turn prepared pictures [n, channels, height, width] into logits [n, classes]."""
        logits: torch.Tensor = self.head(self.trunk(pictures))
        return logits


def build(architecture: str, *, in_channels: int = 3, drop_path: float = 0.0) -> Net:
    """Build a net with random weights and its original classifier as head.

    An architecture is `resnet18` of timm, `torchvision:resnet18`, or `regraft:cifar_resnet20`. Raises
    NotFoundError with the nearest name, and MismatchError where the classifier cannot be replaced.
    """
    built = builders.build(architecture, in_channels=in_channels, drop_path=drop_path)
    trunk, place = built.net, built.classifier
    head = trunk.get_submodule(place)
    if isinstance(head, nn.Linear):
        parent, _, name = place.rpartition(".")
        setattr(trunk.get_submodule(parent), name, nn.Identity())
    elif isinstance(head, nn.Sequential):
        trunk, head = _named(features=trunk.get_submodule("features")), MapHead(*head, nn.Flatten())
    else:
        raise MismatchError(
            f"The classifier of {architecture!r} is {type(head).__name__}, not one linear layer.",
            hint="Choose another architecture.",
        )
    return Net(trunk, head, architecture=architecture, classifier=place)


def outline(architecture: str) -> Net:
    """Build a net whose weights have shapes and no memory: enough for names, counts and stages."""
    with builders.Outline():
        return build(architecture)


def input_spec(net: Net) -> InputSpec:
    """Return how pictures must be prepared for the weights that the net's library has for it.

    Raises MismatchError where Regraft cannot prepare them so.
    """
    return builders.input_spec(net.architecture, net.trunk)


def label_names(net: Net) -> tuple[str, ...]:
    """Return the names of the classes that the weights of the net's library know, else plain numbers."""
    return builders.label_names(net.architecture, count_classes(net))


def count_classes(net: Net) -> int:
    """Return how many classes the net's head tells apart."""
    return next(len(tensor) for name, tensor in net.head.named_parameters() if name.endswith("weight"))


def replace_head(net: Net, head: nn.Module) -> Net:
    """Give the net another head, from features [n, num_features] to logits, in place; return the net."""
    if isinstance(net.head, MapHead):
        net.trunk = _named(
            features=net.trunk.get_submodule("features"), pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten()
        )
    net.head = head
    return net


def features(net: Net, pictures: torch.Tensor) -> torch.Tensor:
    """Turn prepared pictures [n, channels, height, width] into features [n, num_features]."""
    result: torch.Tensor = net.trunk(pictures)
    return adaptive_avg_pool2d(result, 1).flatten(1) if isinstance(net.head, MapHead) else result


def split_state(net: Net) -> tuple[State, State]:
    """Return copies of the tensors of the trunk, named as in the architecture, and of the head."""
    trunk, head = (
        {name: tensor.clone().contiguous() for name, tensor in part.state_dict().items()}
        for part in (net.trunk, net.head)
    )
    return trunk, head


def load_trunk(net: Net, state: State) -> Net:
    """Put a stored trunk into a net of its architecture, in place; return the net.

    Where the net takes another number of channels than the trunk was stored with, its first convolution
    gets the sum over red, green and blue, or their weights in turn, scaled to the same sum. Raises
    MismatchError where a tensor is missing, unknown, or of another shape.
    """
    wanted = net.trunk.state_dict()
    fitted = {
        name: _with_channels(tensor, wanted[name].shape) if name in wanted else tensor
        for name, tensor in state.items()
    }
    missing = wanted.keys() - fitted.keys()
    unknown = fitted.keys() - wanted.keys()
    wrong = [name for name in wanted.keys() & fitted.keys() if wanted[name].shape != fitted[name].shape]
    if missing or unknown or wrong:
        raise MismatchError(
            f"The stored weights do not fit the net that {net.architecture!r} names here: {len(missing)} "
            f"tensors are missing, {len(unknown)} are unknown, {len(wrong)} have another shape.",
            hint="Install the versions of timm and torchvision that the model's lineage names.",
        )
    _load(net.trunk, fitted)
    return net


def original_state(net: Net) -> State:
    """Return the net's tensors under the names that they have in the architecture."""
    return {
        **net.trunk.state_dict(),
        **{f"{net.classifier}.{name}": tensor for name, tensor in net.head.state_dict().items()},
    }


def load_original(net: Net, state: State) -> Net:
    """Put tensors under the architecture's names into the net, in place; return the net.

    Tensors of the net that the state lacks stay, and what the net lacks is left out.
    """
    prefix = f"{net.classifier}."
    trunk, head = net.trunk.state_dict(), net.head.state_dict()
    _load(net.trunk, {name: value for name, value in state.items() if name in trunk})
    _load(net.head, {name: state[prefix + name] for name in head if prefix + name in state})
    return net


def _load(module: nn.Module, state: State) -> None:
    tensors = module.state_dict()  # it says which version of the module it is of, as a MNASNet asks
    tensors.update(state)
    module.load_state_dict(tensors)


def _named(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def _with_channels(weight: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Fit the weight of a first convolution over three channels to a net that takes another number."""
    if weight.ndim != 4 or weight.shape[1] != 3 or shape[1] == 3:
        return weight
    count = shape[1]
    if count == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, [channel % 3 for channel in range(count)]] * (3 / count)
