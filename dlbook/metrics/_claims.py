"""Check the claims under *What to remember* in the reader's own run."""

import os


def check_claims(*rows: tuple[str, object]) -> None:
    """Check that what a chapter claims holds in this run.

    On the reference device, which tests and the execution tool choose by
    `DLBOOK_DEVICE=cpu`, a claim that does not hold is an error. Anywhere else another
    processor or a GPU may rightly train another model, and all claims are shown.

    Args:
        rows: the first words of the sentence that claims, and the value of its claim,
            which must be True itself: 1, np.True_ and a tensor are not.

    Raises:
        AssertionError: A claim is not True on the reference device; each one is named.
    """
    if os.environ.get("DLBOOK_DEVICE") == "cpu":
        lines = [
            f"  “{words}”: must be True, in this run {value!r}"
            for words, value in rows
            if value is not True
        ]
        if lines:
            rule = "claims must hold in the run; these do not:"
            raise AssertionError("\n".join([rule, *lines]))
        hold = "1 claim holds" if len(rows) == 1 else f"{len(rows)} claims hold"
        print(f"{hold} in this run.")
        return
    for words, value in rows:
        verdict = "holds" if value is True else "does not hold"
        print(f"{verdict} in your run: {words}")
