"""Gates: what a number has to reach, in words."""

import numpy as np
import pytest

from regraft.engine import gates, metrics
from regraft.errors import InvalidError

LABELS = ("cat", "dog")


def measured(right):
    """Metrics of 10 cats and 10 dogs, of which so many of each are named rightly."""
    targets = np.repeat([0, 1], 10)
    said = np.concatenate([np.arange(10) >= right[0], np.arange(10) < right[1]]).astype(int)
    return metrics.measure(np.eye(2)[said] * 0.8 + 0.1, targets, LABELS)


@pytest.mark.parametrize(
    ("gate", "passed", "found"),
    [
        ("accuracy >= 0.9", True, "accuracy is 0.9"),
        ("accuracy > 90 %", False, "accuracy is 0.9"),
        ("accuracy.low >= 0.6", True, "the low end of accuracy is 0.699"),
        ("recall[dog] >= 0.9", False, "recall of 'dog' is 0.8"),
        ("log_loss < 0.4", True, "log_loss is 0.3251"),
        ("precision['cat'].high<=1e0", True, "the high end of precision of 'cat' is 0.953"),
    ],
)
def test_a_bound_holds_or_not_and_says_the_number(gate, passed, found):
    (verdict,) = gates.judge([gate], measured((10, 8)))

    assert (verdict.passed, verdict.found) == (passed, found)


@pytest.mark.parametrize(
    ("gate", "passed", "found"),
    [
        ("no class drops > 2 points", False, "recall of 'dog' fell by 20.0 points"),
        ("no class drops > 20 points", True, "recall of 'dog' fell by 20.0 points"),
        ("accuracy drops <= 5 points", False, "accuracy fell by 10.0 points"),
        ("accuracy drops < 10.1", True, "accuracy fell by 10.0 points"),
        ("log_loss drops <= 1 point", True, "log_loss did not fall"),
    ],
)
def test_a_drop_is_against_what_was_before(gate, passed, found):
    (verdict,) = gates.judge([gate], measured((10, 8)), measured((10, 10)))

    assert (verdict.passed, verdict.found) == (passed, found)


@pytest.mark.parametrize(
    ("gate", "fact", "hint"),
    [
        ("accuracy is fine", "'accuracy is fine' is no requirement.", "Write `accuracy >= 0.9`"),
        ("acuracy >= 0.9", "There is no number 'acuracy'.", "Did you mean 'accuracy'?"),
        ("recall[dgo] >= 0.9", "There is no class 'dgo'.", "Did you mean 'dog'?"),
        (
            "accuracy drops < 1 point",
            "There is nothing that 'accuracy drops < 1 point' could be a drop from.",
            "",
        ),
    ],
)
def test_what_is_no_gate_is_refused(gate, fact, hint):
    with pytest.raises(InvalidError) as caught:
        gates.judge([gate], measured((10, 8)))

    assert (str(caught.value), hint in caught.value.hint) == (fact, True)


@pytest.mark.parametrize(
    ("gate", "fact"),
    [
        ("accuracy = 0.9", "'accuracy = 0.9' is no requirement."),
        ("accuracy >= .", "'accuracy >= .' is no requirement."),
        ("accuracy >= 1-", "'accuracy >= 1-' is no requirement."),
        ("acuracy >= 0.9", "There is no number 'acuracy'."),
        ("recall[dgo] >= 0.9", "There is no class 'dgo'."),
        (
            "no class drops > 1 point",
            "There is nothing that 'no class drops > 1 point' could be a drop from.",
        ),
    ],
)
def test_what_cannot_be_judged_is_found_before_there_are_numbers(gate, fact):
    with pytest.raises(InvalidError) as caught:
        gates.check(["accuracy >= 0.9", gate], LABELS)

    assert str(caught.value) == fact


def test_a_class_is_named_with_quotes_or_without_whatever_its_name_is():
    gates.check(["recall['cat'] > 0", 'f1[ "dog" ] > 0', "top_3_accuracy > 0"], LABELS)
    gates.check(["recall['x'] > 0", "recall[a\nb] > 0"], ("'x'", "a\nb"))


def test_a_bound_on_what_is_not_known_is_not_met():
    (one, three) = gates.judge(["balanced_accuracy.low >= 0", "top_3_accuracy >= 0"], measured((10, 10)))

    assert (one.passed, one.found) == (False, "the low end of balanced_accuracy is not defined")
    assert (three.passed, three.found) == (False, "top_3_accuracy is not defined")
