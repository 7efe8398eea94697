"""Labels of a dataset against those of a model."""

import pytest

from regraft.errors import InvalidError, MismatchError
from regraft.jobs.matching import match

MODEL = ("hot dog", "not hot dog", "Pizza")


def matched(labels, model=MODEL, **renames):
    return match(labels, model, renames=renames, counts=dict.fromkeys(labels, 3))


def test_labels_are_matched_by_name_in_any_order():
    found = matched(["Pizza", "hot dog", "not hot dog"])

    assert (found.known, found.notes) == ({label: label for label in ("Pizza", "hot dog", "not hot dog")}, ())


def test_names_that_are_written_otherwise_are_matched_and_it_is_said():
    found = matched(["hot_dog", "NOT-hot_dog", "pizza"])

    assert found.known == {"hot_dog": "hot dog", "NOT-hot_dog": "not hot dog", "pizza": "Pizza"}
    assert found.notes == (
        "'hot_dog' is taken for the model's 'hot dog'.",
        "'NOT-hot_dog' is taken for the model's 'not hot dog'.",
        "'pizza' is taken for the model's 'Pizza'.",
    )


def test_a_name_that_two_labels_of_the_model_are_alike_to_is_not_guessed():
    found = matched(["A b", "c"], ("a b", "a_b", "c"))

    assert found.known == {"c": "c"}


def test_what_the_model_does_not_know_is_left_out_and_what_has_no_pictures_is_named():
    found = matched(["hot dog", "soup"])

    assert found.known == {"hot dog": "hot dog"}
    assert found.notes == (
        "Left out, since the model does not know their labels: 3 pictures of 'soup'. "
        "The numbers do not speak for these.",
        "Labels of the model without pictures here: 'not hot dog', 'Pizza'.",
    )


def test_a_rename_says_which_is_which():
    found = matched(["frankfurter", "Pizza"], frankfurter="hot dog")

    assert found.known == {"frankfurter": "hot dog", "Pizza": "Pizza"}


def test_where_nothing_matches_it_is_refused():
    with pytest.raises(MismatchError) as caught:
        matched(["soup"])

    assert str(caught.value) == "The model knows none of the dataset's labels: 'soup'."
    assert "--rename OLD=NEW" in caught.value.hint


@pytest.mark.parametrize(
    ("renames", "fact", "hint"),
    [
        ({"soop": "Pizza"}, "The dataset has no label 'soop'.", "Did you mean 'soup'?"),
        ({"soup": "Piza"}, "The model has no label 'Piza'.", "Did you mean 'Pizza'?"),
    ],
)
def test_a_rename_of_what_is_not_there_names_its_neighbour(renames, fact, hint):
    with pytest.raises(InvalidError) as caught:
        matched(["soup"], **renames)

    assert (str(caught.value), caught.value.hint) == (fact, hint)
