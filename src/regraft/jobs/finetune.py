"""Fine-tune: dataset, pretrained model and recipe in; a measured model out."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from regraft import suggest
from regraft.jobs import check, evaluate, machine
from regraft.jobs.auto.entrant import Entrant
from regraft.jobs.auto.job import run_auto
from regraft.jobs.fit import fit
from regraft.progress import Progress
from regraft.recipe import Recipe, recorded
from regraft.records import DatasetVersion, Lineage, ModelVersion, Precision, Version
from regraft.store.journal import Run
from regraft.store.opening import Store
from regraft.store.tables import read_rows


def finetune(
    store: Store,
    run: Run,
    *,
    model: Version,
    dataset: Version,
    progress: Progress,
    launch: Callable[[], None] | None = None,
) -> tuple[Version, Version]:
    """Fit a head or tune the net, publish the model, measure it; return the model and its report.

    `launch` trains in several processes. A run that was cut off goes on from its latest checkpoint.
    """
    recipe = recorded(run.record)
    name, split = run.record.inputs["name"], run.record.inputs["split"]
    data = dataset.read(DatasetVersion)
    rows = list(read_rows(store.blobs, data.segments))
    plain = _plain(model, dataset, recipe)
    if recipe.train.strategy == "probe":
        tuned, said = fit(
            store,
            run,
            model=plain,
            labels=data.labels,
            rows=rows,
            recipe=recipe,
            precision=_resolved(recipe.train.precision),
            progress=progress,
        )
    elif recipe.train.strategy == "auto":
        tuned, said = run_auto(
            store,
            run,
            native=Entrant(version=model, model=plain, precision=_resolved(recipe.train.precision)),
            blank=lambda chosen, again: _plain(chosen.version, dataset, again),
            labels=data.labels,
            rows=rows,
            recipe=recipe,
            measured=split,
            progress=progress,
        )
    else:
        from regraft.jobs import tune  # torch and timm, which a probe on known features does without

        task = tune.describe(store, run, model, dataset, recipe, split=split, progress=progress)
        tuned, said = tune.tune(task, plain, launch)

    def build(parent: Version | None) -> ModelVersion:
        return tuned.model_copy(update={"parent": parent.digest if parent else None})

    published, _ = store.catalog.commit("models", name, build)
    run.log(f"model {published}, weights {tuned.weights}")
    found = check.examine(store, dataset, said, progress)
    check.write(store, run, found, dataset)
    report = evaluate.measure(store, published, dataset, split=split, progress=progress, found=found)
    return published, report


def _plain(model: Version, dataset: Version, recipe: Recipe) -> ModelVersion:
    """Return the manifest that a new model begins with: of what made its base nothing is true any more."""
    base = model.read(ModelVersion)
    return base.model_copy(
        update={
            "labels": dataset.read(DatasetVersion).labels,
            "precision": _resolved(recipe.eval.precision),
            "input": suggest.seen(recipe.data, base.input),
            "learning": None,
            "training": None,
            "trust": None,
            "statistics": None,
            "growth": None,
            "board": None,
            "lineage": Lineage(
                dataset=dataset.digest,
                model=model.digest,
                recipe=recipe.model_dump(mode="json"),
                seed=recipe.train.seed,
                code=version("regraft"),
                environment=machine.environment(),
            ),
        }
    )


def _resolved(precision: str) -> Precision:
    if precision in ("auto", "exact"):
        raise ValueError(f"the recipe is not resolved: precision is {precision!r}")
    return precision  # type: ignore[return-value]  # mypy does not narrow by `in`
