"""Splits: nothing lost, nothing twice, as large as asked for; duplicates found; errors."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook.data import splits
from tests.dlbook.data.examples import of

# --- duplicates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one, other",
    [
        ("Bien !", "bien."),
        ("It's  good…", "its good"),
        ("ＡＭＤ，很好！", "amd很好"),
        ("e\u0301t\u00e9", "ÉTÉ"),
        ("...", ""),
    ],
)
def test_the_same(one, other):
    assert splits.dedup_key(one) == splits.dedup_key(other)


@pytest.mark.parametrize("one, other", [("bien", "rien"), ("7 out of 10", "8 out of 10"), ("不好", "好")])
def test_not_the_same(one, other):
    assert splits.dedup_key(one) != splits.dedup_key(other)


def test_what_is_kept():
    texts = ["good", "bad", "Good!", "so so", "", "So, so.", "fine", "?!", "bad"]
    assert splits.drop_conflicting_duplicates(texts, [1, 0, 1, 1, 0, 0, 1, 1, 0]) == [0, 1, 6]


@given(st.lists(st.sampled_from(["a", "A!", "b", "c", "?"])), st.randoms())
def test_what_is_kept_is_there_once_and_has_one_label(texts, random):
    labels = [random.randint(0, 1) for _ in texts]
    kept = splits.drop_conflicting_duplicates(texts, labels)
    assert kept == sorted(kept)
    found = [splits.dedup_key(texts[row]) for row in kept]
    assert len(set(found)) == len(found) and "" not in found
    for row, what in zip(kept, found, strict=True):
        same = [n for n in range(len(texts)) if splits.dedup_key(texts[n]) == what]
        assert row == same[0] and len({labels[n] for n in same}) == 1


# --- splitting --------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(3, 30), min_size=1, max_size=5), st.floats(0.01, 1 / 3), st.integers(0, 3))
def test_a_split_loses_nothing_and_has_its_fractions(counts, fraction, seed):
    strata = [label for label, count in enumerate(counts) for _ in range(count)]
    parts = splits.stratify(strata, fraction, seed)
    assert sorted(parts.train + parts.validation + parts.test) == list(range(len(strata)))
    for part in of(parts):
        assert part == sorted(part) and {strata[row] for row in part} == set(strata)
    for label, count in enumerate(counts):
        held_out = max(1, round(fraction * count))
        assert [[strata[row] for row in part].count(label) for part in (parts.validation, parts.test)] == [held_out] * 2
    assert splits.stratify(strata, fraction, seed) == parts


def test_a_split_is_random():
    one, other = splits.stratify(["a"] * 1_000, 0.1), splits.stratify(["a"] * 1_000, 0.1, seed=1)
    assert one.test != other.test and 400 < sum(one.test) / 100 < 600  # five standard errors are 144


@pytest.mark.parametrize("fraction", [0.0, 0.34, -0.1])
def test_fractions(fraction):
    with pytest.raises(ValueError, match=f"test_fraction must be above 0 and at most a third: got {fraction}"):
        splits.stratify(["a"] * 9, fraction)


def test_rare_strata():
    with pytest.raises(ValueError, match="strata must hold at least 3 examples each, .*: got fewer in b"):
        splits.stratify(["a"] * 9 + ["b"] * 2, 0.1)


# --- parts with equally many of each class ----------------------------------------------------------------------------


@given(
    st.lists(st.integers(5, 12), min_size=1, max_size=4),
    st.lists(st.integers(1, 2), min_size=1, max_size=2),
    st.integers(0, 3),
)
def test_a_split_loses_nothing_and_is_even(counts, sizes, seed):
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(9))]
    train, *parts = splits.split_evenly(labels, sizes, seed)
    assert torch.cat([train, *parts]).sort().values.equal(torch.arange(len(labels)))
    for part, each in zip(parts, sizes, strict=True):
        assert labels[part].bincount(minlength=len(counts)).tolist() == [each] * len(counts)
        assert part.equal(part.sort().values)
    again = splits.split_evenly(labels, sizes, seed)
    assert all(map(torch.equal, [train, *parts], again))


def test_an_even_split_is_random():
    labels = torch.zeros(1_000, dtype=torch.int64)
    (_, first), (_, other) = splits.split_evenly(labels, [100]), splits.split_evenly(labels, [100], seed=1)
    assert not first.equal(other)
    assert 400 < first.double().mean() < 600  # five standard errors are 140


@pytest.mark.parametrize("sizes", [[], [5], [3, 2]])
def test_each_part_holds_something(sizes):
    labels = torch.tensor([0] * 9 + [1] * 5)
    rule = "sizes must be one or more, and less in sum than the 5 examples of the rarest class: got "
    with pytest.raises(ValueError, match=rule + str(sizes).replace("[", r"\[")):
        splits.split_evenly(labels, sizes)
    with pytest.raises(ValueError, match="the 0 examples of the rarest class"):
        splits.split_evenly(torch.zeros(0, dtype=torch.int64), [1])


# --- a random split ---------------------------------------------------------------------------------------------------


@given(st.integers(2, 50), st.data())
def test_a_split_loses_nothing_and_keeps_rows_together(length, data):
    test_size = data.draw(st.integers(1, length - 1))
    rows = torch.arange(length)
    train, validation = splits.random_split(rows, 10 * rows[:, None], test_size=test_size)
    assert len(validation[0]) == test_size
    assert torch.cat([train[0], validation[0]]).sort().values.equal(rows)
    for first, second in (train, validation):
        assert second.equal(10 * first[:, None])


def test_a_split_is_random_and_repeatable():
    rows = torch.arange(1_000)
    (_,), (first,) = splits.random_split(rows, test_size=100)
    (_,), (again,) = splits.random_split(rows, test_size=100)
    (_,), (other,) = splits.random_split(rows, test_size=100, seed=1)
    assert first.equal(again)
    assert not first.equal(other)
    assert 400 < first.double().mean() < 600  # five standard errors are 140: neither the first nor the last 100


@pytest.mark.parametrize("test_size", [0, 10, -1])
def test_both_parts_of_a_split_hold_something(test_size):
    with pytest.raises(ValueError, match=f"test_size must be .*: got {test_size}"):
        splits.random_split(torch.zeros(10), test_size=test_size)


@pytest.mark.parametrize("tensors", [(), (torch.zeros(3), torch.zeros(4))])
def test_a_split_needs_tensors_of_one_length(tensors):
    with pytest.raises(ValueError, match="tensors must be one or more of the same length: got lengths"):
        splits.random_split(*tensors, test_size=1)
