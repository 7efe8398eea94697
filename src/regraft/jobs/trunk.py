"""The side of the jobs that needs torch: convert weights, measure the machine, run the trunk.

It is imported only where one of these has to be done, since importing torch and timm takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import torch
from safetensors.torch import load, save
from torch import nn

from regraft.data.loading import batches
from regraft.data.transforms import Prepared
from regraft.engine import device
from regraft.engine.predict import Floats
from regraft.hub import nets
from regraft.hub.sources import Source
from regraft.hub.weights import load_into, read_weights
from regraft.records import ModelVersion, Precision
from regraft.store.opening import Store

#: The smallest batch that a net gets: for smaller ones the libraries take other kernels, whose results
#: differ in the last bit. Smaller batches are filled up, so that company never changes a picture's features.
SMALLEST = 16
#: From this many pictures on it pays to find out how many threads are fastest.
_MANY = 96


def convert(store: Store, source: Source, *, ref: str, weights_file: str) -> ModelVersion:
    """Read pretrained weights, check them against their net, and store them; return the manifest."""
    net = nets.build(source.architecture)
    report = load_into(net, read_weights(source.weights))
    trunk, head = nets.split_state(net)
    return ModelVersion(
        parent=None,
        architecture=source.architecture,
        source=ref,
        weights_file=weights_file,
        trunk=store.blobs.put(save(trunk)),
        head=store.blobs.put(save(head)),
        num_features=nets.num_features(net),
        labels=nets.label_names(len(head["bias"])),
        input=nets.input_spec(net),
        temperature=1.0,
        precision=None,
        licence=source.licence,
        load_report=report,
        learning=None,
        lineage=None,
    )


def load_net(store: Store, model: ModelVersion) -> nn.Module:
    """Return the whole net of a model in eval mode; its logits are not divided by the temperature."""
    net = nets.load_trunk(nets.build(model.architecture), load(store.blobs.get(model.trunk)))
    head = load(store.blobs.get(model.head))
    return nets.replace_head(net, head["weight"], head["bias"]).eval()


def fastest_precision(store: Store, model: ModelVersion) -> Precision:
    """Measure which precision runs the model's trunk fastest on this machine."""
    device.keep_memory()
    size = model.input.size
    batch = torch.randn(SMALLEST, 3, size, size, generator=torch.Generator().manual_seed(0))
    return device.fastest_precision(nets.features, load_net(store, model), batch)


def compute(
    store: Store,
    model: ModelVersion,
    pictures: Iterable[Prepared],
    *,
    precision: Precision,
    batch_size: int,
    count: int,
) -> Iterator[Floats]:
    """Yield the features of `count` prepared pictures in order, batch by batch: [n, num_features]."""
    device.keep_memory()
    here = device.Device(precision)
    net = here.place(load_net(store, model))
    run = partial(here.compute, nets.features, net)
    if count >= _MANY and here.kind == "cpu":
        device.choose_threads(partial(run, torch.zeros(8, 3, model.input.size, model.input.size)))
    for batch in batches(pictures, model.input, batch_size=batch_size):
        missing = max(0, SMALLEST - len(batch))
        full = torch.cat([batch, batch[-1:].expand(missing, -1, -1, -1)]) if missing else batch
        yield np.asarray(run(full)[: len(batch)].numpy(), dtype=np.float32)
