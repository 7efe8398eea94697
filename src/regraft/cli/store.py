"""`regraft store`: what the workspace holds as such, whether it is whole, and what can go."""

from __future__ import annotations

import re
from typing import Any

import click

from regraft.cli.output import bytes_text, columns, facts, with_workspace
from regraft.reports.words import number
from regraft.store.gc import Collected
from regraft.store.verify import Fault, Verified
from regraft.workspace.main import Workspace
from regraft.workspace.store import StoreInfo

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 24 * 3600}
#: Files that are named in full; of more, the number is said.
_SHOWN = 20


@click.group()
def store() -> None:
    """What the workspace keeps on disk: verify it, clean it up."""


class Duration(click.ParamType[float]):
    """A time such as 30m, 24h or 7d, in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse a number and its unit."""
        match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]+)?)([smhd]?)", str(value))
        if not match:
            self.fail(f"{value!r} is no time. Write 30m, 24h, 7d, or 0.", param, ctx)
        return float(match[1]) * _SECONDS[match[2]]


def show_verified(result: Verified) -> str:
    """Write every fault with what to do about it, and what was looked at."""
    lines = [line for fault in result.faults for line in (*_fault_lines(fault), "")]
    how = "every byte was read" if result.deep else "packs were not read: --deep does"
    lines.append(
        f"{number(result.versions, 'version')} and {number(result.objects, 'file')} "
        f"({bytes_text(result.bytes)} compared with their digests; {how})"
    )
    if result.adopted:
        lines.append(f"made from versions of another workspace: {', '.join(result.adopted)}")
    if result.orphans:
        size = bytes_text(result.orphan_bytes)
        spare = number(result.orphans, "file")
        lines.append(f"not needed by any version: {spare} ({size}), see `regraft store gc`")
    lines.append(number(len(result.faults), "fault") if result.faults else "everything is as it should be")
    return "\n".join(lines)


def _fault_lines(fault: Fault) -> list[str]:
    harmed = [f"{number(count, 'picture')} of {version}" for version, count in fault.pictures.items()]
    pairs = [
        ("needed by", ", ".join(fault.needed_by) or "nobody"),
        *([("harmed", ", ".join(harmed))] if harmed else []),
        ("try", fault.advice),
    ]
    return [f"{fault.name} {fault.what}", *(f"  {line}" for line in facts(pairs).splitlines())]


@store.command()
@click.option("--deep", is_flag=True, help="Read every byte of every file.")
@with_workspace(show_verified, exit_code=lambda result: 6 if result.faults else 0)
def verify(workspace: Workspace, deep: bool) -> Verified:
    """Look for what is missing or damaged, and say who needs it."""
    return workspace.store.verify(deep=deep)


def show_collected(result: Collected) -> str:
    """Write what was taken away, and what stays for now."""
    rows = [(file.kind, file.name, bytes_text(file.size)) for file in result.removed[:_SHOWN]]
    lines = [columns(("kind", "file", "size"), rows, empty="")] if rows else []
    if len(result.removed) > _SHOWN:
        lines.append(f"and {len(result.removed) - _SHOWN:,} more")
    word = "would remove" if result.dry_run else "removed"
    pairs = [
        (word, f"{number(len(result.removed), 'file')}, {bytes_text(result.freed)}"),
        ("left by killed writers", number(result.drafts, "draft")),
        ("too young", number(result.kept_young, "file")),
        ("held by a writer", number(result.kept_by_lease, "file")),
    ]
    if result.wasted:
        pairs.append(("in packs, not needed", f"{bytes_text(result.wasted)}, which stay"))
    return "\n".join([*lines, facts(pairs)])


@store.command()
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option(
    "--grace",
    type=Duration(),
    default="24h",
    show_default=True,
    help="Keep what is younger: 30m, 24h, 7d, 0.",
)
@with_workspace(show_collected)
def gc(workspace: Workspace, grace: float, dry_run: bool) -> Collected:
    """Remove the files that no version needs any more."""
    return workspace.store.gc(grace=grace, dry_run=dry_run)


def show_info(result: StoreInfo) -> str:
    """Write the counts."""
    versions = ", ".join(number(count, kind[:-1]) for kind, count in result.versions.items())
    return facts(
        [
            ("versions", f"{versions}" + (f", {result.removed:,} removed" if result.removed else "")),
            ("files", f"{result.objects:,} ({bytes_text(result.bytes)})"),
            ("saved by sharing", bytes_text(result.saved)),
            ("cache", f"{bytes_text(result.cache)}, may be deleted at any time"),
            ("format", result.format),
        ]
    )


@store.command()
@with_workspace(show_info)
def info(workspace: Workspace) -> StoreInfo:
    """Show how many versions and bytes the workspace holds."""
    return workspace.store.info()
