"""Ctrl-C while pictures are added."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

SAID = "\nInterrupted. Nothing half-written is kept; run the command again to go on.\n"


@pytest.mark.parametrize(
    ("point", "folder"),
    [("blob.write", "packs"), ("blob.flush", "packs"), ("catalog.commit.write", "datasets")],
)
def test_ctrl_c_keeps_nothing_half_written(tmp_path, make_folder, add, everything, drafts, point, folder):
    root, photos = tmp_path / "root", make_folder({"cat": 150, "dog": 150})
    words = [sys.executable, "-m", "regraft", "dataset", "add", "photos", str(photos)]
    environment = {**os.environ, "REGRAFT_FAILPOINTS": f"{point}=sleep:10", "REGRAFT_HOME": str(root)}

    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        while not drafts(root / folder) and child.poll() is None:
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    left, found = drafts(root), everything(root)
    again = add(root, photos)

    assert (child.returncode, out, err) == (130, "", SAID)
    assert (left, found) == ([], {})
    assert (again.status, json.loads(again.out)["version"]["ref"]) == (0, "photos:v1")
    assert len(everything(root)["photos:v1"][1]) == 300


def test_a_commit_that_was_interrupted_after_it_was_published_is_whole(
    tmp_path, photos, add, everything, drafts
):
    whole, root = tmp_path / "whole", tmp_path / "root"
    add(whole, photos)

    ended = add(root, photos, failpoints="catalog.commit.published=interrupt")

    assert (ended.status, ended.err) == (130, SAID)
    assert (drafts(root), everything(root)) == ([], everything(whole))
