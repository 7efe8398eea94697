"""What a person does with a config: read it, fine-tune by it, go on where it was cut off.

The words of a config are those of OpenMMLab; what happens is what Regraft's own verbs do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from regraft import durable
from regraft.data.sources.readers import expand
from regraft.dialects.openmmlab import configs, tables
from regraft.dialects.openmmlab import translate as translating
from regraft.dialects.openmmlab.translate import Imported
from regraft.errors import InvalidError, NotFoundError
from regraft.recipe import recorded, write
from regraft.store.journal import Run
from regraft.workspace.main import FinetuneResult, Workspace
from regraft.workspace.runs import RunResult

__all__ = ["Imported", "finetune", "read", "resume", "to_toml"]

#: What tells in a folder of results which run, model and report they are of.
POINTER = "regraft.json"


def read(
    config: str | Path, *, options: Iterable[str] = (), devices: int = 1, seed: int | None = None
) -> Imported:
    """Read a config, and say what it comes to in Regraft; nothing of it is executed.

    `options` are those of `--cfg-options`. Raises InvalidRecipe, with file, line and remedy.
    """
    return translating.translate(configs.read(config), changes=tuple(options), devices=devices, seed=seed)


def to_toml(imported: Imported) -> str:
    """Write the recipe as TOML, with what is to be known of it above."""
    lines = [
        f"From {imported.name}. Pictures: {imported.dataset}",
        *(f"- {note}" for note in imported.notes),
        *(f"- ignored: {one}" for one in imported.ignored),
    ]
    return write(imported.document, header="\n".join(lines))


def finetune(
    workspace: Workspace,
    imported: Imported,
    *,
    dataset: str | Path | None = None,
    model: str | None = None,
    strategy: str | None = None,
    epochs: int | None = None,
    settings: Iterable[str] = (),
    name: str | None = None,
    devices: int = 1,
    work_dir: str | Path | None = None,
) -> FinetuneResult:
    """Fine-tune as a config says; what is given here takes the place of what it says.

    `devices` are as many as it was read for. The resolved config, the recipe, and a pointer to run, model and
    report go into `work_dir`, by default that of the config, or `work_dirs/NAME`.
    """
    folder = _folder(imported, work_dir)
    files = {imported.name: _dumped(imported), "recipe.toml": to_toml(imported)}
    for file, text in files.items():
        durable.swap(durable.folder(folder) / file, text.encode())
    pictures = imported.source.open(workspace) if dataset is None else dataset
    before = [run.id for run in workspace.runs.list()]
    # the run has no id yet; should it be cut off, this tells which one it was
    _point(folder, {"config": imported.name, "after": before[-1] if before else ""})
    result = workspace.finetune(
        pictures,
        model=model,
        strategy=strategy,
        epochs=epochs,
        recipe=imported.recipe,
        settings=settings,
        name=name,
        devices=devices,
    )
    facts = {"run": result.run.id, "model": result.model, "report": str(result.page)}
    _point(folder, {"config": imported.name, **facts})
    return result


def resume(workspace: Workspace, words: str | Path, *, epochs: int | None = None) -> RunResult:
    """Go on with a run: its id, or the folder of results that `finetune` has written.

    One that is done goes on where there are more `epochs` now than it had. Raises NotFoundError, and
    InvalidError for a checkpoint of another toolkit.
    """
    folder = expand(words)
    run = _run(workspace, folder) if folder.is_dir() else workspace.runs.get(_checked(str(words)))
    record = run.record
    longer = epochs is not None and epochs > recorded(record).train.epochs
    if record.status == "done" and longer and epochs is not None:
        result = workspace.runs.extend(run.id, epochs=epochs)
    else:
        result = workspace.runs.resume(run.id)
    if folder.is_dir():
        facts = {"run": result.run.id, "model": result.model, "report": str(result.page)}
        _point(folder, {**_pointer(folder), **facts})
    return result


def _folder(imported: Imported, work_dir: str | Path | None) -> Path:
    stem = Path(imported.name).stem
    folder = expand(work_dir or imported.work_dir or Path("work_dirs") / stem)
    if imported.path.resolve() == (folder / imported.name).resolve():
        raise InvalidError(
            f"The config itself lies in {str(folder)!r}, and would be written over.",
            hint="Choose another folder: --work-dir work_dirs/NAME",
            where="work_dir",
        )
    return folder


def _dumped(imported: Imported) -> str:
    if imported.name.endswith(".json"):
        return json.dumps(imported.config, indent=2) + "\n"
    return tables.dump(imported.config)


def _point(folder: Path, facts: Mapping[str, object]) -> None:
    durable.swap(folder / POINTER, (json.dumps(facts, indent=2) + "\n").encode())


def _pointer(folder: Path) -> dict[str, object]:
    try:
        found = json.loads((folder / POINTER).read_bytes())
    except FileNotFoundError:
        raise NotFoundError(
            f"There is no run in {str(folder)!r}.", hint="Give the folder of --work-dir, or the id of a run."
        ) from None
    except (OSError, ValueError) as error:
        raise InvalidError(f"{str(folder / POINTER)!r} cannot be read: {error}.") from None
    return found if isinstance(found, dict) else {}


def _run(workspace: Workspace, folder: Path) -> Run:
    """Return the run of a folder; of one that was cut off, the first that began after it was written."""
    facts = _pointer(folder)
    if "run" in facts:
        return workspace.runs.get(str(facts["run"]))
    known = [record.id for record in workspace.runs.list() if record.kind == "finetune"]
    after = [run_id for run_id in known if run_id > str(facts.get("after", ""))]
    if not after:
        raise NotFoundError(
            f"The run of {str(folder)!r} never began.", hint="Start it: leave --resume-from out."
        )
    return workspace.runs.get(after[0])


def _checked(words: str) -> str:
    if Path(words).suffix in (".pth", ".pt") or "/" in words:
        raise InvalidError(
            f"{words!r} is no run of Regraft.",
            hint="Give the id of a run, or a folder of --work-dir. Weights of another toolkit go with "
            "--cfg-options load_from=FILE.",
            where="resume_from",
        )
    return words
