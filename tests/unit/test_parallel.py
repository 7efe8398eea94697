"""Threads: results come in order, and few wait in memory."""

from __future__ import annotations

import threading

import pytest

from regraft.data.parallel import ordered


def test_results_come_in_the_order_of_the_items_whoever_is_ready_first():
    second_is_ready = threading.Event()

    def wait_or_go(item):
        if item == 0:
            assert second_is_ready.wait(timeout=30)
        else:
            second_is_ready.set()
        return item * 10

    assert list(ordered(wait_or_go, range(20), ahead=4)) == [item * 10 for item in range(20)]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 100])
def test_every_item_gives_one_result(count):
    assert list(ordered(str, range(count), ahead=4)) == [str(item) for item in range(count)]


def test_items_are_taken_a_bounded_number_ahead():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    results = ordered(str, items(), ahead=5)
    ahead = [len(taken) - done for done, _ in enumerate(results, start=1)]

    assert max(ahead) <= 5
    assert len(taken) == 100


def test_an_error_comes_in_the_place_of_its_result():
    def invert(item):
        return 1 / item

    results = ordered(invert, [2, 1, 0, 4])

    assert [next(results), next(results)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_who_stops_early_leaves_no_thread_behind():
    before = threading.active_count()
    results = ordered(str, range(1000), ahead=8)
    next(results)

    results.close()

    assert threading.active_count() == before
