"""Data checks: duplicates, gaps, leaks and shifts, before anything is trained.

All work on the CPU. `check_table` and `check_images` make a report of them; what a
check flags is a question to the people who made the data, not a verdict.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from dlbook._check import (
    check_floating,
    check_integer,
    check_no_nan,
    check_seed,
    check_shape,
    check_whole,
)
from dlbook.practice.label_noise import FitPredict


@dataclass(frozen=True)
class TwoSampleTest:
    """The result of a classifier two-sample test.

    Args:
        accuracy: of the classifier on examples that it was not trained on; one half if
            the two samples look alike.
        p_value: the probability of so high an accuracy or more, if they are alike.
        tested: on how many examples.
    """

    accuracy: float
    p_value: float
    tested: int


def classifier_two_sample_test(
    first: Float[Tensor, "first *features"],
    second: Float[Tensor, "second *features"],
    fit_predict: FitPredict,
    seed: int = 0,
) -> TwoSampleTest:
    """Test whether two samples come from one distribution, with a classifier (C2ST).

    It learns on one half of both samples which example is of which, and is tested on
    the other half. Samples of different sizes are cut to the smaller one.

    Args:
        first: the examples of one sample, along the first axis.
        second: those of the other.
        fit_predict: called with the examples and labels (0 for the first sample, 1 for
            the second) to train on, and other examples; returns a label for each.
        seed: of the halves.

    Raises:
        ValueError: The features differ, or a sample has fewer than 4 examples.

    Source: Lopez-Paz and Oquab 2017; book equation (5.1.2h).
    """
    _check_samples(first, second)
    check_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    size = min(len(first), len(second))
    halves: list[list[Tensor]] = [[], []]
    for sample in (first, second):
        order = torch.randperm(len(sample), generator=generator)[:size]
        halves[0].append(sample[order[: size // 2]])
        halves[1].append(sample[order[size // 2 :]])
    train, test = (torch.cat(half) for half in halves)
    labels, truth = (torch.arange(2).repeat_interleave(len(h[0])) for h in halves)
    predicted = fit_predict(train, labels.to(train.device), test)
    check_shape("the result of fit_predict", predicted, len(test))
    hits = int((predicted.cpu() == truth).sum())
    return TwoSampleTest(
        hits / len(truth), _binomial_tail(hits, len(truth)), len(truth)
    )


def kolmogorov_smirnov(
    first: Float[Tensor, " first"], second: Float[Tensor, " second"]
) -> tuple[float, float]:
    """Return the largest difference of two distribution functions, and a p-value.

    The test is that of Kolmogorov and Smirnov.

    Args:
        first: numbers; NaN is left out.
        second: numbers of another sample.

    Returns:
        The statistic, and an upper bound of its p-value, from the inequality of
        Dvoretzky, Kiefer and Wolfowitz.

    Raises:
        ValueError: A sample holds no number.

    Source: Wei and Dudley 2012.
    """
    check_shape("first", first, "examples")
    check_shape("second", second, "examples")
    check_floating(first=first, second=second)
    first, second = (x[~x.isnan()].cpu().double() for x in (first, second))
    if not len(first) or not len(second):
        raise ValueError(
            "first and second must hold numbers: "
            f"got {len(first)} and {len(second)} that are not NaN"
        )
    every = torch.cat([first, second])
    below = [
        torch.searchsorted(x.sort().values, every, right=True) / len(x)
        for x in (first, second)
    ]
    statistic = (below[0] - below[1]).abs().max().item()
    size = len(first) * len(second) / (len(first) + len(second))
    return statistic, min(1.0, 2 * math.exp(-2 * size * statistic**2))


def chi_squared(table: Int[Tensor, "rows columns"]) -> tuple[float, float]:
    """Test whether the rows and columns of a table of counts are independent.

    Args:
        table: counts, such as missing or not (rows) by class (columns); rows and
            columns of zeros are left out.

    Returns:
        Pearson's statistic and its p-value; 0 and 1 if one row or column is left.

    Raises:
        TypeError: table does not hold integers.
        ValueError: It has another shape, or a count is negative.

    Source: Pearson 1900.
    """
    check_shape("table", table, "rows", "columns")
    check_integer(table=table)
    if (table < 0).any():
        raise ValueError(f"table must not be negative: got {int(table.min())}")
    counts = table.cpu().double()
    counts = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
    freedom = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    if freedom < 1:
        return 0.0, 1.0
    expected = counts.sum(1, keepdim=True) * counts.sum(0) / counts.sum()
    statistic = ((counts - expected) ** 2 / expected).sum()
    half = torch.tensor(freedom / 2, dtype=torch.float64)
    return statistic.item(), torch.special.gammaincc(half, statistic / 2).item()


def duplicate_groups(rows: Float[Tensor, "rows *features"]) -> list[list[int]]:
    """Return the row numbers of each set of equal rows, in their order.

    Args:
        rows: tables or images; any NaN equals any other, and -0 equals 0.

    Raises:
        TypeError: rows is not floating point.
    """
    check_floating(rows=rows)
    flat = rows.flatten(1) + 0.0
    flat = flat.masked_fill(flat.isnan(), math.nan)  # one NaN for all
    found: dict[bytes, list[int]] = {}
    for number, row in enumerate(flat.cpu().numpy()):
        found.setdefault(row.tobytes(), []).append(number)
    return [group for group in found.values() if len(group) > 1]


def nearest_neighbors(
    queries: Float[Tensor, "queries *features"],
    rows: Float[Tensor, "rows *features"],
    chunk: int = 1000,
) -> tuple[Float[Tensor, " queries"], Int64[Tensor, " queries"]]:
    """Return the Euclidean distance of each query to its nearest row, and which it is.

    A near duplicate has a small distance, compared with the norm of the query.

    Args:
        queries: such as the images of a test set.
        rows: such as those of the training set.
        chunk: how many queries are compared with all rows at a time.

    Raises:
        TypeError: One is not floating point.
        ValueError: The features differ, there is no row, or a number is NaN.
    """
    check_floating(queries=queries, rows=rows)
    check_no_nan(queries=queries, rows=rows)
    check_whole(1, chunk=chunk)
    if queries.shape[1:] != rows.shape[1:] or not len(rows):
        raise ValueError(
            "rows must be one or more, with the features of queries, "
            f"{tuple(queries.shape[1:])}: got the shape {tuple(rows.shape)}"
        )
    flat = rows.flatten(1)
    square = flat.square().sum(1)
    index = torch.cat(
        [
            (square - 2 * part @ flat.T).argmin(1)
            for part in queries.flatten(1).split(chunk)
        ]
    )
    return (queries.flatten(1) - flat[index]).norm(dim=1), index


@dataclass(frozen=True)
class Purity:
    """How many values of a column occur with one class alone.

    Args:
        pure: values that do.
        values: values that occur often enough to be looked at.
        expected: how many would be pure, on average, if the labels were shuffled.
        share: of the rows that have a number, how many have a pure value.
        expected_share: how many would, on average, if the labels were shuffled.
    """

    pure: int
    values: int
    expected: float
    share: float
    expected_share: float


def value_purity(
    column: Float[Tensor, " rows"],
    labels: Int64[Tensor, " rows"],
    least: int = 5,
    permutations: int = 20,
    seed: int = 0,
) -> Purity:
    """Count a column's values that occur with one class alone: a sign of a leak.

    Args:
        column: numbers or codes of categories; NaN is left out.
        labels: of the rows.
        least: how often a value must occur.
        permutations: how often the labels are shuffled for comparison.
        seed: of the shuffles.

    Raises:
        TypeError: labels is not int64, or a number no whole one.
        ValueError: The lengths differ, or a number is less than 1.
    """
    check_shape("column", column, "rows")
    check_shape("labels", labels, len(column))
    check_floating(column=column)
    check_integer(labels=labels)
    check_whole(1, least=least, permutations=permutations)
    check_seed(seed)
    known = ~column.isnan()
    _, code = column[known].unique(return_inverse=True)
    classes = labels[known].unique(return_inverse=True)[1]
    size, count = int(classes.max()) + 1 if len(classes) else 1, code.bincount()
    often = count >= least

    def pure(of: Tensor) -> tuple[int, float]:  # values, share of the rows
        cells = (code * size + of).bincount(minlength=len(count) * size)
        largest = cells.reshape(-1, size).amax(1)
        alone = count[often & (largest == count)]
        return len(alone), int(alone.sum()) / max(1, len(code))

    generator = torch.Generator().manual_seed(seed)
    shuffled = [
        pure(classes[torch.randperm(len(classes), generator=generator)])
        for _ in range(permutations)
    ]
    values, share = pure(classes)
    expected, by_chance = (sum(x) / permutations for x in zip(*shuffled, strict=True))
    return Purity(values, int(often.sum()), expected, share, by_chance)


@dataclass(frozen=True)
class ColumnScore:
    """How well one column alone predicts the label.

    Args:
        accuracy: on rows that it was not fitted to.
        majority: the accuracy, on the same rows, of the most frequent class.
    """

    accuracy: float
    majority: float


def column_score(
    column: Float[Tensor, " rows"],
    labels: Int64[Tensor, " rows"],
    bins: int = 32,
    seed: int = 0,
) -> ColumnScore:
    """Predict the label from one column alone, out of sample: a sign of a leak.

    The column is cut at quantiles of each class; gaps are a bin of their own. Each bin
    predicts its most frequent class. One half of the rows is for fitting, the other for
    testing.

    Args:
        column: numbers or codes of categories, NaN where one is missing.
        labels: of the rows, at least 0.
        bins: between the quantiles of a class.
        seed: of the halves.

    Raises:
        TypeError: labels is not int64, or a number no whole one.
        ValueError: The lengths differ, a label is negative, there are fewer than 2
            rows, or bins is less than 1.
    """
    check_shape("column", column, "rows")
    check_shape("labels", labels, len(column))
    check_floating(column=column)
    check_integer(labels=labels)
    check_whole(1, bins=bins)
    check_seed(seed)
    if len(column) < 2:
        raise ValueError(f"column must hold at least 2 rows: got {len(column)}")
    _check_not_negative(labels=labels)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(column), generator=generator)
    column, labels = column.cpu()[order].double(), labels.cpu()[order]
    half, size = len(column) // 2, int(labels.max()) + 1
    fit = ~column[:half].isnan()
    known, of = column[:half][fit], labels[:half][fit]
    steps = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    edges = [known[of == c].quantile(steps, interpolation="lower") for c in of.unique()]
    edge = torch.cat(edges).unique() if edges else known
    code = torch.bucketize(column, edge, right=True)
    code[column.isnan()] = len(edge) + 1
    cells = (code[:half] * size + labels[:half]).bincount(
        minlength=(len(edge) + 2) * size
    )
    counts = cells.reshape(-1, size)  # (bins, classes)
    total = counts.sum(0)
    best = counts.argmax(1).where(counts.sum(1) > 0, total.argmax())
    truth = labels[half:]
    accuracy, majority = (
        (guess == truth).double().mean().item()
        for guess in (best[code[half:]], total.argmax())
    )
    return ColumnScore(accuracy, majority)


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    Args:
        check: what was looked for.
        where: the column or part of the data.
        text: what was found.
        flagged: whether somebody should look at it.
    """

    check: str
    where: str
    text: str
    flagged: bool


