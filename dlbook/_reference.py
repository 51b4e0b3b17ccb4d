"""The numbers printed in the text, beside those of the run in front of the reader."""

import os


def compare(*rows: tuple[str, float | int, float, float | int]) -> None:
    """Compare numbers in the text of a chapter with those that its code has just computed.

    On the reference device, which tests and the execution tool choose by `DLBOOK_DEVICE=cpu`, a difference is an error.
    Anywhere else another processor or a GPU may rightly give other digits, so the two are only shown side by side.

    Args:
        rows: the words before the number, the number in the text, the value in this run, and how far it may be off.

    Raises:
        AssertionError: on the reference device, naming each number that is off.
    """
    off = [row for row in rows if not abs(row[2] - row[1]) <= row[3] * (1 + 1e-9)]  # NaN is off, too
    if os.environ.get("DLBOOK_DEVICE") == "cpu":
        if off:
            lines = [
                f"  “{words}”: in the text {text:g} ± {by:g}, in this run {value:.8g}" for words, text, value, by in off
            ]
            raise AssertionError("\n".join(["numbers in the text must be those of the run; these are not:", *lines]))
        count = "1 number in the text agrees" if len(rows) == 1 else f"{len(rows)} numbers in the text agree"
        print(f"{count} with this run.")
        return
    print(f"{'in the text':>12} | {'in your run':>12} |")
    for row in rows:
        print(f"{row[1]:>12.6g} | {row[2]:>12.6g} | {row[0]}{'  (differs)' if row in off else ''}")
