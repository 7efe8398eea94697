"""A recipe is read in spite of its faults, and all of them are told."""

from regraft.recipe import read
from regraft.recipe.mending import mend


def test_a_recipe_without_a_fault_is_as_it_is_read():
    traced, faults = mend("full", ["train.epochs=3"])

    assert (traced.recipe, faults) == (read("full", ["train.epochs=3"]), [])


def test_every_fault_is_told_and_what_is_right_is_kept(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(
        "[train]\nepochs = 0\nbatch_size = 7\n[optim]\nlrr = 1\ngroups = [{lr_scale = 2}]\n"
        "[modle]\nref = 'x'\n"
    )

    traced, faults = mend(path, ["nonsense", "train.seed=-1", "train.patience=2"])

    assert [str(fault).removeprefix(f"{path}, ") for fault in faults] == [
        "'nonsense' is no setting.",
        "line 6: 'optim.groups.0' has no 'pattern'.",
        "line 5: Unknown key 'lrr' in 'optim'.",
        "'train.seed' cannot be -1.",
        "line 2: 'train.epochs' cannot be 0.",
        "line 7: Unknown key 'modle'.",
    ]
    assert traced.recipe == read(None, ["train.batch_size=7", "train.patience=2"])


def test_of_a_file_that_is_no_toml_nothing_is_read(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text("[train\n")

    traced, faults = mend(path)

    assert (traced, len(faults)) == (None, 1)
