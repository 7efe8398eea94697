"""Whatever is done to two workspaces, and whatever befalls them: they show what a plain model says."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tests.faults import acts, model, mutants, pool
from tests.faults.acts import Act, perform

import regraft
from regraft import durable
from regraft.data import facts, similar
from regraft.data.sources.listing import natural
from regraft.errors import RegraftError

NIGHTLY = bool(os.environ.get("REGRAFT_NIGHTLY"))
_PARTS = (
    "blob",
    "catalog.commit",
    "lease",
    "sidecar",
    "catalog.tag",
    "catalog.remove",
    "gc.condemn",
    "bundle",
)
#: Where a store can be killed or refused.
POINTS = (
    *(f"{part}.{stage}" for part in _PARTS for stage in ("write", "flush", "publish", "published")),
    "catalog.recover.published",
)
DAY = 24 * 3600
#: Where nothing waits for a disk: here, no power is cut.
_MEMORY = Path("/dev/shm")

names = st.sampled_from(("photos", "scans"))
sides = st.sampled_from((0, 0, 0, 1))
picks = st.integers(0, 1000)
sources = st.lists(
    st.tuples(st.integers(0, 24), st.integers(0, 2), st.integers(0, 7), st.integers(0, 3), st.integers(0, 4)),
    max_size=6,
)
splits = st.sampled_from((("",), ("",), ("",), ("train", "test"), ("", "train", "test", "val")))
modes = st.sampled_from(("append", "append", "overwrite", "overwrite", "new"))
changes = st.lists(
    st.tuples(st.sampled_from(("relabel", "drop", "move", "move", "undo")), picks, st.integers(0, 3)),
    max_size=4,
)


class Side:
    """A workspace, and what it must show."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shelf = model.Shelf()
        self.workspace = regraft.open(root)

    def version(self, pick: int) -> tuple[str, int] | None:
        """Choose a visible version."""
        every = [(name, number) for name, number, _ in self.shelf.every()]
        return every[pick % len(every)] if every else None


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None))
        self.sides = [Side(self.top / "one"), Side(self.top / "two")]
        #: An act waits here for the process that it will be done in.
        self.fate: tuple[str, str, int] | None = None

    @initialize(source=sources, more=sources)
    def begin(self, source, more):
        here = self.sides[0]
        for name, picks_ in (("photos", [*source, (0, 0, 1, 0, 0)]), ("scans", [*more, (1, 1, 1, 0, 0)])):
            entries = acts.given(picks_, pool.pictures(), splits=("",))
            perform(acts.build(here.shelf, name, "new", entries), here.workspace)

    def teardown(self) -> None:
        shutil.rmtree(self.top)

    def play(self, side: Side, act: Act) -> None:
        """Do it here, or in a process that fails or is killed."""
        if self.fate is None:
            perform(act, side.workspace)
            return
        (point, action, passage), self.fate = self.fate, None
        before = shows(side.workspace)
        status = forked(act, side.root, f"{point}={action}@{passage}")
        side.workspace = regraft.open(side.root)
        refused = {3} if act.error or action != "kill" else set()
        killed = {-signal.SIGKILL} if action == "kill" else set()
        assert status in {0} | refused | killed, (act.words, point, action, status)
        if act.error is None and (status == 0 or shows(side.workspace) != before):
            act.settle(side.workspace)

    @rule(
        point=st.sampled_from(POINTS),
        action=st.sampled_from(("kill", "kill", "ENOSPC", "EIO")),
        passage=st.integers(1, 3),
    )
    def fail_next(self, point, action, passage):
        self.fate = (point, action, passage)

    @rule(side=sides, name=names, mode=modes, source=sources, split=splits)
    def build(self, side, name, mode, source, split):
        here = self.sides[side]
        entries = acts.given(source, pool.pictures(), splits=split)
        self.play(here, acts.build(here.shelf, name, mode, entries))

    @rule(
        name=names,
        mode=modes,
        source=sources,
        split=splits,
        inner=sources,
        inner_mode=modes,
        also_gc=st.booleans(),
    )
    def build_beside_another(self, name, mode, source, split, inner, inner_mode, also_gc):
        here = self.sides[0]
        entries = acts.given(source, pool.pictures(), splits=split)
        other = acts.build(here.shelf, name, inner_mode, acts.given(inner, pool.pictures(), splits=("",)))
        perform(acts.build(here.shelf, name, mode, entries, meanwhile=beside(other, also_gc)), here.workspace)

    @rule(side=sides, pick=picks, steps=changes)
    def edit(self, side, pick, steps):
        here = self.sides[side]
        if chosen := here.version(pick):
            self.play(here, acts.edit(here.shelf, *chosen, steps))

    @rule(
        pick=picks,
        steps=changes,
        other_steps=changes,
        source=sources,
        builds=st.booleans(),
        also_gc=st.booleans(),
    )
    def edit_beside_another(self, pick, steps, other_steps, source, builds, also_gc):
        here = self.sides[0]
        if not (chosen := here.version(pick)):
            return
        name, number = chosen
        entries = acts.given(source, pool.pictures(), splits=("",))
        last = max(here.shelf.shown(name))
        other = (
            acts.build(here.shelf, name, "append", entries)
            if builds
            else acts.edit(here.shelf, name, last, other_steps)
        )
        perform(acts.edit(here.shelf, name, number, steps, meanwhile=beside(other, also_gc)), here.workspace)

    @rule(side=sides, pick=picks, word=st.sampled_from(("best", "old")))
    def tag(self, side, pick, word):
        here = self.sides[side]
        if chosen := here.version(pick):
            self.play(here, acts.tag(here.shelf, *chosen, word))

    @rule(
        side=sides,
        pick=picks,
        how=st.sampled_from(("one", "one", "name", "every")),
        grace=st.sampled_from((None, 0, 3600)),
    )
    def remove(self, side, pick, how, grace):
        here = self.sides[side]
        if chosen := here.version(pick):
            name, number = chosen
            act = acts.remove(here.shelf, name, number if how == "one" else None, every=how == "every")
            if how == "every":
                self.fate = None  # it is not one step
            self.play(here, act)
            if grace is not None:
                perform(collected(here, grace=grace, dry_run=False), here.workspace)

    @rule(side=sides, name=names, pick=picks)
    def recover(self, side, name, pick):
        here = self.sides[side]
        hidden = sorted(n for other, n in here.shelf.hidden if other == name)
        number = [*hidden, None][pick % (len(hidden) + 1)]
        if here.shelf.versions[name]:
            self.play(here, acts.recover(here.shelf, here.workspace, name, number))

    @rule(origin=sides, aim=sides, pick=picks, called=st.sampled_from((None, None, "scans", "third")))
    def carry_in_a_bundle(self, origin, aim, pick, called):
        here, there = self.sides[origin], self.sides[aim]
        if chosen := here.version(pick):
            path = self.top / "carried.regraft"
            self.play(there, acts.bundle(here.shelf, there.shelf, here.workspace, *chosen, called, path))

    @rule(origin=sides, aim=sides, pick=picks)
    def copy(self, origin, aim, pick):
        here, there = self.sides[origin], self.sides[aim]
        if chosen := here.version(pick):
            self.play(there, acts.copy(here.shelf, there.shelf, here.workspace, *chosen))

    @rule(side=sides, grace=st.sampled_from((0, 0, 3600)), dry_run=st.sampled_from((False, False, True)))
    def gc(self, side, grace, dry_run):
        here = self.sides[side]
        self.play(here, collected(here, grace=grace, dry_run=dry_run))

    @rule(side=sides)
    def let_a_day_go_by(self, side):
        then = time.time() - DAY
        for path in self.sides[side].root.rglob("*"):
            if path.is_file() and path.stat().st_mtime > then:
                os.utime(path, (then, then))

    @rule(side=sides, pick=picks, other=picks)
    def diff(self, side, pick, other):
        here = self.sides[side]
        if (old := here.version(pick)) and (new := here.version(other)):
            found = here.workspace.datasets.diff("{}:v{}".format(*old), "{}:v{}".format(*new))
            wanted = model.diff(here.shelf.versions[old[0]][old[1]], here.shelf.versions[new[0]][new[1]])
            said = {name: {tuple(astuple(item)) for item in part} for name, part in found.parts.items()}
            assert said == wanted

    @rule(side=sides)
    def open_again(self, side):
        self.sides[side].workspace = regraft.open(self.sides[side].root)

    @rule(side=sides)
    def delete_the_cache(self, side):
        shutil.rmtree(self.sides[side].root / "cache", ignore_errors=True)

    @rule(side=sides, pick=picks, place=picks, how=st.sampled_from(("flip", "cut", "delete")))
    def damage_a_file(self, side, pick, place, how):
        here = self.sides[side]
        manifests = [f"datasets/{name}/v{number}.json" for name, number, _ in here.shelf.every()]
        files = sorted(acts.objects(here.workspace)) + manifests
        if not files:
            return
        name = files[pick % len(files)]
        path = here.root / name
        data, facts_ = path.read_bytes(), path.stat()
        path.unlink()
        if how != "delete":
            at = place % len(data)
            path.write_bytes(
                data[:at] if how == "cut" else data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]
            )
        found = here.workspace.store.verify(deep=True)
        wanted = {name: "is missing" if how == "delete" else "is damaged"}
        if how == "delete" and (name in manifests or not shown_needs(here, name)):
            wanted = {}  # nobody says that it was there
        tagged = {
            f"tags/datasets/{other}/{tag}.json"
            for (other, tag), number in here.shelf.tags.items()
            if how == "delete" and name == f"datasets/{other}/v{number}.json"
        }
        said = {fault.name: fault.what for fault in found.faults if fault.name not in tagged}
        assert (said, len(found.faults) - len(said)) == (wanted, len(tagged)), (name, how)
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        path.chmod(0o444)
        os.utime(path, ns=(facts_.st_atime_ns, facts_.st_mtime_ns))

    @invariant()
    def both_show_what_the_model_says(self):
        for side in self.sides:
            check(side)


