"""The Adult table: people in the US census of 1994, with their work and income."""

from dlbook.data.splits import Parts, stratify
from dlbook.data.store import fetch
from dlbook.data.tables import Table, drop_conflicting_rows, read_rows, tabulate

ADULT = {  # by column, whether it holds numbers
    "age": True,
    "workclass": False,
    "fnlwgt": True,
    "education": False,
    "education-num": True,
    "marital-status": False,
    "occupation": False,
    "relationship": False,
    "race": False,
    "sex": False,
    "capital-gain": True,
    "capital-loss": True,
    "hours-per-week": True,
    "native-country": False,
}
INCOMES = {"<=50K": "at most $50,000", ">50K": "more than $50,000"}


def adult(test_fraction: float = 0.2, seed: int = 0) -> Parts[Table]:
    """Load the Adult table: whose income exceeds $50,000 in a US survey of 1994.

    6 columns hold numbers, 8 categories. The test set is the official one, whole:
    16,281 rows, 23.6 % of them above. Of the 32,561 rows for training, 52 are left out:
    24 duplicates, two with the same features and different labels, and 26 whose
    features are in the test set too. Missing are workclass, occupation or
    native-country, in 7.4 % of the rows. education-num is education as a number; fnlwgt
    is how many people a row stands for, not what a person is like; a capital gain of
    99,999 stands for all above. The income is, by later notes of a donor, an adjusted
    gross income: that of a tax return, which may be a couple's.

    Args:
        test_fraction: how much of the rows for training goes to the validation set
            instead, stratified by label; at most a third.
        seed: of the split.

    Returns:
        The three tables.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: Becker and Kohavi 1996, doi:10.24432/C5XW20.
    """
    folder = fetch("adult")
    first, last = (
        read_rows(folder / file, ADULT, INCOMES)
        for file in ("adult.data", "adult.test")
    )
    table = tabulate(first + last, ADULT, INCOMES)
    test = table.choose(range(len(first), len(table)))
    train = table.choose(range(len(first)))
    train = train.choose(drop_conflicting_rows(train, apart_from=test))
    drawn = stratify(train.labels.tolist(), test_fraction, seed)
    return Parts(
        train.choose(sorted(drawn.train + drawn.test)),
        train.choose(drawn.validation),
        test,
    )
