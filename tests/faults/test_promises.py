"""What a store keeps to itself, collects, and numbers."""

import pytest
from tests.faults import promises

PROMISES = {
    "what_is_being_written_is_not_collected": "second version",
    "what_is_used_again_is_not_collected": "second version",
    "what_was_removed_can_be_recovered_for_a_day": "remove",
    "a_number_is_never_given_again": "second version",
    "a_picture_keeps_its_split": "second version",
    "a_damaged_picture_is_not_handed_out": "second version",
    "a_damaged_version_is_not_shown": "second version",
}


@pytest.mark.parametrize("promise", PROMISES)
def test_a_store_keeps_its_promises(all_scenes, run, promise):
    broken = getattr(promises, promise)(all_scenes[PROMISES[promise]], run)

    assert broken == []