@dataclass(frozen=True)
class Report:
    """What the checks of a data set found; as a string, a table with flags.

    Args:
        findings: a line each.
    """

    findings: list[Finding]

    @property
    def flagged(self) -> list[Finding]:
        """Return the findings that somebody should look at."""
        return [finding for finding in self.findings if finding.flagged]

    def __str__(self) -> str:
        """Return a line for each finding, those to look at with an exclamation mark."""
        return "\n".join(
            f"{'!' if f.flagged else ' '} {f.check:<17} {f.where:<15} {f.text}"
            for f in self.findings
        )


def check_table(
    train: Float[Tensor, "rows columns"],
    labels: Int64[Tensor, " rows"],
    test: Float[Tensor, "others columns"],
    test_labels: Int64[Tensor, " others"],
    columns: Sequence[str],
    level: float = 0.001,
    ignore: Sequence[str] = (),
) -> Report:
    """Check a table in two parts for gaps, duplicates, leaks and shifts.

    A column is flagged as a leak if more of its rows or values than by chance have one
    class alone (`value_purity`), or if it alone removes more than four fifths of the
    majority class's errors (`column_score`).

    Args:
        train: numbers and codes of categories, NaN where one is missing.
        labels: the classes of the rows.
        test: the other part, with the same columns.
        test_labels: its classes.
        columns: their names.
        level: of the p-values below which a difference is flagged, divided by the
            number of columns.
        ignore: names of columns that are left out of the search for duplicates, such as
            keys and survey weights.

    Raises:
        ValueError: The sizes do not fit, a part is empty, or a name in ignore is none
            of columns.
    """
    _check_parts(train, labels, test, test_labels)
    check_shape("train", train, "rows", len(columns))
    if unknown := set(ignore) - set(columns):
        raise ValueError(
            f"ignore must hold names of columns: got {', '.join(sorted(unknown))}"
        )
    level = level / max(1, len(columns))
    compared = [n for n, name in enumerate(columns) if name not in ignore]
    findings = [
        _classes(labels, test_labels, level),
        *_duplicates(train[:, compared], labels, test[:, compared]),
    ]
    for name, column, other in zip(columns, train.T, test.T, strict=True):
        gaps = column.isnan()
        if gaps.any() or other.isnan().any():
            findings.append(_gaps(name, gaps, other.isnan(), labels, level))
        known = column[~gaps]
        if not len(known) or (known == known[0]).all():
            findings.append(Finding("constant", name, "one value or none", True))
            continue
        findings.extend(_leaks(name, column, labels))
        if not other.isnan().all():
            distance, p = kolmogorov_smirnov(column, other)
            if p < level:
                text = f"train and test differ by {distance:.2f} (KS)"
                findings.append(Finding("shift", name, text, True))
    return Report(findings)


