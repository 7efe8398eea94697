"""What can be done to a workspace: how, what must come of it, and how a model of the store then changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.faults import model
from tests.faults.model import Given, Made, Shelf
from tests.faults.pool import broken

import regraft
from regraft.data.assembly import read_refused
from regraft.data.corrections import read_corrections
from regraft.errors import ConflictError, InvalidError, NotFoundError, RegraftError
from regraft.records import Row, Version
from regraft.store.opening import open_store
from regraft.store.references import needs

Workspace = regraft.Workspace


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something that is done to a workspace."""

    #: How a person would say it.
    words: str
    do: Callable[[Workspace], object]
    #: What must be raised; None where it must succeed.
    error: type[RegraftError] | None
    #: Compare what a workspace shows when it was done, and let the model know; only after success.
    settle: Callable[[Workspace], None]


def perform(act: Act, workspace: Workspace) -> None:
    """Do it, and look whether it ended as it must."""
    raised = _raised(act.do, workspace)
    assert type(raised) is (act.error or type(None)), (act.words, raised)
    if act.error is None:
        act.settle(workspace)


def _raised(do: Callable[[Workspace], object], workspace: Workspace) -> RegraftError | None:
    try:
        do(workspace)
    except RegraftError as error:
        return error
    return None


def build(
    shelf: Shelf,
    name: str,
    mode: str,
    entries: Sequence[Given],
    *,
    meanwhile: Act | None = None,
) -> Act:
    """Make a version of a source; something else may come in between."""
    taken = mode == "new" and bool(shelf.shown(name))

    def do(workspace: Workspace) -> None:
        with workspace.datasets.build(name, mode=mode) as rows:  # type: ignore[arg-type]
            for item in entries:
                rows.append(
                    item.picture.data, label=item.label, split=item.split, group=item.group, key=item.key
                )
            if meanwhile:
                perform(meanwhile, regraft.open(workspace.path))

    def settle(workspace: Workspace) -> None:
        assert outcome() is None, outcome()
        before = shelf.latest(name)
        wanted = model.plan(before, entries, mode)
        version = workspace.datasets.history(name)[-1]
        made = _made(workspace, version, before, torn=wanted.torn)
        _compare(wanted, made, entries)
        _publish(shelf, version, made, before)

    def outcome() -> type[RegraftError] | None:
        wanted = model.plan(shelf.latest(name), entries, mode)
        if mode == "new" and shelf.shown(name) and (taken or not wanted.none):
            return ConflictError
        return InvalidError if wanted.empty else None

    if meanwhile and not taken:

        def late(workspace: Workspace) -> None:
            raised = _raised(do, workspace)
            if raised is None:
                settle(workspace)
            else:
                assert type(raised) is outcome(), (words, raised)

        words = f"{mode} {name} {entries}, and meanwhile {meanwhile.words}"
        return Act(words=words, do=late, error=None, settle=lambda workspace: None)
    return Act(words=f"{mode} {name} {entries}", do=do, error=outcome(), settle=settle)


def _compare(wanted: model.Plan, made: Made, entries: Sequence[Given]) -> None:
    data = {item.picture.digest: item.picture.data for item in entries}
    assert list(made.rows) == [*wanted.stay, *wanted.new]
    for digest, row in wanted.stay.items():
        here = made.rows[digest]  # another may have stored it meanwhile, elsewhere
        assert here == replace(row, pack=here.pack, offset=here.offset)
    chosen: dict[int, str] = {}
    for digest, (item, split) in wanted.new.items():
        row = made.rows[digest]
        seen = (row.key, row.label, row.width, row.height, row.length, row.metadata)
        assert seen == (item.key, item.label, 8, 8, len(data[digest]), "{}")
        assert row.split == (chosen.setdefault(split, row.split) if isinstance(split, int) else split), row
        assert row.split in ("train", "val", "test")
        assert not item.group or row.group == item.group
    assert made.refused == wanted.refused
    assert made.corrections == wanted.corrections


def _publish(shelf: Shelf, version: Version, made: Made, before: Made | None) -> None:
    """Let the model know of a version; one in which nothing is new must not have been made."""
    if before and version.digest == before.digest:
        assert _content(made) == _content(before)
        return
    # the rule by which splits are made may be all that changes, where a source gave some
    assert before is None or _content(made) != _content(before) or made.torn
    assert shelf.publish(version.name, made) == version.number
    assert made.parent == (before.digest if before else None)


def _content(made: Made) -> object:
    return list(made.rows.items()), made.corrections, made.refused


