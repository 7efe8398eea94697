"""What a config says of its surroundings: what is kept and chosen by, hooks, and what changes nothing."""

from __future__ import annotations

from regraft.dialects.openmmlab.datasets import Data
from regraft.dialects.openmmlab.heads import Document
from regraft.dialects.openmmlab.parts import Part

#: Keys that change nothing here, and why.
IDLE = {
    "log_config": "a line for each epoch, and every step in metrics.jsonl",
    "log_level": "there is one",
    "dist_params": "--devices N starts N processes, over nccl or gloo as the machine has it",
    "workflow": "training and measuring follow from the recipe",
    "gpu_ids": "devices are counted: --devices N",
    "device": "it is found: a GPU, or else the processor",
    "launcher": "--devices N starts N processes",
    "cudnn_benchmark": "it is chosen on the machine",
    "deterministic": "on the processor a run repeats bit for bit in any case",
    "find_unused_parameters": "no parameter is unused",
    "mp_start_method": "no processes load pictures",
    "mp_cfg": "no processes load pictures",
    "opencv_num_threads": "OpenCV is not used",
    "custom_imports": "no code of a config is run",
    "momentum_config": "momentum stays what it is",
    "test_cfg": "measuring follows from the pictures",
    "val_cfg": "measuring follows from the pictures",
}


def read_runtime(top: Part, document: Document, data: Data, seed: int | None) -> None:
    """Put what is kept and chosen by into a recipe."""
    train, book = document["train"], top.book
    train["seed"] = top.whole("seed", 0) if seed is None else seed
    if (randomness := top.part("randomness")) is not None:
        train["seed"] = randomness.whole("seed", 0) if seed is None else seed
        randomness.ignore("on the processor a run repeats bit for bit in any case", "deterministic")
        randomness.ignore("each process draws the same", "diff_rank_seed")
    kept = top.part("checkpoint_config")
    if kept is not None:
        many = kept.whole("max_keep_ckpts", -1)
        if many > 0:
            train["keep"] = many
        else:
            book.ignore(
                "checkpoint_config", "the best and the last checkpoint are kept; more by max_keep_ckpts"
            )
        kept.ignore("there is one after each epoch", "interval", "by_epoch", "save_last", "save_begin")
        kept.ignore(
            "it lies in the run's folder, and holds all that a run goes on from", "out_dir", "save_optimizer"
        )
        kept.ignore("what is best is said once", "save_best", "rule", "published_keys")
        kept.close()
    measured = top.part("evaluation")
    best = False
    if measured is not None:
        best = measured.has("save_best")
        reason = "the report has accuracy, and precision and recall of each class"
        measured.ignore(
            reason, "metric", "metric_options", "interval", "start", "by_epoch", "rule", "gpu_collect"
        )
        measured.close()
    if best and data.shared:
        document["eval"]["holdout"] = 0.1
        book.note(
            "'save_best' would choose by the very pictures that are measured on: a tenth of train is held "
            "out to choose by instead."
        )
    elif data.shared:
        book.note(
            "'val' and 'test' are the same pictures: nothing is chosen by them, and the last epoch is taken."
        )
    elif data.validated and not best:
        book.note("The epoch that is best on 'val' is taken; the original takes the last one.")
    _hooks(top, train)
    for key, reason in IDLE.items():
        top.ignore(reason, key)


def _hooks(top: Part, train: dict[str, object]) -> None:
    for hook in top.parts("custom_hooks"):
        kind = hook.text("type")
        if kind in ("EMAHook", "ExpMomentumEMAHook"):
            train["ema"] = 1 - hook.number("momentum", 0.0002)
            hook.ignore("the average moves with every step", "interval", "warm_up", "priority", "resume_from")
        elif kind == "EarlyStoppingHook":
            train["patience"] = hook.whole("patience", 5)
            train["min_delta"] = hook.number("min_delta", 0.1)
            hook.ignore("the validation loss is watched", "monitor", "rule", "priority")
        else:
            top.book.ignore(hook.path, f"there is no {kind}, and no code of a config is run")
            continue
        hook.close()