def check_images(
    images: Float[Tensor, "images *shape"],
    labels: Int64[Tensor, " images"],
    test_images: Float[Tensor, "others *shape"],
    test_labels: Int64[Tensor, " others"],
    near: float = 0.1,
    level: float = 0.001,
) -> Report:
    """Check images in two parts for blanks, duplicates, near duplicates and shifts.

    Near duplicates are found whatever their brightness and contrast: each image's mean
    is taken off, and the rest is divided by its norm.

    Args:
        images: of one size.
        labels: their classes.
        test_images: the other part.
        test_labels: its classes.
        near: the distance of a test image to its nearest training image, both without
            mean and of norm 1, below which the two are called near duplicates.
        level: of the p-values below which a difference is flagged.

    Raises:
        ValueError: The sizes do not fit, a part is empty, or a pixel is NaN.
    """
    _check_parts(images, labels, test_images, test_labels)
    check_no_nan(images=images, test_images=test_images)
    flat, other = images.flatten(1), test_images.flatten(1)
    blank = int((flat.amax(1) == flat.amin(1)).sum())
    distance, _ = nearest_neighbors(_standardized(other), _standardized(flat))
    close = int((distance < near).sum())
    gap, p = kolmogorov_smirnov(flat.mean(1), other.mean(1))
    return Report(
        [
            _classes(labels, test_labels, level),
            Finding("blank", "train", f"{blank} images of one value", blank > 0),
            *_duplicates(flat, labels, other),
            Finding(
                "near duplicates",
                "train and test",
                f"{close} of {len(other)} test images",
                close > 0,
            ),
            Finding("brightness", "train and test", f"KS {gap:.3f}", p < level),
        ]
    )


