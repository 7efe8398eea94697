"""Label reuse: which labels an old classifier knows, what a file of synonyms adds, and the rows."""

import pytest
import torch
from torch import nn

from regraft.errors import InvalidError, MismatchError, NotFoundError
from regraft.hub import heads, labels, nets


@pytest.fixture(scope="module")
def imagenet():
    return nets.label_names(nets.build("test_resnet"))


@pytest.fixture
def synonyms(tmp_path):
    """Write a file of synonyms and read it."""

    def write(text):
        path = tmp_path / "synonyms.txt"
        path.write_text(text, encoding="utf-8")
        return labels.read_synonyms(path)

    return write


def test_hotdog_of_imagenet_is_known_and_what_is_no_hotdog_is_not(imagenet):
    assert labels.matches(imagenet, ["hot_dog", "not_hot_dog"]) == {0: 934}
    assert labels.matches(imagenet, ["Hot-Dog"]) == {0: 934}
    assert labels.matches(imagenet, ["not-hotdog", "hotdog"]) == {1: 934}


def test_a_whole_imagenet_name_is_its_own_class(imagenet):
    assert labels.matches(imagenet, imagenet) == {index: index for index in range(1000)}


@pytest.mark.parametrize("label", ["Tabby Cat", "tabby_cat", "tabby", "TABBY-CAT", "tabby, kitten"])
def test_case_and_separators_do_not_count(label):
    assert labels.matches(["tiger cat", "tabby, tabby cat"], [label]) == {0: 1}


def test_a_plural_is_another_word():
    assert labels.matches(["dog", "cat"], ["dogs", "cat"]) == {1: 1}


def test_the_exact_name_goes_before_the_like():
    assert labels.matches(["ice_cream", "ice cream", "Ice Cream"], ["ice cream", "ICE CREAM"]) == {0: 1, 1: 0}


def test_a_whole_name_goes_before_one_of_several(imagenet):
    found = labels.candidates(["projectile, missile", "missile"], ["Missile"])

    assert found == {0: (1,)}


def test_of_several_that_match_equally_the_first_counts_and_all_are_told(imagenet):
    assert labels.candidates(imagenet, ["apple", "crane"]) == {1: (134, 517)}
    assert labels.matches(imagenet, ["apple", "crane"]) == {1: 134}


def test_two_labels_may_begin_with_one_row():
    assert labels.matches(["mug"], ["Mug", "mug"]) == {0: 0, 1: 0}


def test_synonyms_are_other_names(synonyms, imagenet):
    said = synonyms("wiener, Hot Dog, frankfurter\n\n# of fruit\nbramley, Granny_Smith\n")

    assert labels.matches(imagenet, ["Bramley", "wiener", "cox"], said) == {0: 948, 1: 934}


@pytest.mark.parametrize("index", ["#517", "517", "#0517"])
def test_synonyms_name_an_old_class_by_its_index(synonyms, imagenet, index):
    said = synonyms(f"{index}, crane\n")

    assert labels.candidates(imagenet, ["Crane"], said) == {0: (517,)}


def test_a_number_that_is_a_label_is_a_name(synonyms):
    old = ["7", "9", "x", "y"]

    assert labels.matches(old, ["seven"], synonyms("seven, 7")) == {0: 0}
    assert labels.matches(old, ["three"], synonyms("three, 3")) == {0: 3}
    assert labels.matches(old, ["three"], synonyms("three, #3")) == {0: 3}


def test_an_index_that_no_class_has_is_refused(synonyms):
    with pytest.raises(InvalidError) as caught:
        labels.matches(["a", "b"], ["c"], synonyms("c, #2"))

    assert str(caught.value) == "The synonyms name class #2, and the old classifier has 2."
    assert caught.value.hint == "Classes are counted from 0 to 1."


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a, b\nc\n", "Line 2 of {path!r} has one name, 'c', which says nothing."),
        ("a,, b\n", "Line 1 of {path!r} has an empty name."),
        ("\na, b,\n", "Line 2 of {path!r} has an empty name."),
        ("a, #x\n", "Line 1 of {path!r} has '#x', which is no number of a class."),
        ("hot dog, b\n\nc, Hot_Dog\n", "Line 3 of {path!r} names 'Hot_Dog', which line 1 names already."),
    ],
)
def test_a_line_that_says_nothing_clear_is_named(tmp_path, text, fault):
    path = tmp_path / "synonyms.txt"
    path.write_text(text)

    with pytest.raises(InvalidError) as caught:
        labels.read_synonyms(path)

    assert str(caught.value) == fault.format(path=str(path))


def test_a_file_of_synonyms_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9, coffee\n")

    with pytest.raises(InvalidError, match=r"latin\.txt' is not text in UTF-8\.$"):
        labels.read_synonyms(tmp_path / "latin.txt")
    with pytest.raises(InvalidError, match=r"cannot be read: Is a directory\.$"):
        labels.read_synonyms(tmp_path)
    with pytest.raises(NotFoundError, match=r"There is no file of synonyms '.*none\.txt'\.$"):
        labels.read_synonyms(tmp_path / "none.txt")


def test_rows_of_known_labels_are_the_old_ones_and_the_others_stay():
    old = nn.Linear(5, 4)
    head = heads.build("linear", 5, 3, init="xavier", seed=1)
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}

    result = labels.reuse(head, old, {0: 3, 2: 1})

    assert result is head
    assert torch.equal(head.weight[[0, 2]], old.weight[[3, 1]])
    assert torch.equal(head.bias[[0, 2]], old.bias[[3, 1]])
    assert torch.equal(head.weight[1], before["weight"][1])
    assert head.weight.requires_grad


@pytest.mark.parametrize(
    ("head", "old", "message"),
    [
        (heads.build("mlp", 5, 2), nn.Linear(5, 4), "The new head is not linear: its labels have no rows"),
        (nn.Linear(5, 2), heads.build("cosine", 5, 4), "The old head is not linear: its labels have no rows"),
        (nn.Linear(5, 2), nn.Linear(6, 4), "The new head takes 5 features, and the old one 6."),
    ],
)
def test_heads_without_rows_for_each_other_are_refused(head, old, message):
    with pytest.raises(MismatchError) as caught:
        labels.reuse(head, old, {0: 0})

    assert str(caught.value).startswith(message)