def astuple(item):
    return tuple(getattr(item, name) for name in item.__slots__)


def beside(act: Act, also_gc: bool) -> Act:
    """Do something, and collect what can be collected, while another is at work."""

    def do(workspace):
        workspace.store.gc(grace=0)
        try:
            act.do(workspace)
        finally:
            workspace.store.gc(grace=0)

    return Act(words=f"{act.words} and gc", do=do, error=act.error, settle=act.settle) if also_gc else act


def collected(here: Side, *, grace: float, dry_run: bool) -> Act:
    """Collect, and compare what is left with what the model needs and the clock says."""
    hold: dict[str, object] = {}

    def do(workspace):
        if not list((here.root / "leases").glob("*.json")):
            hold["before"] = {name: (here.root / name).stat().st_mtime for name in acts.objects(workspace)}
        hold["now"] = time.time()
        hold["result"] = workspace.store.gc(grace=grace, dry_run=dry_run)

    def settle(workspace):
        limit = hold.get("now", time.time()) - grace
        kept = set()
        for name in here.shelf.versions:
            for number in here.shelf.versions[name]:
                marker = here.root / f"datasets/{name}/v{number}.removed"
                if (name, number) not in here.shelf.hidden or marker.stat().st_mtime > limit:
                    kept |= acts.needed(workspace, name, number)
        assert {name for name in kept if visible(here, name)} <= acts.objects(workspace)
        if "before" not in hold:
            return
        before = hold["before"]
        wanted = {name for name, modified in before.items() if name in kept or modified >= limit}
        left = acts.objects(workspace)
        assert {item.name for item in hold["result"].removed} == before.keys() - wanted
        assert left == (before.keys() if dry_run else wanted)

    return Act(words=f"gc {grace} {dry_run}", do=do, error=None, settle=settle)


