"""Wrong shapes, types and values: for each the right answer, or an error that names the argument."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from dlbook.data.encoder import TableEncoder
from dlbook.data.images import read_idx
from dlbook.data.labelled import LabelledTexts, movie_reviews, names, split_labelled
from dlbook.data.pairs import Pairs, english_french, split_pairs
from dlbook.data.satellite import find_positions, satellite
from dlbook.data.series import Scaler, Series, fill_forward, split_by_time
from dlbook.data.spambase import spambase
from dlbook.data.speech import Recordings, spoken_digits
from dlbook.data.splits import dedup_key, drop_conflicting_duplicates, random_split, split_evenly, stratify
from dlbook.data.tables import Table, drop_conflicting_rows, split_table
from dlbook.data.windows import windows
from tests.dlbook.data.examples import hours, of, series, table
from tests.helpers.inputs import assert_refused, assert_right_or_refused, other_shapes, other_types

pytestmark = pytest.mark.usefixtures("unchecked")

TEXTS = ["a", "b", "c", "d"] * 3
LABELLED = LabelledTexts(TEXTS, torch.arange(12) % 2, ["no", "yes"])
TABLE = table([range(12), [0.5] * 12], [[0, 1, 2] * 4], [0, 1] * 6)
PAIRS = Pairs(list("abcdef"), list("uvwxyz"))
SERIES = series(range(30), [None, 1, 2] * 10)
LABELS = torch.arange(12) % 3
RECORDINGS = {"features": torch.ones(3, 5, 13), "lengths": torch.tensor([5, 2, 1]), "labels": torch.tensor([0, 1, 2])}
CELLS = {"numbers": TABLE.numbers, "categories": TABLE.categories, "labels": TABLE.labels}
NAMED = {"columns": TABLE.columns, "levels": TABLE.levels, "classes": TABLE.classes}
TIMES = {"times": hours(3), "values": torch.zeros(3, 2), "columns": ("a", "b")}

NO_COUNTS = [0, -1, 2.0, 0.5, math.nan, "2", None, True, torch.tensor(2)]
NO_FRACTIONS = [0, -0.1, 0.34, 1, math.nan, math.inf, "0.1", None, True, torch.tensor(0.1)]
NO_SEEDS = [0.0, "0", None, True, np.int64(1), torch.tensor(1)]
NO_ROWS = [[12], [-1], [0.5], [True, False], ["a"], [[0]], 3, None, "ab", torch.zeros(3), torch.ones(12).bool()]


FRACTIONS = {
    "stratify": (stratify, {"strata": TEXTS}),
    "split_table": (split_table, {"table": TABLE}),
    "split_labelled": (split_labelled, {"data": LABELLED}),
    "names": (names, {}),
    "movie_reviews": (movie_reviews, {}),
    "spambase": (spambase, {}),
    "satellite": (satellite, {}),
}


@pytest.mark.parametrize("name", FRACTIONS)
@pytest.mark.parametrize("value", NO_FRACTIONS, ids=repr)
def test_fractions(name, value):
    if name in ("stratify", "split_table") or value == "0.1":  # the others only pass it on
        function, arguments = FRACTIONS[name]
        assert_refused(function, arguments, "test_fraction", value)


SEEDS = {
    "stratify": partial(stratify, TEXTS, 0.3),
    "split_table": partial(split_table, TABLE, 0.3),
    "split_evenly": partial(split_evenly, LABELS, [1]),
    "random_split": partial(random_split, LABELS, test_size=2),
    "split_pairs": partial(split_pairs, PAIRS, 1),
}


@pytest.mark.parametrize("name", SEEDS)
@pytest.mark.parametrize("value", NO_SEEDS, ids=repr)
def test_seeds(name, value):
    assert_refused(SEEDS[name], {}, "seed", value)


COUNTS = {
    "random_split": (partial(random_split, LABELS), "test_size"),
    "split_pairs": (partial(split_pairs, PAIRS), "test_size"),
    "english_french": (english_french, "test_size"),
    "spoken_digits": (spoken_digits, "test_per_class"),
    "windows": (partial(windows, SERIES, "a"), "length"),
    "split_evenly": (lambda sizes: split_evenly(LABELS, [sizes]), "sizes"),
    "horizons": (lambda horizons: windows(SERIES, "a", 2, [horizons]), "horizons"),
    "read_idx": (lambda dims: read_idx(None, dims), "dims"),
}


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", NO_COUNTS, ids=repr)
def test_counts(name, value):
    if name != "english_french" or value == "2":  # which only passes it on
        function, argument = COUNTS[name]
        assert_refused(function, {}, argument, value)


@pytest.mark.parametrize("name", sorted(set(COUNTS) - {"read_idx", "english_french"}))  # these two would look at a file
def test_counts_beyond_what_there_is(name):
    function, argument = COUNTS[name]
    with pytest.raises(ValueError, match="must be .*: got"):
        function(**{argument: 10**6})


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_integers_of_numpy_count_as_well(kind):
    assert len(random_split(LABELS, test_size=kind(2))[1][0]) == 2
    assert split_pairs(PAIRS, kind(1)) == split_pairs(PAIRS, 1)
    assert len(split_evenly(LABELS, [kind(1)])[1]) == 3
    for found, expected in zip(
        of_windows(windows(SERIES, "a", kind(2), np.array([1, 2], kind), kind(1))),
        of_windows(windows(SERIES, "a", 2, (1, 2), 1)),
        strict=True,
    ):
        assert np.array_equal(found, expected)
    assert len(TABLE.choose([kind(3)])) == len(TABLE.choose(np.array([3], kind))) == 1
    assert stratify(np.arange(12, dtype=kind) % 2, 0.3) == stratify([0, 1] * 6, np.float32(0.3))


def of_windows(found):
    return found.inputs.numpy(), found.targets.numpy(), found.times


# --- rows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [TABLE, LABELLED], ids=["table", "texts"])
@pytest.mark.parametrize("rows", NO_ROWS, ids=repr)
def test_rows(data, rows):
    assert_refused(data.choose, {}, "rows", rows)


@pytest.mark.parametrize("rows", [[3], [-1], [0.5], [True], ["a"], torch.ones(3).bool()], ids=repr)
def test_rows_of_recordings(rows):
    assert_refused(Recordings(**RECORDINGS).choose, {}, "rows", rows)


def test_rows_may_be_any_sequence_of_integers():
    for rows in ([2, 0], (2, 0), np.array([2, 0]), torch.tensor([2, 0]), range(2, -1, -2)):
        assert LABELLED.choose(rows).texts == ["c", "a"]
        assert Recordings(**RECORDINGS).choose(rows).labels.tolist() == [2, 0]
    assert len(LABELLED.choose([])) == len(TABLE.choose([])) == 0


# --- duplicates and splits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [None, 5, b"a", ["a"], math.nan])
def test_texts_that_are_none(text):
    assert_refused(dedup_key, {}, "text", text)
    with pytest.raises(TypeError, match="text must be a string"):
        drop_conflicting_duplicates(["a", text], [0, 1])


@pytest.mark.parametrize("name", ["labels", "strata"])
@pytest.mark.parametrize("wrong", [1.0, math.nan, None, torch.tensor(1), (1,)], ids=repr)
def test_labels_that_may_equal_nothing(name, wrong):
    with pytest.raises(TypeError, match=f"{name} must be ints or strings: got"):
        if name == "labels":
            drop_conflicting_duplicates(["a", "b"], [0, wrong])
        else:
            stratify([0, 0, 0, wrong, wrong, wrong], 0.3)


def test_labels_in_a_tensor_would_all_differ():
    with pytest.raises(TypeError, match="labels must be a sequence of ints or strings: got Tensor"):
        drop_conflicting_duplicates(["a", "A"], torch.tensor([1, 1]))
    with pytest.raises(TypeError, match="strata must be a sequence of ints or strings: got Tensor"):
        stratify(torch.zeros(9), 0.3)
    with pytest.raises(TypeError, match="strata must be a sequence of ints or strings: got str"):
        stratify("aaabbb", 0.3)
    with pytest.raises(ValueError, match="strata must hold at least 3 examples"):
        stratify([], 0.3)


@pytest.mark.parametrize("labels", [[0], [0, 1, 1], []])
def test_more_or_fewer_labels_than_texts(labels):
    with pytest.raises(ValueError, match=f"labels must be one for each text: got {len(labels)} for 2"):
        drop_conflicting_duplicates(["a", "b"], labels)
    with pytest.raises(TypeError, match="texts must be a sequence of strings"):
        drop_conflicting_duplicates("ab", [0, 1])


def test_tensors_of_a_random_split():
    for wrong in ([1, 2, 3], np.arange(3), None, torch.tensor(3), 5):
        assert_refused(lambda tensors: random_split(tensors, test_size=1), {}, "tensors", wrong)
    for dtype in (torch.uint8, torch.bool, torch.float16, torch.bfloat16, torch.int8):
        tensor = (torch.arange(6) % 2).to(dtype)
        (train,), (held_out,) = random_split(tensor, test_size=2)
        assert train.dtype == held_out.dtype == dtype and train.shape == (4,) and held_out.shape == (2,)


def test_labels_of_an_even_split():
    arguments = {"labels": LABELS, "sizes": [1, 1]}
    for labels in other_types(LABELS):
        assert_right_or_refused(split_evenly, arguments, "labels", labels)
    for labels in (LABELS[:, None], LABELS.double(), LABELS > 0, LABELS - 1, LABELS.tolist(), LABELS[:0]):
        with pytest.raises((ValueError, TypeError), match="labels must|rarest class"):
            split_evenly(labels, [1, 1])


# --- what data sets consist of ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, arguments",
    [(Recordings, RECORDINGS), (partial(Table, **NAMED), CELLS)],
    ids=["recordings", "table"],
)
def test_parts_that_do_not_fit(make, arguments):
    for name, value in arguments.items():
        for other in other_shapes(value):
            with pytest.raises(ValueError, match=f"{name}|lengths|for each label"):
                make(**{**arguments, name: other})
        with pytest.raises(TypeError, match=f"{name} must"):
            make(**{**arguments, name: value.tolist()})


def test_types_of_a_table():
    """Bytes of other types would differ, and no duplicate would be found."""
    for name, value in CELLS.items():
        for other in (value.to(torch.float32), value.to(torch.int32), value > 0):
            assert_refused(partial(Table, **NAMED), CELLS, name, other)
    infinite = TABLE.numbers.clone()
    infinite[0, 0] = -math.inf
    assert_refused(partial(Table, **NAMED), CELLS, "numbers", infinite)


def test_lengths_and_labels_out_of_range():
    for lengths in ([5, 2, 0], [6, 2, 1], [5, 2, -1]):
        assert_refused(Recordings, RECORDINGS, "lengths", torch.tensor(lengths))
    for name in ("lengths", "labels"):
        assert_refused(Recordings, RECORDINGS, name, RECORDINGS[name].double())
    for labels in (torch.tensor([0, 2]), torch.tensor([0, -1]), torch.tensor([0.0, 1]), torch.tensor([[0, 1]])):
        assert_refused(partial(LabelledTexts, ["a", "b"], classes=["no", "yes"]), {}, "labels", labels)
    assert_refused(partial(Pairs, ["a", "b"]), {}, "french", ["c"])


def test_columns_of_another_table():
    other = table([range(12), [0.5] * 12], [[0, 1, 2] * 4], levels=("c", "b", "a"))
    assert_refused(partial(drop_conflicting_rows, TABLE), {}, "apart_from", other)
    assert_refused(TableEncoder.fit(TABLE).transform, {}, "table", other)


@pytest.mark.parametrize("shape", [(0, 36), (3, 35), (36,), (3, 3, 36)])
def test_windows_of_an_image(shape):
    assert_refused(find_positions, {}, "windows", torch.zeros(shape).double())


# --- time series ------------------------------------------------------------------------------------------------------


def test_what_makes_no_series():
    values = TIMES["values"]
    for other in (values.double(), values.half(), values.bfloat16(), values.long(), values > 0, values.tolist()):
        assert_refused(Series, TIMES, "values", other)
    for other in other_shapes(values):
        assert_refused(Series, TIMES, "values", other)
    for other in (["a", "b"], "ab", ("a", 1), None):
        assert_refused(Series, TIMES, "columns", other)
    for other in (hours(3).tolist(), hours(3).astype(int), hours(3)[:, None], hours(0), None):
        assert_refused(Series, TIMES, "times", other)
    missing = hours(3)
    missing[1] = np.datetime64("NaT")
    assert_refused(Series, TIMES, "times", missing)


@pytest.mark.parametrize("limit", [-1, 1.0, math.nan, None, "1", True])
def test_limits(limit):
    assert_refused(partial(fill_forward, SERIES), {}, "limit", limit)


@pytest.mark.parametrize("horizons", [(), [], 1, None, "1", {1}, np.array([], int), torch.tensor([1])], ids=repr)
def test_horizons(horizons):
    assert_refused(partial(windows, SERIES, "a", 2), {}, "horizons", horizons)


@pytest.mark.parametrize("border", ["yesterday", "", "2013-13-01", 5, None, 2013.0, "NaT"])
def test_borders(border):
    with pytest.raises(ValueError, match="borders must"):
        split_by_time(SERIES, border)


def test_borders_out_of_order():
    for borders in (("2013-01-01T20", "2013-01-01T10"), ("2013-01-01T10", "2013-01-01T10"), ("2012", "2013-01-01T10")):
        with pytest.raises(ValueError, match=r"borders must increase .*: got 2"):
            split_by_time(SERIES, *borders)
    parts = split_by_time(SERIES, np.datetime64("2013-01-01T10"), "2013-01-01T20")
    assert [len(part) for part in parts] == [10, 10, 10]


def test_columns_that_are_not_there():
    for column in ("c", 0, None, ["a"]):
        with pytest.raises(ValueError, match="column must be one of a, b: got"):
            SERIES[column]
        with pytest.raises(ValueError, match="column must be one of a, b: got"):
            SERIES.select([column])
    assert SERIES.select([]).values.shape == (30, 0)


@pytest.mark.parametrize("value", [0.1, 1e6 + 0.1, -3.3e-5, 0.0])
def test_a_constant_column_becomes_zero(value):
    """Its standard deviation may be a rounding error, by which nothing must be divided."""
    constant = series([value] * 1_000)
    scaler = Scaler.fit(constant)
    assert scaler.transform(constant).values.abs().max() < 1e-6
    later = scaler.transform(series([value + 1, value]))
    assert later["a"][0].item() == pytest.approx(1, rel=0.1)


def test_values_to_scale_back():
    scaler = Scaler.fit(SERIES)
    values = torch.tensor([0.5, -1.0, 2.0])
    arguments = {"values": values, "column": "a"}
    for other in other_types(values):
        assert_right_or_refused(scaler.inverse_transform, arguments, "values", other, tolerance=0.1)
    for other in (values.long(), values > 0, values.tolist(), None):
        assert_refused(scaler.inverse_transform, arguments, "values", other)
    assert scaler.inverse_transform(torch.tensor([math.nan]), "a").isnan().all()
    assert scaler.inverse_transform(values.to("meta"), "a").device.type == "meta"


def test_parts_are_parts():
    parts = split_labelled(LABELLED, 0.2)
    assert sorted(text for part in of(parts) for text in part.texts) == sorted(TEXTS)
