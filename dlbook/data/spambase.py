"""The Spambase table: messages to a laboratory in 1999, wanted or spam."""

from dlbook.data.splits import Parts
from dlbook.data.store import fetch
from dlbook.data.tables import Table, read_table, split_table

WORDS = (
    "make address all 3d our over remove internet order mail receive will people "
    "report addresses free business email you credit your font 000 money hp hpl george "
    "650 lab labs telnet 857 data 415 85 technology 1999 parts pm direct cs meeting "
    "original project re edu table conference"
)
CAPITALS = ("average run of capitals", "longest run of capitals", "capitals in all")
SPAMBASE = dict.fromkeys((*WORDS.split(), *";([!$#", *CAPITALS), True)
MAIL = {"0": "wanted", "1": "spam"}


def spambase(test_fraction: float = 0.2, seed: int = 0) -> Parts[Table]:
    """Load Spambase: which of 4,200 messages to a laboratory are spam, by 57 numbers.

    The numbers are percentages of all words, or signs, of a message; three columns
    measure capitals. Of the 4,597 rows in the file, 391 are duplicates, and six have
    the features of one with the other label. They are left out: else one row in eleven
    of a random test set would be in the training set too. 40 % are spam. The words
    george and 650, name and area code of a man in that laboratory, mark wanted mail
    there, and nowhere else.

    Args:
        test_fraction: of each label, how much goes to the validation set, and as much
            to the test set; at most a third.
        seed: of the split.

    Returns:
        The three tables.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: Hopkins, Reeber, Forman and Suermondt 1999, doi:10.24432/C53G6X.
    """
    return split_table(
        read_table(fetch("spambase") / "spambase.dat", SPAMBASE, MAIL),
        test_fraction,
        seed,
    )