def visible(here: Side, name: str) -> bool:
    return shown_needs(here, name)


def shown_needs(here: Side, name: str) -> bool:
    """Tell whether a visible version needs a file."""
    return any(name in acts.needed(here.workspace, other, number) for other, number, _ in here.shelf.every())


def shows(workspace: regraft.Workspace) -> object:
    """Return which versions and tags a workspace has, and which versions are hidden."""
    catalog = workspace._store.catalog
    versions = {
        (name, number): (catalog.read("datasets", name, number).digest, removed is not None)
        for name, number, removed in catalog.every("datasets")
    }
    tags = {
        (name, tag): number
        for name in {name for name, _ in versions}
        for tag, number in catalog.tags("datasets", name).items()
    }
    return versions, tags


def check(side: Side) -> None:
    """Compare a workspace with its model, down to each byte."""
    shelf, datasets = side.shelf, side.workspace.datasets
    versions = {
        (name, number): (made.digest, (name, number) in shelf.hidden)
        for name, numbers in shelf.versions.items()
        for number, made in numbers.items()
    }
    assert shows(side.workspace) == (versions, shelf.tags)
    heads = {name: max(shelf.shown(name)) for name in shelf.versions if shelf.shown(name)}
    assert [(head.name, head.number) for head in datasets.list()] == sorted(heads.items())
    data = {picture.digest: picture.data for picture in pool.pictures()}
    for name in heads:
        assert [version.number for version in datasets.history(name)] == list(shelf.shown(name))
    for (name, word), number in shelf.tags.items():
        assert datasets.get(f"{name}:{word}").version.number == number
    for name, number, made in shelf.every():
        shown = datasets.get(f"{name}:v{number}")
        rows = list(shown)
        assert rows == list(made.rows.values()), (name, number)
        assert all(shown.read(row) == data[row.digest] for row in rows)
        assert shown.labels == tuple(sorted({row.label for row in rows}, key=natural))
        sizes = shown.record.split_sizes()
        assert sizes == {split: n for split in sizes if (n := sum(row.split == split for row in rows))}
        assert len({row.key for row in rows}) == len(rows) == shown.record.count == sum(sizes.values())
        if not made.torn:
            families = {(row.family, row.split) for row in rows}
            assert len(families) == len({row.family for row in rows}), (name, number)
    for name in heads:
        for old, new in pairwise(shelf.shown(name).values()):
            if new.parent == old.digest and not (new.torn or new.corrections or old.corrections):
                both = old.rows.keys() & new.rows.keys()
                assert {d: old.rows[d].split for d in both} == {d: new.rows[d].split for d in both}
    assert side.workspace.store.verify(deep=True).faults == ()