def _made(workspace: Workspace, version: Version, before: Made | None, *, torn: bool) -> Made:
    """Read a version as it is shown."""
    store = open_store(workspace.path)
    data = workspace.datasets.get(str(version))
    found = read_corrections(store, data.record)
    return Made(
        digest=version.digest,
        parent=data.record.parent,
        rows={row.digest: row for row in data},
        corrections={(item.digest, item.change): (item.old, item.new) for item in found},
        refused=frozenset((item.key, item.digest) for item in read_refused(store, data.record)),
        torn=torn,
    )


def edit(
    shelf: Shelf,
    name: str,
    number: int,
    changes: Sequence[tuple[str, int, int]],
    *,
    meanwhile: Act | None = None,
) -> Act:
    """Change a version by hand; each change is `relabel`, `drop`, `move` or `undo` of the n-th picture."""
    start = shelf.shown(name)[number]
    follows = start is shelf.latest(name)
    draft = Draft(shelf, start)
    for change in changes:
        draft.change(*change)

    def do(workspace: Workspace) -> None:
        with workspace.datasets.edit(f"{name}:v{number}") as hand:
            for step in draft.steps:
                if draft.stuck and step is draft.steps[-1]:
                    try:
                        hand.undo()
                    except ConflictError:
                        continue
                    raise AssertionError("there was something to undo")
                step(hand)
            if meanwhile:
                perform(meanwhile, regraft.open(workspace.path))

    def outcome() -> type[RegraftError] | tuple[Made, dict[str, Row]] | None:
        """Return what must be raised, or upon which version which rows must stand; None: nothing changes."""
        if draft.rows == draft.base.rows and draft.base is start:
            return None
        latest = shelf.latest(name)
        base, rows = draft.base, draft.rows
        if follows and latest is not start and latest is not None:
            if draft.base is not start:
                return ConflictError
            again = draft.replay(latest)
            if again is None:
                return ConflictError
            base, rows = latest, again
        return (base, rows) if rows else InvalidError

    def settle(workspace: Workspace) -> None:
        wanted = outcome()
        assert not isinstance(wanted, type), wanted
        if wanted is None:
            return
        base, rows = wanted
        before = shelf.latest(name)
        version = workspace.datasets.history(name)[-1]
        corrections, refused = model.edited(base.rows, base, rows)
        made = _made(workspace, version, before, torn=base.torn)
        assert list(made.rows.items()) == list(rows.items())
        assert (made.corrections, made.refused) == (corrections, refused)
        if before and before.digest == version.digest:
            return
        assert shelf.publish(name, made) == version.number
        assert made.parent == (before.digest if before else None)

    words = f"edit {name}:v{number} {changes}"
    if meanwhile:

        def late(workspace: Workspace) -> None:
            raised = _raised(do, workspace)
            if raised is None:
                settle(workspace)
            else:
                assert type(raised) is outcome(), (words, meanwhile.words, raised)

        return Act(
            words=f"{words}, and {meanwhile.words}", do=late, error=None, settle=lambda workspace: None
        )
    wanted = outcome()
    return Act(words=words, do=do, error=wanted if isinstance(wanted, type) else None, settle=settle)


class Draft:
    """An edit as the model sees it, and the steps that do the same to a workspace."""

    def __init__(self, shelf: Shelf, start: Made) -> None:
        self._shelf = shelf
        self.base = start
        self.rows = dict(start.rows)
        self.steps: list[Callable[..., object]] = []
        #: Whether the last step is an undo where there is nothing to undo.
        self.stuck = False
        self._before: list[dict[str, Row]] = []

    def change(self, kind: str, pick: int, argument: int) -> None:
        """Plan one change."""
        if self.stuck:
            return
        if kind == "undo":
            self.steps.append(lambda hand: hand.undo())
            if self._before:
                self.rows = self._before.pop()
                return
            parent = self._shelf.seen(self.base.parent)
            if parent is None:
                self.stuck = True
            else:
                self.base, self.rows = parent, dict(parent.rows)
            return
        if not self.rows:
            return
        row = list(self.rows.values())[pick % len(self.rows)]
        now = dict(self.rows)
        if kind == "relabel":
            label = ("cat", "dog", "owl", "a new one")[argument % 4]
            self.steps.append(lambda hand: hand.relabel(row.key, label))
            now[row.digest] = replace(row, label=label)
        elif kind == "drop":
            self.steps.append(lambda hand: hand.drop(row.key))
            del now[row.digest]
        else:
            split = ("train", "val", "test")[argument % 3]
            self.steps.append(lambda hand: hand.move(row.key, split))
            now = {
                digest: replace(one, split=split) if one.family == row.family else one
                for digest, one in now.items()
            }
        if now != self.rows:
            self._before.append(self.rows)
            self.rows = now

    def replay(self, latest: Made) -> dict[str, Row] | None:
        """Return the rows of a later version with these changes; None where both changed the same picture."""
        now = dict(latest.rows)
        for digest, old in self.base.rows.items():
            new = self.rows.get(digest)
            here = now.get(digest)
            if new == old:
                continue
            if here is None:
                if new is not None:
                    return None
                continue
            if new is None or new.label != old.label:
                if here.label not in (old.label, new.label if new else old.label):
                    return None
                if new is None:
                    del now[digest]
                    continue
                now[digest] = here = replace(here, label=new.label)
            if new.split != old.split:
                if here.split not in (old.split, new.split):
                    return None
                now = {
                    other: replace(one, split=new.split) if one.family == here.family else one
                    for other, one in now.items()
                }
        return now