def _classes(labels: Tensor, test_labels: Tensor, level: float) -> Finding:
    """Compare how often the classes occur in two parts."""
    size = int(max(labels.max(), test_labels.max())) + 1
    table = torch.stack([x.bincount(minlength=size) for x in (labels, test_labels)])
    _, p = chi_squared(table)
    rarest = int(labels.bincount(minlength=size).min())
    text = f"{size} classes, the rarest {rarest} times; train and test "
    text += "differ" if p < level else "alike"
    return Finding("classes", "labels", text, p < level or rarest < 10)


def _duplicates(train: Tensor, labels: Tensor, test: Tensor) -> list[Finding]:
    """Count duplicates within the training part, and test rows that are in it."""
    groups = duplicate_groups(train)
    extra = sum(len(group) - 1 for group in groups)
    mixed = sum(len(labels[group].unique()) > 1 for group in groups)
    both = duplicate_groups(torch.cat([train, test.to(train)]))
    leaks = sum(
        sum(row >= len(train) for row in group)
        for group in both
        if group[0] < len(train)
    )
    text = f"{extra} rows repeat another, {mixed} sets have several labels"
    return [
        Finding("duplicates", "train", text, extra > 0),
        Finding("leak", "train and test", f"{leaks} test rows are in train", leaks > 0),
    ]


