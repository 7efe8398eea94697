"""The side of the jobs that needs torch: convert weights, measure the machine, run the trunk.

It is imported only where one of these has to be done, since importing torch and timm takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import cast

import numpy as np
import torch
from safetensors.torch import load, save
from torch import nn

from regraft.data.loading import batches
from regraft.data.transforms import Prepared
from regraft.engine import device, memory
from regraft.engine.predict import Floats
from regraft.hub import adapters, architectures, heads, nets
from regraft.hub.sources.source import Source
from regraft.hub.weights import load_into, read_weights
from regraft.records import InputSpec, LoadReport, ModelVersion, Precision
from regraft.store.opening import Store

#: The smallest batch that a net gets: for smaller ones the libraries take other kernels, whose results
#: differ in the last bit. Smaller batches are filled up, so that company never changes a picture's features.
SMALLEST = 16
#: From this many pictures on it pays to find out how many threads are fastest.
_MANY = 96


def convert(
    store: Store, source: Source, *, ref: str, weights_file: str, prefix: str = "", partial: bool = False
) -> ModelVersion:
    """Read pretrained weights, check them against their net, and store them; return the manifest.

    Weights that do not say their architecture are recognised. A model whose weights have no classifier knows
    no labels: it can be fine-tuned, and says nothing of pictures.
    """
    state = read_weights(source.weights)
    architecture = source.architecture or architectures.recognise(state, prefix=prefix)
    torch.manual_seed(0)  # of what the weights lack, in a net that they fit in part
    net = nets.build(architecture)
    report = load_into(net, state, prefix=prefix, partial=partial)
    labels = nets.label_names(net)
    return _stored(
        store,
        net,
        ref=ref,
        weights_file=weights_file,
        labels=source.labels if len(source.labels) == len(labels) else labels,
        input=source.input or nets.input_spec(net),
        licence=source.licence,
        report=report,
    )


def untrained(store: Store, architecture: str, *, ref: str) -> ModelVersion:
    """Build a net with random weights, the same each time, and store them; return the manifest.

    It has no classifier, and so knows no labels: it can be trained, and says nothing of pictures.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        net = nets.build(architecture)
    nets.replace_head(net, heads.Linear(net.num_features, 0))
    return _stored(
        store,
        net,
        ref=ref,
        weights_file="",
        labels=(),
        input=nets.input_spec(net),
        licence="none (the weights are random)",
        report=LoadReport(loaded=0, converted=0, missing=(), unexpected=()),
    )


def _stored(
    store: Store,
    net: nets.Net,
    *,
    ref: str,
    weights_file: str,
    labels: tuple[str, ...],
    input: InputSpec,  # noqa: A002 (what the field of a model is called)
    licence: str,
    report: LoadReport,
) -> ModelVersion:
    trunk, head = nets.split_state(net)
    return ModelVersion(
        parent=None,
        architecture=net.architecture,
        source=ref,
        weights_file=weights_file,
        trunk=store.blobs.put(save(trunk)),
        head=store.blobs.put(save(head)),
        num_features=net.num_features,
        labels=labels,
        input=input,
        temperature=1.0,
        precision=None,
        licence=licence,
        load_report=report,
        learning=None,
        lineage=None,
        head_kind=net.head_kind,
    )


def load_net(store: Store, model: ModelVersion, *, drop_path: float = 0.0) -> nets.Net:
    """Return the whole net of a model in eval mode; its logits are not divided by the temperature.

    Adapters are merged. In train mode blocks are passed by with the chance `drop_path`.
    """
    net = nets.build(model.architecture, drop_path=drop_path)
    nets.load_trunk(net, load(store.blobs.get(model.trunk)))
    if model.adapter is not None:
        adapters.load(net, load(store.blobs.get(model.adapter)))
    head = load(store.blobs.get(model.head))
    if model.head_kind == "own":
        net.head.load_state_dict(head)
    else:
        nets.replace_head(net, heads.from_state(model.head_kind, head))
    return net.eval()


def fastest_precision(store: Store, model: ModelVersion) -> Precision:
    """Measure which precision runs the model's trunk fastest on this machine."""
    memory.keep_memory()
    size = model.input.size
    batch = torch.randn(SMALLEST, 3, size, size, generator=torch.Generator().manual_seed(0))
    return device.fastest_precision(_features, load_net(store, model), batch)


def compute(
    store: Store,
    model: ModelVersion,
    pictures: Iterable[Prepared],
    *,
    precision: Precision,
    batch_size: int,
    count: int,
    logits: bool = False,
) -> Iterator[Floats]:
    """Yield the features of `count` prepared pictures in order, batch by batch: [n, num_features].

    With `logits` what the whole net says: [n, classes].
    """
    memory.keep_memory()
    here = device.Device(precision)
    net = here.place(load_net(store, model))
    run = partial(here.compute, _logits if logits else _features, net)
    if count >= _MANY and here.kind == "cpu":
        device.choose_threads(partial(run, torch.zeros(8, 3, model.input.size, model.input.size)))
    for batch in batches(pictures, model.input, batch_size=batch_size):
        missing = max(0, SMALLEST - len(batch))
        full = torch.cat([batch, batch[-1:].expand(missing, -1, -1, -1)]) if missing else batch
        yield np.asarray(run(full)[: len(batch)].numpy(), dtype=np.float32)


def _logits(net: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = net(pictures)
    return result


def _features(net: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    return nets.features(cast(nets.Net, net), pictures)