def tag(shelf: Shelf, name: str, number: int, word: str) -> Act:
    """Let a tag name a version."""

    def settle(workspace: Workspace) -> None:
        shelf.tags[name, word] = number

    return Act(
        words=f"tag {name}:v{number} {word}",
        do=lambda workspace: workspace.datasets.tag(f"{name}:v{number}", word),
        error=None,
        settle=settle,
    )


def remove(shelf: Shelf, name: str, number: int | None, *, every: bool) -> Act:
    """Hide a version, or all of a name."""
    shown = shelf.shown(name)
    numbers = list(shown) if every else [number or max(shown)]
    named = {n for (other, _), n in shelf.tags.items() if other == name}
    error: type[RegraftError] | None = None
    if len(shown) > 1 and number is None and not every:
        error = InvalidError
    elif named & set(numbers):
        error = ConflictError

    def settle(workspace: Workspace) -> None:
        shelf.hidden |= {(name, one) for one in numbers}

    ref = f"{name}:v{number}" if number else name
    return Act(
        words=f"remove {ref} every={every}",
        do=lambda workspace: workspace.datasets.remove(ref, every=every),
        error=error,
        settle=settle,
    )


def recover(shelf: Shelf, workspace: Workspace, name: str, number: int | None) -> Act:
    """Show a hidden version again, where all that it needs is still there."""
    hidden = sorted(n for other, n in shelf.hidden if other == name)
    wanted = number or max(hidden, default=0)
    whole = wanted in hidden and needed(workspace, name, wanted) <= objects(workspace)

    def settle(workspace: Workspace) -> None:
        shelf.hidden.discard((name, wanted))

    ref = f"{name}:v{number}" if number else name
    return Act(
        words=f"recover {ref}",
        do=lambda workspace: workspace.datasets.recover(ref),
        error=None if whole else NotFoundError,
        settle=settle,
    )


def bundle(
    source: Shelf, target: Shelf, place: Workspace, name: str, number: int, called: str | None, path: Path
) -> Act:
    """Export a version and import it, perhaps under another name."""
    made = source.shown(name)[number]

    def do(workspace: Workspace) -> None:
        place.datasets.export(f"{name}:v{number}", path, replace=True)
        workspace.datasets.import_(path, name=called)

    def settle(workspace: Workspace) -> None:
        target.adopt(called or name, number, made)

    return Act(words=f"export {name}:v{number}, import as {called}", do=do, error=None, settle=settle)


def copy(source: Shelf, target: Shelf, place: Workspace, name: str, number: int) -> Act:
    """Copy a version to a workspace."""
    made = source.shown(name)[number]

    def settle(workspace: Workspace) -> None:
        target.adopt(name, number, made)

    return Act(
        words=f"copy {name}:v{number}",
        do=lambda workspace: place.datasets.copy(f"{name}:v{number}", workspace.path),
        error=None,
        settle=settle,
    )


def needed(workspace: Workspace, name: str, number: int) -> set[str]:
    """Return the files that a version needs, hidden or not."""
    store = open_store(workspace.path)
    return needs(store.catalog.read("datasets", name, number)).names(store)


def objects(workspace: Workspace) -> set[str]:
    """Return the blobs and packs that are there."""
    return {
        path.relative_to(workspace.path).as_posix()
        for folder in ("blobs", "packs")
        for path in (workspace.path / folder).glob("??/*")
        if not path.name.startswith(".draft-")
    }


def given(
    picks: Sequence[tuple[int, int, int, int, int]], pictures: Sequence[object], *, splits: Sequence[str]
) -> list[Given]:
    """Make a source of some numbers; no two of its keys are the same."""
    entries: dict[str, Given] = {}
    for picture, label, key, split, group in picks:
        chosen = broken() if picture == len(pictures) else pictures[picture]
        name = ("cat", "dog", "owl")[label % 3]
        words = f"{name}/{picture}.png" if key % 4 else f"any/{picture % 3}.png"
        item = Given(
            picture=chosen,  # type: ignore[arg-type]
            label=name,
            key=words,
            split=splits[split % len(splits)],
            group=("", "", "", "g", "h")[group % 5],
        )
        entries.setdefault(words, item)
    return list(entries.values())
