"""The keys of MMPretrain 1.x as those of MMClassification 0.x, which the rest of the dialect reads."""

from __future__ import annotations

from regraft.dialects.openmmlab.parts import Book
from regraft.dialects.openmmlab.tables import Place, Table, copied, invalid, merge

#: Top-level keys that only 1.x has.
KEYS = frozenset(
    {
        *("optim_wrapper", "param_scheduler", "train_cfg", "val_cfg", "test_cfg", "data_preprocessor"),
        *("train_dataloader", "val_dataloader", "test_dataloader", "val_evaluator", "test_evaluator"),
        *("default_hooks", "env_cfg", "randomness", "default_scope", "vis_backends", "visualizer", "resume"),
        *("log_processor", "launcher"),
    }
)
#: Those of them that need no other name.
_KEPT = frozenset({"randomness", "resume", "val_cfg", "test_cfg"})
_UNKNOWN = Place(file="?")
_POLICIES = {
    "MultiStepLR": "step",
    "StepLR": "step",
    "ExponentialLR": "exp",
    "CosineAnnealingLR": "CosineAnnealing",
    "PolyLR": "poly",
    "ConstantLR": "fixed",
    "OneCycleLR": "OneCycle",
}


def translate(table: Table, book: Book) -> Table:
    """Return a config in which each key of 1.x has become one of 0.x, over what that key was before."""
    if not KEYS & table.keys():
        return table
    result = Table()
    for key, value in table.items():
        if key not in KEYS - _KEPT:
            result.put(key, copied(value), table.places.get(key, _UNKNOWN))
    for key, value in _renamed(table, book).items():
        fresh = Table()
        fresh.put(key, value, next(iter(value.places.values()), _UNKNOWN))
        result = merge(result, fresh)
    for key in ("default_scope", "vis_backends", "visualizer", "env_cfg", "log_processor", "launcher"):
        if table.get(key) is not None:
            book.ignore(key, "it is how the original is started, and how it tells")
    return result


def _renamed(table: Table, book: Book) -> dict[str, Table]:
    found: dict[str, Table] = {}
    wrapper = _table(table, "optim_wrapper")
    if wrapper is not None:
        found |= _optimizer(wrapper, table.places["optim_wrapper"])
    if table.get("param_scheduler") is not None:
        found["lr_config"] = _rates(table)
    loop = _table(table, "train_cfg")
    if loop is not None:
        found["runner"] = _runner(loop)
    data = _data(table)
    if table.get("data_preprocessor") is not None and not any(
        "pipeline" in str(part) for part in data.values()
    ):
        book.ignore(
            "data_preprocessor", "no pipeline stands in the same style; write Normalize in that of data"
        )
    if data:
        found["data"] = data
    evaluator = _table(table, "val_evaluator")
    if evaluator is not None:
        book.ignore("val_evaluator", "the report has accuracy, and precision and recall of each class")
        book.ignore("test_evaluator", "the report has accuracy, and precision and recall of each class")
    hooks = _table(table, "default_hooks")
    if hooks is not None:
        checkpoint = _table(hooks, "checkpoint")
        if checkpoint is not None:
            found["checkpoint_config"] = _without(checkpoint, "type")
            if checkpoint.get("save_best") is not None:
                found["evaluation"] = _only(checkpoint, "save_best", "rule")
        if _table(hooks, "logger") is not None:
            found["log_config"] = _without(hooks["logger"], "type")
    return found


def _optimizer(wrapper: Table, place: Place) -> dict[str, Table]:
    found: dict[str, Table] = {}
    optimizer = _table(wrapper, "optimizer")
    inner = Table(optimizer or {})
    if wrapper.get("paramwise_cfg") is not None:
        inner.put("paramwise_cfg", wrapper["paramwise_cfg"], wrapper.places["paramwise_cfg"])
    if inner:
        found["optimizer"] = inner
    config = Table()
    if wrapper.get("clip_grad") is not None:
        config.put("grad_clip", wrapper["clip_grad"], wrapper.places["clip_grad"])
    if wrapper.get("accumulative_counts") is not None:
        config.put("type", "GradientCumulativeOptimizerHook", place)
        config.put("cumulative_iters", wrapper["accumulative_counts"], place)
    elif wrapper.get("type") == "AmpOptimWrapper":
        config.put("type", "Fp16OptimizerHook", place)
    for key in wrapper:
        if key not in (
            "type",
            "optimizer",
            "paramwise_cfg",
            "clip_grad",
            "accumulative_counts",
            "loss_scale",
            "dtype",
        ):
            config.put(key, wrapper[key], wrapper.places[key])
    if config:
        config.put("_delete_", True, place)
        found["optimizer_config"] = config
    return found


