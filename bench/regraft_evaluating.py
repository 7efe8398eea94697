"""Regraft's arm of `evaluating`: the pictures of a folder, named or measured on, for each line that it gets.

First it fits a head, and lays down the net's weights for the plain script. An evaluation begins with a
workspace that does not know the folder, as it is the first time.

    python regraft_evaluating.py NET OPTIONS LEARNED FOLDER HOME
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

import regraft
from measuring import timed
from regraft.hub import nets
from regraft.jobs.trunk import load_net
from regraft.records import ModelVersion
from regraft.store.opening import open_store
from turns import serve


def prepare(net: str, options: str, learned: str, home: str) -> dict[str, Any]:
    """Fine-tune; keep the model as `default`, and as `exact`, which computes in float32."""
    store, workspace = open_store(home), regraft.open(home)
    result = workspace.finetune(learned, model=net, settings=options.split(), name="default")
    model = workspace.models.get(result.model).read(ModelVersion)
    store.catalog.commit("models", "exact", lambda _: model.model_copy(update={"precision": "float32"}))
    weights = Path(f"{home}.safetensors")
    tensors = nets.original_state(load_net(store, model))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, weights)
    facts = {"net": model.architecture, "weights": str(weights), "labels": model.labels}
    return {**facts, "precision": model.precision, "input": model.input.model_dump_json()}


def main(net: str, options: str, learned: str, folder: str, home: str) -> None:
    again = Path(f"{home}-again")

    def work(job: str) -> dict[str, Any]:
        if job == "prepare":
            return prepare(net, options, learned, home)
        if job in ("predict", "exact"):
            model = "exact" if job == "exact" else "default"
            said, seconds = timed(lambda: regraft.open(home).predict(model, folder, top=1))
            return {"seconds": seconds, "said": [prediction.label for prediction in said]}
        shutil.rmtree(again, ignore_errors=True)
        shutil.copytree(home, again)
        measured, seconds = timed(lambda: regraft.open(again).evaluate("default", folder))
        return {"seconds": seconds, "accuracy": measured.report.metrics.accuracy}

    serve(work)


if __name__ == "__main__":
    main(*sys.argv[1:])
