"""fastai, the way its documents go: `vision_learner` and `fine_tune`, with its own augmentation and rates.

It validates after each epoch, as it always does, here on one batch: nothing is chosen by it.
"""

from __future__ import annotations

from fastai.vision.all import (
    FuncSplitter,
    ImageDataLoaders,
    Normalize,
    RandomResizedCrop,
    accuracy,
    aug_transforms,
    get_image_files,
    parent_label,
    vision_learner,
)

from tuner_terms import BATCH, Task, load


def tune(task: Task) -> list[str]:
    """Tune the head for an epoch and then all of the net; return the class of each picture."""
    loaders = ImageDataLoaders.from_path_func(
        task.folder,
        [*get_image_files(task.folder / "train"), *task.asked[:BATCH]],
        parent_label,
        splitter=FuncSplitter(lambda path: path in task.asked),
        item_tfms=RandomResizedCrop(task.size, min_scale=0.5),
        batch_tfms=[*aug_transforms(), Normalize.from_stats(task.mean, task.std)],
        bs=BATCH,
        num_workers=0,
    )
    learner = vision_learner(
        loaders, task.architecture, pretrained=False, normalize=False, metrics=accuracy, path=task.home
    )
    load(task, learner.model[0].model)
    learner.fine_tune(task.epochs)
    said, _ = learner.get_preds(dl=loaders.test_dl(list(task.asked)))
    return [loaders.vocab[int(number)] for number in said.argmax(dim=1)]
