"""Tune a net: begin, train from the last checkpoint to the end, and make of the best one what is published.

Every process comes by `train`; what goes before it and after it is done by one.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

import numpy as np
import torch
from safetensors.torch import save

from regraft.engine import device, distributed, loop, memory, outliers, probe
from regraft.engine.predict import Floats, logits, softmax
from regraft.engine.state import weights_of
from regraft.errors import IntegrityError, RunDiverged
from regraft.hub import adapters, heads, nets
from regraft.jobs import acceleration, beginning, boundary, first_batch, soup, trust
from regraft.jobs.beginning import FITTED
from regraft.jobs.features import features_of
from regraft.jobs.learners import Places
from regraft.jobs.session import Session, Task
from regraft.jobs.watching import Watch
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import DatasetVersion, ModelVersion, Training, Version
from regraft.store.journal import Run
from regraft.store.opening import Store
from regraft.store.tables import read_rows


def tune(
    task: Task, model: ModelVersion, launch: Callable[[], None] | None = None
) -> tuple[ModelVersion, Floats]:
    """Train, and return the model with the best weights, and what it says of each row [n, classes].

    Rows that it has learned from have NaN there. `launch` trains in several processes in place of this one.
    """
    memory.keep_memory()
    session = Session(task)
    begin(session)
    if launch is None:
        train(session)
    else:
        launch()
    tuned = _calibrated(session, _finished(session, model))
    task.run.checkpoints(task.recipe.train.keep).clear()
    return tuned


def describe(
    store: Store,
    run: Run,
    model: Version,
    dataset: Version,
    recipe: Recipe,
    *,
    split: str,
    progress: Progress,
) -> Task:
    """Return what is to be learned from one dataset, starting from one model; `split` is measured on."""
    data = dataset.read(DatasetVersion)
    return Task(
        store=store,
        run=run,
        base=model.read(ModelVersion),
        labels=data.labels,
        rows=list(read_rows(store.blobs, data.segments)),
        recipe=recipe,
        measured=split,
        progress=progress,
    )


def train_along(task: Task) -> None:
    """Train as one of several processes, from the checkpoint that was made before."""
    memory.keep_memory()
    train(Session(task))


def begin(session: Session) -> None:
    """Make the checkpoint from which training starts, where the run has none yet."""
    task, state = session.task, session.state
    checkpoints = task.run.checkpoints(task.recipe.train.keep)
    if checkpoints.latest() is not None:
        return
    task.progress("Preparing the net", 0, 1)
    beginning.prepare(session)
    state.restart_average()
    state.at.kept = boundary.choose(session)
    if state.at.kept:
        task.run.log("what is frozen is computed once, and kept")
    fitted = task.recipe.train.strategy in FITTED and session.plan.validate is not None
    if fitted and session.plan.validate is not None:
        state.at.best_loss, accuracy = session.plan.validate(session.net)
        task.run.log(f"before training: validation loss {state.at.best_loss:.4f}, accuracy {accuracy:.3f}")
    checkpoints.put(0, state.pack(), best=fitted)


def train(session: Session) -> None:
    """Go on from the latest checkpoint to the end of the plan."""
    task, state = session.task, session.state
    found = task.run.checkpoints(task.recipe.train.keep).latest()
    if found is None:
        raise _unreadable(task)
    step, data = found
    state.unpack(data)
    if state.at.kept:
        boundary.keep(session)
    else:
        acceleration.accelerate(session, room=device.find_room(session.device.kind))
    if state.at.threads:  # of all processes together
        torch.set_num_threads(max(1, state.at.threads // distributed.world()))
    if step and distributed.rank() == 0:
        task.run.log(f"resumed at step {step}")
        task.run.metric(event="resumed", step=step)
    memory.release_memory()  # what was needed before the first step
    watch = Watch(task.run, task.recipe, session.device, task.progress, steps_per_epoch=len(session.batches))
    watcher: loop.Watcher = watch
    if count := task.recipe.train.soup:
        watcher = soup.Keeper(watch, task.run.checkpoints().soup, count)
    try:
        with task.run.polls():
            loop.train(state, session.plan, watch.timed(session.batches), session.device, watcher)
    except RunDiverged as error:
        rows = [task.rows[session.learners.train[place]].key for place in error.positions]
        raise RunDiverged(f"{error} The batch: {', '.join(map(repr, rows[:8]))}.", hint=error.hint) from None


def _finished(session: Session, model: ModelVersion) -> ModelVersion:
    """Return the model with the best weights, of which what is new is stored."""
    task, state = session.task, session.state
    checkpoints = task.run.checkpoints(task.recipe.train.keep)
    latest, best = checkpoints.latest(), checkpoints.best()
    if latest is None:
        raise _unreadable(task)
    state.unpack(latest[1])
    if best is None:
        never = state.at.losses and not any(map(isfinite, state.at.losses))
        raise _never_a_number() if never else _unreadable(task)
    weights = weights_of(best[1])
    state.put_weights(weights)
    used: tuple[int, ...] = ()
    if task.recipe.train.soup:
        used = soup.stir(session, weights, checkpoints.soup)
    net = session.net.to("cpu")
    adapter, trunk = None, nets.split_state(net)[0]
    if task.recipe.train.strategy == "adapters":
        adapter = task.store.blobs.put(save(adapters.state(net)))
        trunk = adapters.base_state(net)
    head = {name: value.detach().contiguous() for name, value in net.head.state_dict().items()}
    learned = sum(p.numel() for group in state.optimizer.param_groups for p in group["params"])
    return model.model_copy(
        update={
            "trunk": task.store.blobs.put(save(trunk)),
            "head": task.store.blobs.put(save(head)),
            "head_kind": heads.kind(net.head),
            "adapter": adapter,
            "training": Training(
                strategy=task.recipe.train.strategy,
                pictures=len(session.learners.train),
                chosen_by=len(session.learners.chosen_by),
                trainable=learned,
                frozen=sum(p.numel() for p in net.parameters()) - learned,
                steps=state.at.step,
                best=state.at.best,
                epochs=state.epochs,
                ended=state.at.ended,
                soup=used,
                batch=task.store.blobs.put(first_batch.draw(session)),
            ),
        }
    )


def _calibrated(session: Session, model: ModelVersion) -> tuple[ModelVersion, Floats]:
    """Return the model with the temperature that the pictures it was chosen by call for, and what it says."""
    task = session.task
    places = np.setdiff1d(np.arange(len(task.rows)), session.learners.train)
    features = _features(task, model, places)
    head = {name: value.numpy() for name, value in session.net.head.state_dict().items()}
    said = logits(model.head_kind, head, features)
    chosen = np.isin(places, session.learners.chosen_by)
    temperature = probe.find_temperature(said[chosen], task.targets[places[chosen]]) if chosen.any() else 1.0
    everything = np.full((len(task.rows), len(task.labels)), np.nan, dtype=np.float32)
    everything[places] = softmax(said / temperature)
    limits = None
    if chosen.any():
        limits = trust.held_out(
            task.store,
            _features(task, model, outliers.some(session.learners.train)),
            features[chosen],
            task.targets[places[chosen]],
            softmax(said[chosen] / temperature),
        )
    return model.model_copy(update={"temperature": temperature, "trust": limits}), everything


def _features(task: Task, model: ModelVersion, places: Places) -> Floats:
    return features_of(
        task.store,
        model,
        [task.rows[place] for place in places],
        precision=model.precision or "float32",
        batch_size=task.recipe.train.batch_size,
        progress=task.progress,
    )


def _never_a_number() -> RunDiverged:
    return RunDiverged(
        "The validation loss was not a number after any epoch.",
        hint="Lower the rate (optim.lr), clip gradients (optim.clip = 1), or compute in float32.",
    )


def _unreadable(task: Task) -> IntegrityError:
    return IntegrityError(
        f"No checkpoint of run {task.run.id} can be read.", hint="Run the command again from the start."
    )