def forked(act: Act, root: Path, failpoints: str) -> int:
    """Do something in a process of its own, and return how that ended: 3 where it said what was wrong."""

    def work() -> int:
        durable._passages.clear()
        os.environ["REGRAFT_FAILPOINTS"] = failpoints
        try:
            act.do(regraft.open(root))
        except RegraftError:
            return 3
        return 0

    return in_a_child(work, seconds=60)


def in_a_child(work: Callable[[], int], *, seconds: int = 300) -> int:
    """Call a function in a process of its own, and return what it returns; 4 where it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # no thread of ours is at work
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 4
    try:
        signal.alarm(seconds)
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def test_the_pool_looks_as_it_says():
    drawn = pool.pictures()

    thumbs = np.stack([facts.measure(picture.data)["thumb"] for picture in drawn])

    alike = {
        (a, b)
        for a, one in enumerate(drawn)
        for b, two in enumerate(drawn)
        if a < b and one.looks == two.looks
    }
    assert {tuple(pair) for pair in similar.pairs(thumbs).tolist()} == alike


def test_workspaces_show_what_a_model_says_whatever_is_done_to_them():
    run_state_machine_as_test(Machine, settings=sized(1000 if NIGHTLY else 30))


@pytest.mark.parametrize("bug", ["split_that_moves", "number_given_again", "grace_ignored"])
def test_a_store_with_a_bug_shows_something_else(bug):
    def look():
        mutants.plant(bug)
        try:
            run_state_machine_as_test(Machine, settings=settings(sized(20), phases=[Phase.generate]))
        except AssertionError:
            return 0
        return 1

    assert in_a_child(look) == 0


def sized(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=40,
        derandomize=not NIGHTLY,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
