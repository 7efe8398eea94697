"""`regraft dataset list`, `history`, `tag`: which versions there are, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from regraft.cli.output import bytes_text, columns, plain, with_workspace
from regraft.records import DatasetVersion, Version
from regraft.workspace.main import Workspace

#: Versions whose rows differ in more tables than those of so many pictures are compared by numbers alone.
_CHEAP = 10_000
#: Before so many of the latest versions, versions are compared by numbers alone too.
_LATEST = 20
_EMPTY = "No datasets yet. Add one: regraft dataset add NAME FOLDER"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A version in a list, and what its manifest does not say."""

    version: Version
    #: The tags of the dataset or, in a history, of the version, and the number that each names.
    tags: dict[str, int]
    made: datetime
    #: Pictures by what happened to them since the version before; None where to look would take long.
    changes: dict[str, int] | None = None
    #: The number of pictures of the version before; 0 of the first.
    before: int = 0


def listed_to_json(listed: list[Listed]) -> Any:
    """Return the manifests, each with when it was made and with its tags."""
    return [
        {
            **plain(item.version),
            "made": item.made.astimezone(UTC).isoformat(timespec="seconds"),
            "tags": tags_to_json(item.tags),
        }
        for item in listed
    ]


def tags_to_json(tags: dict[str, int]) -> dict[str, str]:
    """Return the version that each tag names: `{"clean": "v1"}`."""
    return {tag: f"v{number}" for tag, number in tags.items()}


def history_to_json(listed: list[Listed]) -> Any:
    """Return the list, and what was changed; null where to look would take long."""
    return [
        {**document, "changes": item.changes}
        for document, item in zip(listed_to_json(listed), listed, strict=True)
    ]


def show_list(listed: list[Listed]) -> str:
    """Write a line for each dataset."""
    rows = []
    for item in listed:
        record = item.version.read(DatasetVersion)
        splits = ", ".join(f"{split} {count:,}" for split, count in record.split_sizes().items())
        tags = ", ".join(f"{tag} (v{number})" for tag, number in item.tags.items())
        size = bytes_text(record.size)
        rows.append((item.version, f"{record.count:,}", len(record.labels), splits, size, tags))
    return columns(("dataset", "pictures", "classes", "splits", "size", "tags"), rows, empty=_EMPTY)


@click.command("list")
@with_workspace(show_list, to_json=listed_to_json)
def list_(workspace: Workspace) -> list[Listed]:
    """List the latest version of every dataset."""
    datasets = workspace.datasets
    return [
        Listed(version=version, tags=datasets.tags(version.name), made=datasets.made(version))
        for version in datasets.list()
    ]


def show_history(listed: list[Listed]) -> str:
    """Write a line for each version, with its date in the time of this place."""
    rows = []
    for item in listed:
        record = item.version.read(DatasetVersion)
        made = item.made.astimezone().strftime("%Y-%m-%d %H:%M")
        rows.append(
            (item.version, made, f"{record.count:,}", len(record.labels), _change(item), ", ".join(item.tags))
        )
    return columns(("dataset", "made", "pictures", "classes", "change", "tags"), rows, empty=_EMPTY)


@click.command()
@click.argument("name")
@with_workspace(show_history, to_json=history_to_json)
def history(workspace: Workspace, name: str) -> list[Listed]:
    """List the versions of dataset NAME, the oldest first, and what each changed in the one before."""
    datasets = workspace.datasets
    versions, tags = datasets.history(name), datasets.tags(name)
    return [
        Listed(
            version=version,
            tags={tag: number for tag, number in tags.items() if number == version.number},
            made=datasets.made(version),
            changes=_changes(workspace, before, version) if place >= len(versions) - _LATEST else None,
            before=before.read(DatasetVersion).count if before else 0,
        )
        for place, (before, version) in enumerate(zip([None, *versions], versions, strict=False))
    ]


def show_tagged(told: tuple[Version, str, bool]) -> str:
    """Say what the version is called now."""
    version, tag, deleted = told
    return f"{version} is {'no longer' if deleted else 'now also'} {version.name}:{tag}"


def tagged_to_json(told: tuple[Version, str, bool]) -> Any:
    """Return the version that the tag names, or named."""
    return plain(told[0])


@click.command()
@click.argument("name")
@click.argument("tag")
@click.option("--delete", is_flag=True, help="Take the tag away.")
@with_workspace(show_tagged, to_json=tagged_to_json)
def tag(workspace: Workspace, name: str, tag: str, *, delete: bool) -> tuple[Version, str, bool]:
    """Let TAG name a version of a dataset, as in `regraft dataset tag photos:v2 clean`."""
    return workspace.datasets.tag(name, tag, delete=delete), tag, delete


def _changes(workspace: Workspace, before: Version | None, version: Version) -> dict[str, int] | None:
    """Count what was changed; None where that takes long."""
    new = version.read(DatasetVersion)
    if before is None:
        return {"added": new.count}
    old = before.read(DatasetVersion)
    differing = set(old.segments) ^ set(new.segments)
    if sum(segment.count for segment in differing) > _CHEAP:
        return None
    counts = workspace.datasets.diff(before, version).counts
    return {word: count for word, count in counts.items() if count}


def _change(item: Listed) -> str:
    if item.changes is None:
        return f"{item.version.read(DatasetVersion).count - item.before:+,} in all"
    return ", ".join(f"{count:,} {word}" for word, count in item.changes.items())
