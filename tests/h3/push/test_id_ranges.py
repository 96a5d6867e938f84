"""`IdRanges` against a set."""

from hypothesis import given, settings
from hypothesis import strategies as st

from h3push.h3.push.id_ranges import IdRanges
from h3push.wire.varint import VARINT_MAX


def ranges_in(ids: set[int]) -> int:
    return sum(push_id - 1 not in ids for push_id in ids)


@settings(derandomize=True)
@given(st.lists(st.one_of(st.integers(0, 30), st.integers(VARINT_MAX - 5, VARINT_MAX))))
def test_it_is_a_set(added):
    """Whatever is added in whatever order: it holds that and nothing else, in as few ranges as there are."""
    ranges, model = IdRanges(), set()
    for push_id in added:
        assert ranges.add(push_id) == (push_id not in model)
        model.add(push_id)
        assert push_id in ranges
        assert len(ranges) == ranges_in(model)
        assert ranges.count == len(model)
    for push_id in (*range(-1, 33), *range(VARINT_MAX - 7, VARINT_MAX + 1)):
        assert (push_id in ranges) == (push_id in model)


@settings(derandomize=True)
@given(st.permutations(range(12)))
def test_a_whole_range_is_one_range_in_any_order(order):
    """However 0 to 11 come, one range is left."""
    ranges = IdRanges()
    for push_id in order:
        assert ranges.add(push_id)
    assert len(ranges) == 1
    assert all(push_id in ranges for push_id in range(12))
    assert 12 not in ranges


@settings(derandomize=True, max_examples=20)
@given(st.integers(1, 8), st.randoms(use_true_random=False))
def test_it_stays_small_while_few_are_unfinished(window, choice):
    """IDs that finish within a window of `window` leave that many ranges at most, after ten thousand of them."""
    ranges, under_way, next_id = IdRanges(), [], 0
    for _ in range(2_000):
        while len(under_way) < window:
            under_way.append(next_id)
            next_id += 1
        ranges.add(under_way.pop(choice.randrange(len(under_way))))
        assert len(ranges) <= window
    assert ranges.count == 2_000
