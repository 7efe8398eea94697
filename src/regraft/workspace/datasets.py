"""Datasets: labelled pictures in numbered versions."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from regraft.backends import local
from regraft.data import building, diff, editing, export, ingest
from regraft.data.assembly import Mode, open_rows
from regraft.data.building import Builder
from regraft.data.diff import Diff
from regraft.data.editing import Edit
from regraft.data.ingest import Added
from regraft.data.sources import readers
from regraft.data.sources.listing import Listing
from regraft.data.sources.readers import Source
from regraft.errors import ConflictError, InvalidError, InvalidRef, NotFoundError, did_you_mean
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import (
    Checkup,
    DatasetVersion,
    RemoteFile,
    RunRecord,
    SplitRule,
    Version,
    decode,
)
from regraft.refs import Ref, check_name, make_name, parse
from regraft.reports.findings import SEVERITIES
from regraft.store import bundle, copies, references
from regraft.store.copies import Copied
from regraft.store.fetch import Downloads, remote
from regraft.store.journal import Run
from regraft.store.opening import Store, is_url, open_store
from regraft.workspace import labels
from regraft.workspace.dataset import Dataset
from regraft.workspace.labels import SuggestResult


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What the doctor said of a dataset."""

    checkup: Checkup
    #: The findings as a page, with their pictures.
    page: Path
    run: RunRecord
    #: Whether there is a finding as grave as was asked for.
    failed: bool


