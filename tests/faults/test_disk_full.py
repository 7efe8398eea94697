"""Disks that are really full, really small, or really read-only."""

import json
import os
import re
import subprocess

import numpy as np
import pytest
from PIL import Image

NO_ROOM_HINT = "Free some space, or choose another place with --workspace; then run the command again."


@pytest.fixture
def disk(tmp_path, root_on_linux, require):
    """Mount a small disk in memory; `disk("size=16k")` changes it while it is used."""
    root = tmp_path / "disk"
    root.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=1000", "regraft-test", root]
    mounted = subprocess.run(options, capture_output=True, text=True, check=False)
    require(mounted.returncode == 0, f"a small disk cannot be mounted: {mounted.stderr.strip()}")

    def change(options):
        subprocess.run(["mount", "-o", f"remount,{options}", root], check=True)

    change.root = root
    yield change
    subprocess.run(["umount", root], check=True)


def no_room(ended, root):
    error = json.loads(ended.err)
    reason = r"\((No space left on device|File too large)\)"
    assert (ended.status, ended.out, error["error"]) == (1, "", "StorageError")
    assert re.fullmatch(
        rf"The disk has no room for '{re.escape(str(root))}/[^']+' {reason}\.", error["message"]
    )
    return error["hint"] == NO_ROOM_HINT


@pytest.mark.parametrize("limit", [0, 10, 500, 1500, 3000])
def test_a_file_that_may_not_grow_is_not_kept_in_part(
    tmp_path, photos, more_photos, add, everything, drafts, limit
):
    root = tmp_path / "root"
    add(root, photos)
    before = everything(root)

    ended = add(root, more_photos, file_limit=limit)

    assert no_room(ended, root)
    assert (drafts(root), everything(root)) == ([], before)
    assert add(root, more_photos).status == 0
    assert list(everything(root)) == ["photos:v1", "photos:v2"]


def used(root):
    state = os.statvfs(root)
    return (state.f_blocks - state.f_bfree) * state.f_frsize // 1024, state.f_files - state.f_ffree


@pytest.mark.parametrize("resource", ["bytes", "files"])
def test_a_full_disk_loses_nothing_and_with_more_room_the_command_works(
    disk, photos, more_photos, add, everything, drafts, resource
):
    root = disk.root / "workspace"
    assert add(root, photos).status == 0
    before = everything(root)

    refused = 0
    for spare in range(40):
        kilobytes, files = used(disk.root)
        disk(f"size={kilobytes + 4 * spare}k" if resource == "bytes" else f"nr_inodes={files + spare}")
        ended = add(root, more_photos)
        if ended.status == 0:
            break
        refused += 1
        assert no_room(ended, root), spare
        assert (drafts(root), everything(root)) == ([], before), spare

    assert refused > 2
    assert ended.status == 0
    assert list(everything(root)) == ["photos:v1", "photos:v2"]
    assert everything(root)["photos:v1"] == before["photos:v1"]


def test_pictures_that_are_larger_than_the_disk_leave_it_as_it_was(
    disk, tmp_path, photos, run, add, everything, drafts
):
    root = disk.root / "workspace"
    add(root, photos)
    before, room = everything(root), os.statvfs(root).f_bfree
    folder = tmp_path / "large" / "noise"
    folder.mkdir(parents=True)
    for seed in range(12):  # 10 MB in all, on a disk of 8
        noise = np.random.default_rng(seed).integers(0, 256, (530, 530, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{seed}.png", compress_level=0)

    ended = add(root, folder.parent)

    assert no_room(ended, root)
    assert (drafts(root), everything(root)) == ([], before)
    assert os.statvfs(root).f_bfree >= room - 8  # a page or two for folders
    assert run("store", "verify", "--deep", "--workspace", root).status == 0
    disk("size=32m")
    assert add(root, folder.parent).status == 0
    assert list(everything(root)) == ["photos:v1", "photos:v2"]


def test_a_disk_without_room_for_a_workspace_says_so(disk, photos, add):
    disk("nr_inodes=1")

    ended = add(disk.root / "workspace", photos)
    disk("nr_inodes=1000")

    assert json.loads(ended.err) == {
        "error": "StorageError",
        "message": f"The disk has no room for {str(disk.root / 'workspace')!r} (No space left on device).",
        "hint": NO_ROOM_HINT,
    }
    assert add(disk.root / "workspace", photos).status == 0


def test_a_read_only_disk_can_be_read_and_not_added_to(disk, photos, more_photos, add, run, everything):
    root = disk.root / "workspace"
    add(root, photos)
    before = everything(root)
    disk("ro")

    listed = run("dataset", "list", "--workspace", root)
    verified = run("store", "verify", "--deep", "--workspace", root)
    ended = add(root, more_photos)

    assert (listed.status, listed.err, "photos:v1" in listed.out) == (0, "", True)
    assert (verified.status, verified.err) == (0, "")
    error = json.loads(ended.err)
    assert (ended.status, error["error"]) == (7, "NotAllowedError")
    assert re.fullmatch(r"'.+' cannot be written \(Read-only file system\)\.", error["message"])
    assert everything(root) == before