def _rates(table: Table) -> Table:
    """Join a warm-up and what follows it."""
    place, value = table.places["param_scheduler"], table["param_scheduler"]
    items = value if isinstance(value, list | tuple) else [value]
    result = Table()
    result.put("_delete_", True, place)
    result.put("policy", "fixed", place)
    for item in items:
        if not isinstance(item, Table):
            raise invalid(place, "'param_scheduler' is no list of dicts.", where="param_scheduler")
        kind, line = item.get("type"), item.places.get("type", place)
        by_epoch = item.get("by_epoch", True) is True
        if kind in ("LinearLR", "ConstantLR") and (item.get("end") is not None or len(items) > 1):
            result.put("warmup", "linear" if kind == "LinearLR" else "constant", line)
            result.put("warmup_ratio", item.get("start_factor", item.get("factor", 1 / 3)), line)
            result.put("warmup_iters", item.get("end", 5), line)
            result.put("warmup_by_epoch", by_epoch, line)
        elif isinstance(kind, str) and kind in _POLICIES and result["policy"] == "fixed":
            result.put("policy", _POLICIES[kind], line)
            result.put("by_epoch", by_epoch, line)
            result.put("begin", item.get("begin", 0), line)
            names = {
                "milestones": "step",
                "step_size": "step",
                "eta_min": "min_lr",
                "eta_min_ratio": "min_lr_ratio",
            }
            for key, option in item.items():
                if key not in (
                    "type",
                    "by_epoch",
                    "begin",
                    "end",
                    "T_max",
                    "convert_to_iter_based",
                    "total_steps",
                ):
                    result.put(names.get(key, key), option, item.places[key])
        else:
            raise invalid(
                line,
                f"{kind!r} cannot be joined to what stands before it.",
                hint=f"There is a warm-up (LinearLR), and then one of {', '.join(_POLICIES)}.",
                where="param_scheduler",
            )
    return result


def _runner(loop: Table) -> Table:
    result = Table()
    by_epoch = loop.get("by_epoch", True) is True and loop.get("type") != "IterBasedTrainLoop"
    place = next(iter(loop.places.values()), _UNKNOWN)
    result.put("type", "EpochBasedRunner" if by_epoch else "IterBasedRunner", place)
    for key in ("max_epochs", "max_iters"):
        if loop.get(key) is not None:
            result.put(key, loop[key], loop.places[key])
    return result


def _data(table: Table) -> Table:
    """Return `data` of 0.x, with the normalisation as a step of each pipeline."""
    data = Table()
    model = table.get("model")
    inner = model.get("data_preprocessor") if isinstance(model, Table) else None
    normal = _table(table, "data_preprocessor") or (inner if isinstance(inner, Table) else None)
    for split in ("train", "val", "test"):
        loader = _table(table, f"{split}_dataloader")
        if loader is None:
            continue
        if split == "train":
            for old, new in (("batch_size", "samples_per_gpu"), ("num_workers", "workers_per_gpu")):
                if loader.get(old) is not None:
                    data.put(new, loader[old], loader.places[old])
        dataset = _table(loader, "dataset")
        if dataset is not None:
            made = copied(dataset)
            if isinstance(made, Table):
                _normalise(made, normal)
                for key in ("data_prefix", "ann_file") if made.get("data_root") is not None else ():
                    if key not in made:  # what 0.x says of them is nothing below this root
                        made.put(key, "", made.places["data_root"])
                data.put(split, made, loader.places["dataset"])
    return data


def _normalise(dataset: Table, normal: Table | None) -> None:
    inner = dataset.get("dataset")
    if isinstance(inner, Table):
        _normalise(inner, normal)
    pipeline = dataset.get("pipeline")
    if not isinstance(pipeline, list | tuple) or normal is None or normal.get("mean") is None:
        return
    step = Table()
    place = normal.places["mean"]
    step.put("type", "Normalize", place)
    for key in ("mean", "std"):
        step.put(key, normal.get(key), normal.places.get(key, place))
    step.put("to_rgb", normal.get("to_rgb", False), normal.places.get("to_rgb", place))
    dataset.put("pipeline", [*pipeline, step], dataset.places["pipeline"])


def _table(table: Table, key: str) -> Table | None:
    value = table.get(key)
    return value if isinstance(value, Table) else None


def _without(value: object, *keys: str) -> Table:
    return _pick(value, lambda key: key not in keys)


def _only(value: object, *keys: str) -> Table:
    return _pick(value, lambda key: key in keys)


def _pick(value: object, wanted: object) -> Table:
    result = Table()
    if isinstance(value, Table) and callable(wanted):
        for key, item in value.items():
            if wanted(key):
                result.put(key, item, value.places[key])
    return result