def _leaks(name: str, column: Tensor, labels: Tensor) -> list[Finding]:
    """Return what looks as if a column were made from the label."""
    findings = []
    purity, score = value_purity(column, labels), column_score(column, labels)
    if (
        purity.pure > 3 * purity.expected + 3
        or purity.share > 3 * purity.expected_share + 0.02 + 10 / len(column)
    ):
        text = f"{purity.pure} of {purity.values} values have one class alone"
        text += f", by chance {purity.expected:.1f}; {100 * purity.share:.1f} % of rows"
        findings.append(Finding("purity", name, text, True))
    errors = 1 - score.majority
    if errors > 0 and 1 - score.accuracy < errors / 5:
        text = f"alone right in {100 * score.accuracy:.1f} % of rows"
        text += f", the majority class in {100 * score.majority:.1f} %"
        findings.append(Finding("one column", name, text, True))
    return findings


def _standardized(flat: Tensor) -> Tensor:
    """Take off each image's mean and divide by the norm; a blank one becomes zero."""
    centred = flat - flat.mean(1, keepdim=True)
    blank = flat.amax(1, keepdim=True) == flat.amin(1, keepdim=True)
    unit = centred / centred.norm(dim=1, keepdim=True)
    return unit.masked_fill(blank, 0.0)


def _gaps(
    name: str, train: Tensor, test: Tensor, labels: Tensor, level: float
) -> Finding:
    """Return how much of a column is missing, and if that depends on the label."""
    size = int(labels.max()) + 1
    table = torch.stack([labels[x].bincount(minlength=size) for x in (train, ~train)])
    _, p = chi_squared(table)
    text = f"{100 * train.double().mean():.1f} % in train, "
    text += f"{100 * test.double().mean():.1f} % in test"
    text += "; depends on the label" if p < level else ""
    return Finding("missing", name, text, True)


def _binomial_tail(hits: int, trials: int) -> float:
    """Return the probability of at least so many heads of a fair coin."""
    k = torch.arange(hits, trials + 1, dtype=torch.float64)
    n = torch.tensor(float(trials), dtype=torch.float64)
    ways = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    return min(1.0, (ways - n * math.log(2)).exp().sum().item())


def _check_samples(first: Tensor, second: Tensor) -> None:
    """Refuse samples of different features, and such as cannot be halved."""
    check_floating(first=first, second=second)
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(
            f"second must have the features of first, {tuple(first.shape[1:])}: "
            f"got {tuple(second.shape[1:])}"
        )
    if min(len(first), len(second)) < 4:
        raise ValueError(
            "first and second must hold at least 4 examples each: "
            f"got {len(first)} and {len(second)}"
        )


def _check_parts(train: Tensor, labels: Tensor, test: Tensor, others: Tensor) -> None:
    """Refuse parts of different features, and labels that are not one for each row."""
    check_floating(train=train, test=test)
    check_shape("labels", labels, len(train))
    check_shape("test_labels", others, len(test))
    check_integer(labels=labels, test_labels=others)
    if not len(train) or not len(test) or train.shape[1:] != test.shape[1:]:
        raise ValueError(
            "train and test must hold rows with the same features: "
            f"got {tuple(train.shape)} and {tuple(test.shape)}"
        )
    _check_not_negative(labels=labels, test_labels=others)


def _check_not_negative(**labels: Tensor) -> None:
    """Refuse labels that are no classes."""
    for name, of in labels.items():
        if (of < 0).any():
            raise ValueError(f"{name} must be at least 0: got {int(of.min())}")