class Datasets:
    """The datasets of a workspace."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._progress = progress

    def add(
        self,
        name: str,
        source: str | Path,
        *,
        mode: Mode = "overwrite",
        reading: Source | None = None,
        checksum: str = "",
        decode: bool = True,
        recipe: Recipe | None = None,
    ) -> Added:
        """Store the pictures of a source as a new version of `name`; the source is only read.

        A source is a folder, an archive, a list (CSV, TSV, JSONL), a Parquet file, the URL of one of these,
        or a named set such as `cifar10`. In mode `overwrite` the version holds what the source holds, in mode
        `append` what was there as well; mode `new` raises ConflictError where the name exists. `checksum` is
        `sha256:...`, `sha1:...` or `md5:...` of what a URL gives. With `decode=False` pictures are trusted
        after a look at their header. Where nothing has changed there is no new version. Raises ConflictError
        where the recipe groups pictures by what the splits of the version before were not made by.
        """
        check_name(name)
        _check_mode(mode)
        rule = self._rule(name, recipe)
        listing = self._read(source, reading, checksum)
        return ingest.add(self._store, name, listing, rule, self._progress, mode=mode, decode=decode)

    @contextmanager
    def build(
        self, name: str, *, mode: Mode = "new", decode: bool = True, recipe: Recipe | None = None
    ) -> Iterator[Builder]:
        """Make a version row by row: `with ws.datasets.build("photos") as rows: rows.append(...)`.

        Leaving the block commits, and `rows.added` tells what was made; an exception commits nothing. Mode
        `new` raises ConflictError where the name exists, `append` keeps its rows, `overwrite` does not.
        """
        _check_mode(mode)
        rule = self._rule(name, recipe)
        with building.build(self._store, name, rule, self._progress, mode=mode, decode=decode) as rows:
            yield rows

    def resolve(self, words: str | Path, recipe: Recipe) -> tuple[Version, Added | None]:
        """Return the version that a ref or a source names; a source is added first.

        A path comes before a dataset of the same name, and that before a named set such as `digits`.
        Raises NotFoundError with the closest name.
        """
        if not str(words).strip():
            raise InvalidError("The dataset has no name.", hint="Give a folder of class folders, or a name.")
        path = readers.expand(words)
        looks_like_path = isinstance(words, Path) or ("/" in str(words) and "/version/" not in str(words))
        if is_url(str(words)) or readers.exists(path) or looks_like_path:
            added = self._add_by_path(words, recipe)
            return added.version, added
        try:
            ref = parse(str(words))
        except InvalidRef:
            ref = None
        if ref and not ref.source and self._store.catalog.numbers("datasets", ref.name):
            return self._store.catalog.find("datasets", ref), None
        if words in readers.SETS:
            added = self.add(str(words), str(words), recipe=recipe)
            return added.version, added
        known = [*self._store.catalog.names("datasets"), *readers.SETS, *_folders()]
        raise NotFoundError(
            f"There is no folder and no dataset {str(words)!r}.",
            hint=did_you_mean(
                str(words), known, otherwise="Give a folder of class folders, or see `regraft dataset list`."
            ),
        )

    def list(self) -> list[Version]:
        """List the latest version of every dataset."""
        names = self._store.catalog.names("datasets")
        return [self._store.catalog.find("datasets", parse(name)) for name in names]

    def get(self, ref: str) -> Dataset:
        """Open a version of a dataset."""
        return Dataset(self._store, self._find(ref))

    def history(self, name: str) -> builtins.list[Version]:
        """List the versions of a dataset, the oldest first; those that were removed are left out."""
        return self._store.catalog.history("datasets", self._find(name).name)

    def diff(self, old: str | Version, new: str | Version | None = None) -> Diff:
        """Compare two versions picture by picture; by default a version with the one before it."""
        later = self._find(new or old)
        earlier = self._find(old) if new else self._before(later)
        return diff.compare(self._store, earlier.read(DatasetVersion), later.read(DatasetVersion))

    def edit(self, ref: str) -> AbstractContextManager[Edit]:
        """Change labels and splits by hand: `with ws.datasets.edit("photos") as edit: edit.relabel(...)`.

        Leaving the block commits a new version; an exception commits nothing.
        """
        return editing.edit(self._store, self._find(ref), progress=self._progress)

    def check(
        self,
        ref: str,
        *,
        quick: bool = False,
        fail_on: Literal["error", "warning", "note", "never"] = "never",
    ) -> CheckResult:
        """Look for what is wrong with a dataset; `quick` leaves out wrong labels, which need the net.

        The result has `failed` where there is a finding of severity `fail_on` or a graver one. Raises
        InvalidError for another word.
        """
        if fail_on not in (*SEVERITIES, "never"):
            raise InvalidError(
                f"There is no severity {fail_on!r}.",
                hint=f"It is {', '.join(SEVERITIES)} or never.",
                where="fail_on",
            )
        version = self._find(ref)
        run = self._store.journal.create(
            "check",
            inputs={"dataset": str(version), "dataset_digest": version.digest, "quick": str(quick)},
            recipe={},
        )
        record = local.submit(self._store, run, self._progress)
        checkup = read_checkup(run)
        grave = SEVERITIES[: SEVERITIES.index(fail_on) + 1] if fail_on in SEVERITIES else ()
        return CheckResult(
            checkup=checkup,
            page=run.path / "checkup.html",
            run=record,
            failed=any(finding.severity in grave for finding in checkup.findings),
        )

    def suggest_labels(
        self,
        ref: str,
        *,
        model: str | None = None,
        apply: bool = False,
        least: float | None = None,
        out: str | Path | None = None,
    ) -> SuggestResult:
        """Find the pictures whose label is likely wrong, the likeliest first, and which one is likelier.

        `model` is the net that judges, by default that of `check`. Only what is as likely as `least` is
        suggested. With `apply` the suggestions become a new version, by default those that are as likely as
        0.8; `out` is a CSV file for them, which `edit` reads with `relabel_from`.
        """
        return labels.suggest_labels(
            self._store,
            self._find(ref),
            self._progress,
            model=model,
            apply=apply,
            least=least,
            out=out,
        )

    def show(self, ref: str) -> Path:
        """Draw a few pictures of each class and split as a page, and return where it lies."""
        from regraft.jobs.show import show  # jinja2: what a listing saves

        return show(self._store, self._find(ref), self._progress)

    def tag(self, ref: str, tag: str, *, delete: bool = False) -> Version:
        """Let a tag name a version, where one that exists moves; or delete the tag.

        Returns the version that the tag names, or named. Raises NotFoundError with the tags that there are.
        """
        catalog = self._store.catalog
        return (catalog.untag if delete else catalog.tag)("datasets", _parse(ref), tag)

    def tags(self, name: str) -> dict[str, int]:
        """Return the tags of a dataset, and the number of the version that each names."""
        return self._store.catalog.tags("datasets", _parse(name).name)

    def made(self, version: Version) -> datetime:
        """Return when a version came into this workspace, in UTC."""
        return datetime.fromtimestamp(self._store.catalog.modified(version), UTC)

    def remove(self, ref: str, *, every: bool = False) -> builtins.list[Version]:
        """Hide a version, or every version of a name.

        `recover` shows them again, until `store gc` has taken what they alone need. Raises InvalidError where
        a name has several versions and none is named, or one is and `every` asks for all; ConflictError where
        tags are in the way.
        """
        _check_every(ref, every=every)
        version = self._find(ref)
        numbers = self._store.catalog.numbers("datasets", version.name)
        if len(numbers) > 1 and not every and not _parse(ref).version:
            raise InvalidError(
                f"The dataset {version.name!r} has {len(numbers):,} versions.",
                hint=f"Name one, such as {version}, or say --all.",
                where=ref,
            )
        versions = self.history(version.name) if every else [version]
        self._store.catalog.check_untagged(*versions)
        for version in versions:
            self._store.catalog.remove(version)
        return versions

    def recover(self, ref: str, *, every: bool = False) -> builtins.list[Version]:
        """Show a removed version again, or every one of a name; without a number, the latest of them.

        Raises NotFoundError where it was not removed, or where what it needs was collected; of every version
        of a name, those that can be are back then.
        """
        _check_every(ref, every=every)
        wanted = _parse(ref)
        removed = self._store.catalog.removed("datasets", wanted.name)
        numbers = removed if every else [wanted.number or 0] if wanted.version else removed[-1:]
        if not removed or not set(numbers) <= set(removed):
            raise NotFoundError(
                f"No version {ref!r} of a dataset was removed.",
                hint=f"Removed are {', '.join(f'v{number}' for number in removed)}."
                if removed
                else "See `regraft dataset history NAME`.",
            )
        versions = [self._store.catalog.read("datasets", wanted.name, number) for number in numbers]
        if not every:
            references.recover(self._store, versions[0])
            return versions
        back, gone = [], []
        for version in versions:
            try:
                references.recover(self._store, version)
                back.append(version)
            except NotFoundError:
                gone.append(version)
        if gone:
            raise NotFoundError(
                f"The files of {_names(gone)} are gone; {_names(back) or 'nothing'} "
                f"{'is' if len(back) < 2 else 'are'} back.",
                hint="Make what is gone again from its source, or import it from a copy.",
            )
        return back

    def copy(self, ref: str, to: str | Path) -> Copied:
        """Copy a version to another workspace; what is there already does not travel."""
        return copies.copy(
            self._store,
            open_store(to if is_url(to) else readers.expand(to)),
            self._find(ref),
            progress=self._progress,
        )

    def export(self, ref: str, path: str | Path, *, format: str = "", replace: bool = False) -> Path:  # noqa: A002
        """Write a version to a folder, a zip, a Parquet file, or a bundle for `import_`.

        The suffix of the path says which, or `format` does: folder, zip, parquet, bundle. Raises
        ConflictError where the path exists and is not to be replaced.
        """
        target, version = readers.expand(path), self._find(ref)
        if (format or export.format_of(target)) == "bundle":
            bundle.write_bundle(self._store, [version], target, replace=replace, progress=self._progress)
        else:
            record = version.read(DatasetVersion)
            export.export(
                self._store,
                record,
                open_rows(self._store, record),
                target,
                format=format,
                replace=replace,
                progress=self._progress,
            )
        return target

    def import_(self, path: str | Path, *, name: str | None = None) -> Version:
        """Take a dataset version out of a bundle (`.regraft`) that `export` has written."""
        versions = bundle.read_bundle(self._store, readers.expand(path), name=name, progress=self._progress)
        return versions[-1]

    def _find(self, ref: str | Version) -> Version:
        if isinstance(ref, Version):
            return ref
        return self._store.catalog.find("datasets", _parse(ref))

    def _rule(self, name: str, recipe: Recipe | None) -> SplitRule:
        """Return how a recipe wants splits made; a grouping that would come too late is refused."""
        rule = split_rule(recipe or Recipe())
        latest = self._store.catalog.latest("datasets", check_name(name))
        made = latest.read(DatasetVersion).split_rule if latest else rule
        if rule.group_by and made.fractions and made.group_by != rule.group_by:
            how = f"by {made.group_by!r}" if made.group_by else "ungrouped"
            raise ConflictError(
                f"The splits of {name!r} were made {how}, and stay: {rule.group_by!r} comes too late.",
                hint="Add the pictures under another name, or do not group them.",
            )
        return rule

    def _before(self, version: Version) -> Version:
        parent = version.read(DatasetVersion).parent
        found = self._store.catalog.find_digest("datasets", parent) if parent else None
        if found is None:
            raise NotFoundError(
                f"There is no version before {str(version)!r}.",
                hint="Name two: regraft dataset diff OLD NEW.",
            )
        return found

    def _read(self, source: str | Path, reading: Source | None, checksum: str) -> Listing:
        def locate(file: RemoteFile) -> Path:
            downloads = Downloads(self._store.cache / "downloads", offline=self._store.offline)
            return downloads.fetch(file, self._progress)

        words = str(source)
        if is_url(words):
            return readers.read(locate(_remote(words, checksum)), reading)
        if checksum:
            raise InvalidError(
                f"A checksum is for what a URL gives, and {words!r} is none.",
                hint="Leave it out, or compare the file with it by sha256sum, sha1sum or md5sum.",
                where="checksum",
            )
        path = readers.expand(source)
        if words in readers.SETS and not readers.exists(path):
            return readers.read_named(words, locate)
        return readers.read(path, reading)

    def _add_by_path(self, source: str | Path, recipe: Recipe) -> Added:
        """Add a source to the dataset of its own name, unless that is about other pictures."""
        path = Path(urlsplit(str(source)).path) if is_url(str(source)) else readers.expand(source).resolve()
        name = make_name(path.name if path.is_dir() else path.name.partition(".")[0])
        listing = self._read(source, None, "")
        return ingest.add(self._store, name, listing, split_rule(recipe), self._progress, related=True)


def read_checkup(run: Run) -> Checkup:
    """Return what the doctor said in a run."""
    return decode(Checkup, (run.path / "checkup.json").read_bytes(), where="checkup.json")


def split_rule(recipe: Recipe) -> SplitRule:
    """Return how a recipe wants pictures without a split to get one."""
    data = recipe.data
    train = round(1 - data.val_fraction - data.test_fraction, 9)
    fractions = {"train": train, "val": data.val_fraction, "test": data.test_fraction}
    return SplitRule(
        fractions=fractions, seed=recipe.train.seed, group_by=data.group_by, similar=data.similar
    )


def _parse(text: str) -> Ref:
    """Parse a ref of a dataset; one with a source, such as `timm:resnet18`, is that of a model."""
    ref = parse(text)
    if ref.source:
        raise InvalidRef(
            f"{text!r} names a pretrained model, and no dataset.",
            hint="Name a dataset: see `regraft dataset list`.",
            where=text,
        )
    return ref


def _check_every(ref: str, *, every: bool) -> None:
    if every and (wanted := _parse(ref)).version:
        raise InvalidError(
            f"{ref!r} names one version, and --all means every one.",
            hint=f"Leave --all out, or say {wanted.name} --all.",
            where=ref,
        )


def _names(versions: list[Version]) -> str:
    return ", ".join(map(str, versions))


def _check_mode(mode: str) -> None:
    if mode not in get_args(Mode):
        raise InvalidError(
            f"There is no mode {mode!r}.",
            hint=did_you_mean(mode, get_args(Mode), otherwise=f"It is one of {', '.join(get_args(Mode))}."),
            where="mode",
        )


def _remote(url: str, checksum: str) -> RemoteFile:
    kind, _, digits = checksum.partition(":")
    if checksum and kind not in ("sha256", "sha1", "md5"):
        raise InvalidError(
            f"{checksum!r} is no checksum.", hint="Write sha256:..., sha1:... or md5:...", where="checksum"
        )
    said = {"sha256": "", "sha1": "", "md5": "", kind: digits}
    return remote(url, sha256=said["sha256"], sha1=said["sha1"], md5=said["md5"])


def _folders() -> list[str]:
    return [path.name for path in Path().glob("*") if path.is_dir()]
