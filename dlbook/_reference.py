"""Compare the numbers printed in the text with those of the reader's own run."""

import os


def compare(*rows: tuple[str, float | int, float, float | int]) -> None:
    """Compare numbers in the text of a chapter with those its code has computed.

    On the reference device, which tests and the execution tool choose by
    `DLBOOK_DEVICE=cpu`, a difference is an error. Anywhere else another processor or a
    GPU may rightly give other digits, and both are shown side by side.

    Args:
        rows: the words before the number, the number in the text, the value in this
            run, and how far it may be off.

    Raises:
        AssertionError: A number is off on the reference device; each one is named.
    """
    off = [
        row
        for row in rows
        if not abs(row[2] - row[1]) <= row[3] * (1 + 1e-9)  # NaN is off, too
    ]
    if os.environ.get("DLBOOK_DEVICE") == "cpu":
        if off:
            lines = [
                f"  “{words}”: in the text {text:g} ± {by:g}, in this run {value:.8g}"
                for words, text, value, by in off
            ]
            rule = "numbers in the text must be those of the run; these are not:"
            raise AssertionError("\n".join([rule, *lines]))
        agree = "1 number in the text agrees"
        if len(rows) != 1:
            agree = f"{len(rows)} numbers in the text agree"
        print(f"{agree} with this run.")
        return
    print(f"{'in the text':>12} | {'in your run':>12} |")
    for row in rows:
        mark = "  (differs)" if row in off else ""
        print(f"{row[1]:>12.6g} | {row[2]:>12.6g} | {row[0]}{mark}")
